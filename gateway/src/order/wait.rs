//! Waiting for the provider.

use std::time::Duration;

use tokio::time::Instant;

use super::buy::{OrderError, Progress};
use crate::chain::Chain;
use crate::keeper::ids::ConditionIds;
use crate::keeper::{ConditionState, conditions};
use crate::types::AgreementId;

/// Looks each second until a paid agreement's service and escrow conditions are both Fulfilled.
pub async fn wait_granted(
    chain: &Chain,
    agreement: AgreementId,
    ids: ConditionIds,
    limit: Duration,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), OrderError> {
    let end = Instant::now() + limit;
    let mut granted = false;
    loop {
        match conditions(chain, ids.to_array()).await {
            Ok([_, service, escrow]) => {
                if [service.state, escrow.state].contains(&ConditionState::Aborted) {
                    return Err(OrderError::Lost(agreement));
                }
                if service.is_fulfilled() && !granted {
                    granted = true;
                    progress(Progress::Granted);
                }
                if service.is_fulfilled() && escrow.is_fulfilled() {
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
