//! Waiting for the provider.

use std::time::Duration;

use tokio::time::Instant;

use super::buy::{OrderError, Progress};
use crate::chain::contracts::AgreementStoreManager::getAgreementCall;
use crate::chain::{Chain, ChainError};
use crate::keeper::{ConditionState, conditions};
use crate::types::{AgreementId, Did};

/// How far an agreement is on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it is about.
    pub did: Did,
    /// Paid?
    pub lock: ConditionState,
    /// Granted?
    pub service: ConditionState,
    /// Released to the publisher?
    pub escrow: ConditionState,
}

/// How far an agreement is; `None` if there is none.
pub async fn standing(chain: &Chain, agreement: AgreementId) -> Result<Option<Standing>, ChainError> {
    let call = getAgreementCall { id: agreement.0 };
    let stored = chain.read(chain.contracts().agreement_store, &call).await?;
    let Ok(ids) = <[_; 3]>::try_from(stored.conditionIds.as_slice()) else { return Ok(None) };
    let [lock, service, escrow] = conditions(chain, ids).await?.map(|condition| condition.state);
    Ok(Some(Standing { did: Did(stored.did), lock, service, escrow }))
}

/// Looks each second until a paid agreement's service and escrow conditions are both Fulfilled.
pub async fn wait_granted(
    chain: &Chain,
    agreement: AgreementId,
    limit: Duration,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), OrderError> {
    use ConditionState::{Aborted, Fulfilled};
    let end = Instant::now() + limit;
    let mut granted = false;
    loop {
        match standing(chain, agreement).await {
            Ok(None) => return Err(OrderError::NoAgreement(agreement)),
            Ok(Some(Standing { service, escrow, .. })) => {
                if [service, escrow].contains(&Aborted) {
                    return Err(OrderError::Lost(agreement));
                }
                if service == Fulfilled && !granted {
                    granted = true;
                    progress(Progress::Granted);
                }
                if service == Fulfilled && escrow == Fulfilled {
                    progress(Progress::Released);
                    return Ok(());
                }
            }
            // A node that is away for a moment is no reason to give up what is paid.
            Err(error) if error.is_retryable() && Instant::now() < end => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= end {
            return Err(OrderError::NotYet { agreement, paid_only: !granted });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
