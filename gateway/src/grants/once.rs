//! Granting one agreement.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use tokio::time::Instant;

use crate::chain::contracts::{EscrowReward, ServiceCondition};
use crate::chain::{Chain, ChainError, Gas, Outgoing, Sent};
use crate::keeper::{Grantable, Keeper, Refusal, ids};
use crate::types::{AgreementId, show_address};

/// `EscrowReward.fulfill` uses about 110,000 where it pays. Fixed, because before the compute condition is fulfilled an
/// estimate would measure the branch that does nothing, and the transaction would run out of gas in the other one.
const ESCROW_GAS: Gas = Gas::Fixed(300_000);
/// How long a transaction may take to be mined.
const MINED: Duration = Duration::from_mins(5);
/// How long a node behind a balancer may show the state from before a transaction that is mined.
const LAG: Duration = Duration::from_secs(15);

/// What a grant came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The agreement.
    pub agreement: AgreementId,
    /// Who may use the service.
    pub consumer: Address,
    /// The transactions that were sent; none if everything was done already.
    pub transactions: Vec<B256>,
}

/// Why an agreement is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The keeper's no, not yet, or can't say.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A transaction could not be sent.
    #[error("agreement {agreement} is not granted: {source}")]
    Chain {
        /// The agreement.
        agreement: AgreementId,
        /// Why.
        source: ChainError,
    },
    /// The account's transactions can't be counted.
    #[error(transparent)]
    Nonces(ChainError),
    /// Transactions of this account, from before, are not mined yet.
    #[error(
        "{waiting} transaction(s) of the provider {} wait to be mined; nothing is sent on top of them. Is its balance or \
         the gas price too low?",
        show_address(provider)
    )]
    Busy {
        /// The account.
        provider: Address,
        /// How many.
        waiting: u64,
    },
    /// The transactions were mined and the state is not what it should be.
    #[error("the transactions for agreement {agreement} were mined without effect; see {last}")]
    NoEffect {
        /// The agreement.
        agreement: AgreementId,
        /// The last of them.
        last: B256,
    },
    /// The key is not that of the gateway's provider.
    #[error("the key is that of {}, and [provider] address is {}", show_address(key), show_address(provider))]
    OtherKey {
        /// The key's address.
        key: Address,
        /// The configured one.
        provider: Address,
    },
}

/// Grants agreements with the provider's key.
#[derive(Debug, Clone)]
pub struct Granter {
    keeper: Arc<Keeper>,
    signer: PrivateKeySigner,
}

impl Granter {
    /// A granter over a keeper, whose provider the key must belong to.
    pub fn new(keeper: Arc<Keeper>, signer: PrivateKeySigner) -> Result<Self, GrantError> {
        let (key, provider) = (signer.address(), keeper.provider());
        if key == provider { Ok(Self { keeper, signer }) } else { Err(GrantError::OtherKey { key, provider }) }
    }

    /// Grants an agreement: fulfils its service condition, releases its escrow, and waits until the chain says so.
    /// What is done already is not done again.
    pub async fn grant(&self, agreement: AgreementId) -> Result<Granted, GrantError> {
        self.wait_idle().await?;
        let grantable = self.keeper.grantable(agreement).await?;
        let consumer = grantable.consumer;
        if is_done(&grantable) {
            return Ok(Granted { agreement, consumer, transactions: Vec::new() });
        }
        let sent = self.send(&grantable).await?;
        let transactions: Vec<B256> = sent.iter().map(|sent| sent.hash).collect();
        let mut trouble = None;
        for hash in &transactions {
            // A reverted one may mean that somebody else did it first: the state decides.
            if let Err(source) = self.chain().mined(*hash, MINED).await {
                trouble = Some(source);
                break;
            }
        }
        let patience = Instant::now() + LAG;
        loop {
            match self.keeper.grantable(agreement).await {
                Ok(grantable) if is_done(&grantable) => return Ok(Granted { agreement, consumer, transactions }),
                Ok(_) | Err(_) if trouble.is_none() && Instant::now() < patience => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Ok(_) => {
                    let last = transactions.last().copied().unwrap_or_default();
                    return Err(match trouble {
                        Some(source) => GrantError::Chain { agreement, source },
                        None => GrantError::NoEffect { agreement, last },
                    });
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Sends what is missing, without waiting for it.
    pub(super) async fn send(&self, grantable: &Grantable) -> Result<Vec<Sent>, GrantError> {
        let agreement = grantable.agreement.id;
        let sent = self.chain().transact(&self.signer, &self.row(grantable)).await;
        sent.map_err(|source| GrantError::Chain { agreement, source })
    }

    fn row(&self, grantable: &Grantable) -> Vec<Outgoing> {
        let Grantable { agreement, consumer, grant } = grantable;
        let contracts = self.chain().contracts();
        let mut row = Vec::with_capacity(2);
        if grant.service_pending {
            let call =
                ServiceCondition::fulfillCall { agreementId: agreement.id.0, did: agreement.did.0, grantee: *consumer };
            row.push(Outgoing::call(ids::contract_of(contracts, grant.kind), &call, Gas::Estimated));
        }
        if grant.escrow_pending {
            let call = EscrowReward::fulfillCall {
                agreementId: agreement.id.0,
                amount: grant.price,
                receiver: grant.receiver,
                sender: *consumer,
                lockCondition: grant.ids.lock,
                releaseCondition: grant.ids.service,
            };
            row.push(Outgoing::call(contracts.escrow_reward, &call, ESCROW_GAS));
        }
        row
    }

    /// Waits until nothing of this account is under way: what a run before this one sent may be the very grant.
    pub(super) async fn wait_idle(&self) -> Result<(), GrantError> {
        let provider = self.signer.address();
        let end = Instant::now() + MINED;
        loop {
            let (mined, pending) = self.chain().nonces(provider).await.map_err(GrantError::Nonces)?;
            let waiting = pending.saturating_sub(mined);
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(GrantError::Busy { provider, waiting });
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(super) fn chain(&self) -> &Chain {
        self.keeper.chain()
    }

    pub(super) fn provider(&self) -> Address {
        self.signer.address()
    }
}

pub(super) fn is_done(grantable: &Grantable) -> bool {
    !grantable.grant.service_pending && !grantable.grant.escrow_pending
}
