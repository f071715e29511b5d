//! The keeper: does an agreement on chain give this consumer this service?
//!
//! [`decide()`] is the one pure function, which authorization and grants both call. Around it: two batches of reads for an
//! agreement that is new here, one shared by all requests in flight for one that is known, and a memory of what can never
//! change again. The head and a template's approval are never remembered.

mod config;
mod decide;
mod facts;
mod former;
pub mod ids;
mod offers;
mod pulse;
mod reader;
mod reason;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use moka::future::Cache;

pub use config::{KeeperConfig, OpenError, RpcUrl, RpcUrlError};
pub use decide::{Decision, Purpose, decide, needs_lock_time};
pub use facts::{Agreement, Condition, ConditionState, Facts, Grant};
pub use offers::{Offer, Offers, OffersError, ServiceKind};
pub(crate) use reader::conditions;
pub use reason::{Denied, NotYet, Refusal, Trouble, Why};

use crate::chain::contracts::DIDRegistry::getDIDOwnerCall;
use crate::chain::contracts::ServiceCondition::checkPermissionsCall;
use crate::chain::contracts::TemplateStoreManager::isTemplateIdApprovedCall;
use crate::chain::contracts::{COMPUTE_TEMPLATE, DIDRegistry, ServiceCondition};
use crate::chain::{At, Batch, BlockHead, Chain, ChainError};
use crate::types::{Address, AgreementId, Did, U256};
use pulse::Pulse;
use reader::Snapshot;

/// How long a start waits for an escrow that is about to be released.
const ESCROW_WAIT: Duration = Duration::from_secs(10);
/// For how long a scan for an asset's former owner is not repeated.
const FORMER_OWNER: Duration = Duration::from_mins(5);
/// How many settled agreements are remembered.
const REMEMBERED: u64 = 100_000;

/// A compute agreement of which nothing can change any more.
#[derive(Debug)]
struct Settled {
    agreement: Agreement,
    conditions: Vec<Condition>,
    lock_time: OnceLock<u64>,
}

/// Who answers whether an agreement is good.
#[derive(Debug)]
pub struct Keeper {
    chain: Arc<Chain>,
    offers: Arc<dyn Offers>,
    provider: Address,
    config: KeeperConfig,
    pulse: Pulse,
    settled: Cache<AgreementId, Arc<Settled>>,
    /// Who owned the asset when the agreement was made, for a while: looking it up may take a long scan.
    former_owners: Cache<AgreementId, Option<Address>>,
    escrow_wait: Duration,
}

/// What an authorized consumer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorized {
    /// By which agreement.
    pub agreement: AgreementId,
    /// Who.
    pub consumer: Address,
    /// What.
    pub did: Did,
    /// Who owned it when it was bought, and was paid: its publisher. It may have changed hands since.
    pub did_owner: Address,
    /// The version of the document whose price was paid.
    pub version: u64,
    /// What was paid.
    pub price: U256,
    /// When the agreement was made, in seconds since 1970.
    pub agreement_time: u64,
    /// Seconds from then until it expires; 0: never.
    pub timeout_s: u64,
    /// When it expires, in seconds since 1970.
    pub expires: Option<u64>,
}

/// What a provider is to grant.
#[derive(Debug, Clone)]
pub struct Grantable {
    /// By which agreement.
    pub agreement: Agreement,
    /// To whom.
    pub consumer: Address,
    /// What, and which of the two steps are still to be done.
    pub grant: Grant,
}

/// What `health` saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The chain's id.
    pub chain_id: u64,
    /// Its head.
    pub head: BlockHead,
    /// Whether compute agreements can be made there.
    pub compute_approved: bool,
}

impl Keeper {
    /// A keeper over `chain`. `provider` is this gateway's own address, which never counts as a consumer.
    pub fn new(chain: Arc<Chain>, config: KeeperConfig, provider: Address, offers: Arc<dyn Offers>) -> Self {
        Self {
            pulse: Pulse::new(Arc::clone(&chain)),
            chain,
            offers,
            provider,
            config,
            settled: Cache::new(REMEMBERED),
            former_owners: Cache::builder().max_capacity(REMEMBERED).time_to_live(FORMER_OWNER).build(),
            escrow_wait: ESCROW_WAIT,
        }
    }

    /// Waits shorter or longer than ten seconds for an escrow that is about to be released.
    #[must_use]
    pub fn with_escrow_wait(mut self, wait: Duration) -> Self {
        self.escrow_wait = wait;
        self
    }

    /// The chain.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// What it was made from.
    pub fn config(&self) -> &KeeperConfig {
        &self.config
    }

    /// This gateway's own address.
    pub fn provider(&self) -> Address {
        self.provider
    }

    /// Whether an agreement lets a consumer start compute jobs now. Where only the escrow is missing and can be released at
    /// any moment, waits for it.
    pub async fn authorize(&self, agreement: AgreementId, consumer: Address) -> Result<Authorized, Refusal> {
        let purpose = Purpose::Start(ServiceKind::Compute);
        let refused = |why| Refusal { agreement, why };
        let patience = tokio::time::Instant::now() + self.escrow_wait;
        let mut pause = Duration::from_millis(200);
        loop {
            let (known, decision) = self.ask(agreement, Some(consumer), purpose).await.map_err(refused)?;
            match decision {
                Decision::Allowed(grant) => {
                    let known = known.agreement();
                    return Ok(Authorized {
                        agreement,
                        consumer,
                        did: known.did,
                        did_owner: grant.receiver,
                        version: grant.version,
                        price: grant.price,
                        agreement_time: known.time,
                        timeout_s: grant.timeout_s,
                        expires: grant.expires,
                    });
                }
                Decision::NotYet(NotYet::EscrowUnreleased) if tokio::time::Instant::now() + pause <= patience => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Decision::NotYet(not_yet) => return Err(refused(Why::NotYet(not_yet))),
                Decision::Denied(denied) => return Err(refused(Why::Denied(denied))),
            }
        }
    }

    /// Whether the provider should grant an agreement now, and to whom.
    pub async fn grantable(&self, agreement: AgreementId) -> Result<Grantable, Refusal> {
        let refused = |why| Refusal { agreement, why };
        let (known, decision) = self.ask(agreement, None, Purpose::Grant).await.map_err(refused)?;
        match decision {
            Decision::Allowed(grant) => {
                let agreement = known.agreement().clone();
                let consumer = agreement.grantee(self.chain.contracts(), &self.provider).unwrap_or(Address::ZERO);
                Ok(Grantable { agreement, consumer, grant })
            }
            Decision::NotYet(not_yet) => Err(refused(Why::NotYet(not_yet))),
            Decision::Denied(denied) => Err(refused(Why::Denied(denied))),
        }
    }

    /// Whether a consumer may use a priced asset: `checkPermissions`, which is true for its owner, its providers, and
    /// whoever bought it or was given permission.
    pub async fn has_access(&self, consumer: Address, did: &Did) -> Result<bool, Trouble> {
        let call = checkPermissionsCall { grantee: consumer, did: did.0 };
        Ok(self.chain.read::<ServiceCondition::checkPermissionsCall>(self.chain.contracts().access, &call).await?)
    }

    /// Who owns an asset now; `None` if it was never registered.
    pub async fn owner_of(&self, did: &Did) -> Result<Option<Address>, Trouble> {
        let call = getDIDOwnerCall { did: did.0 };
        let owner = self.chain.read::<DIDRegistry::getDIDOwnerCall>(self.chain.contracts().did_registry, &call).await?;
        Ok((!owner.is_zero()).then_some(owner))
    }

    /// The head, shared with whoever asks at the same time.
    pub async fn head(&self) -> Result<BlockHead, Trouble> {
        Ok(self.pulse.beat().await?.head)
    }

    /// Whether the node answers, and has the contracts of the artifacts.
    pub async fn health(&self) -> Result<Health, ChainError> {
        let mut batch = Batch::new();
        let id = batch.add::<alloy_primitives::U64>("eth_chainId", &[(); 0]);
        let head = batch.head();
        let templates = self.chain.contracts().template_store;
        let approved = batch.call(templates, &isTemplateIdApprovedCall { id: COMPUTE_TEMPLATE }, At::Latest);
        let mut answers = self.chain.rpc().send(batch).await?;
        let chain_id = answers.take(id)?.to();
        self.chain.learn_id(chain_id);
        Ok(Health { chain_id, head: answers.take(head)?, compute_approved: answers.call(approved)? })
    }

    async fn ask(
        &self,
        agreement: AgreementId,
        consumer: Option<Address>,
        purpose: Purpose,
    ) -> Result<(Known, Decision), Why> {
        if let Some(settled) = self.settled.get(&agreement).await {
            return self.ask_known(settled, consumer, purpose).await;
        }
        let again = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(5)
            .with_jitter();
        // Unreachable was retried below; here it is only the block that another node of a balancer will know.
        (|| self.ask_new(agreement, consumer, purpose))
            .retry(again)
            .when(|why| matches!(why, Asked::Chain(ChainError::UnknownBlock)))
            .await
            .map_err(|why| match why {
                Asked::Chain(error) => Why::Unavailable(error.into()),
                Asked::Why(why) => why,
            })
    }

    async fn ask_known(
        &self,
        settled: Arc<Settled>,
        consumer: Option<Address>,
        purpose: Purpose,
    ) -> Result<(Known, Decision), Why> {
        let agreement = &settled.agreement;
        let (beat, offers) = futures::join!(self.pulse.beat(), self.offers.offers(&agreement.did));
        let beat = beat.map_err(|error| Why::Unavailable(error.into()))?;
        let offers = offers.map_err(|error| Why::from_offers(error, agreement.did))?;
        let contracts = self.chain.contracts();
        let mut facts = Facts {
            contracts,
            agreement,
            conditions: &settled.conditions,
            template_approved: beat.compute_approved,
            offers: &offers,
            lock_time: settled.lock_time.get().copied(),
            owner_listed: self.offers.is_listed(&agreement.did_owner),
            former_owner: None,
            escrow_holds: None,
            may_grant: true,
            consumer: consumer.or_else(|| agreement.grantee(contracts, &self.provider)).unwrap_or_default(),
            provider: self.provider,
            now: now().max(beat.head.timestamp),
            head: beat.head.number,
            confirmations: 0,
        };
        if needs_lock_time(&facts) {
            let block = settled.conditions.first().map_or(0, |lock| lock.updated);
            let time = reader::time_of(&self.chain, block).await.map_err(|error| Why::Unavailable(error.into()))?;
            facts.lock_time = Some(*settled.lock_time.get_or_init(|| time));
        }
        let decision = decide(&facts, purpose);
        Ok((Known::Settled(settled), decision))
    }

    async fn ask_new(
        &self,
        agreement: AgreementId,
        consumer: Option<Address>,
        purpose: Purpose,
    ) -> Result<(Known, Decision), Asked> {
        let glimpse = reader::glimpse(&self.chain, agreement).await?;
        let Some(did) = glimpse.did() else {
            return Err(Asked::Why(Why::Denied(Denied::NoAgreement)));
        };
        let (snapshot, offers) =
            futures::join!(reader::look(&self.chain, &glimpse, self.provider), self.offers.offers(&did));
        let snapshot = snapshot?;
        let offers = offers.map_err(|error| Asked::Why(Why::from_offers(error, did)))?;
        let contracts = self.chain.contracts();
        let confirmations = self.config.confirmations_on(self.chain.known_id().unwrap_or_default());
        let mut facts = Facts {
            contracts,
            agreement: &snapshot.agreement,
            conditions: &snapshot.conditions,
            template_approved: snapshot.template_approved,
            offers: &offers,
            lock_time: None,
            owner_listed: self.offers.is_listed(&snapshot.agreement.did_owner),
            former_owner: None,
            escrow_holds: Some(snapshot.escrow_holds),
            may_grant: snapshot.may_grant,
            consumer: consumer.or_else(|| snapshot.agreement.grantee(contracts, &self.provider)).unwrap_or_default(),
            provider: self.provider,
            now: now().max(snapshot.head.timestamp),
            head: snapshot.head.number,
            confirmations,
        };
        if needs_lock_time(&facts) {
            let block = snapshot.conditions.first().map_or(0, |lock| lock.updated);
            facts.lock_time = Some(reader::time_of(&self.chain, block).await?);
        }
        let mut decision = decide(&facts, purpose);
        if matches!(decision, Decision::Denied(Denied::WrongReceiver { .. })) {
            let former = self.former_owner(&snapshot).await?;
            facts.former_owner = former.map(|owner| (owner, self.offers.is_listed(&owner)));
            decision = decide(&facts, purpose);
        }
        if let Decision::Allowed(grant) = &decision {
            self.remember(&snapshot, grant, facts.lock_time, confirmations).await;
        }
        Ok((Known::Fresh(Box::new(snapshot)), decision))
    }

    async fn former_owner(&self, snapshot: &Snapshot) -> Result<Option<Address>, ChainError> {
        let agreement = &snapshot.agreement;
        if let Some(owner) = self.former_owners.get(&agreement.id).await {
            return Ok(owner);
        }
        let owner = former::owner(&self.chain, &agreement.did, agreement.block, snapshot.head.number).await?;
        self.former_owners.insert(agreement.id, owner).await;
        Ok(owner)
    }

    /// Keeps a compute agreement that nothing can change any more: all Fulfilled, and too deep to be replaced. Whom it paid is kept
    /// as its owner, since the asset may change hands.
    async fn remember(&self, snapshot: &Snapshot, grant: &Grant, lock_time: Option<u64>, confirmations: u64) {
        let deep = |block: u64| block.saturating_add(confirmations) <= snapshot.head.number;
        let settled = grant.kind == ServiceKind::Compute
            && snapshot.conditions.iter().all(|condition| condition.is_fulfilled() && deep(condition.updated))
            && deep(snapshot.agreement.block);
        if settled {
            let settled = Settled {
                agreement: Agreement { did_owner: grant.receiver, ..snapshot.agreement.clone() },
                conditions: snapshot.conditions.clone(),
                lock_time: lock_time.map_or_else(OnceLock::new, OnceLock::from),
            };
            self.settled.insert(snapshot.agreement.id, Arc::new(settled)).await;
        }
    }
}

enum Known {
    Settled(Arc<Settled>),
    Fresh(Box<Snapshot>),
}

impl Known {
    fn agreement(&self) -> &Agreement {
        match self {
            Self::Settled(settled) => &settled.agreement,
            Self::Fresh(snapshot) => &snapshot.agreement,
        }
    }
}

enum Asked {
    Chain(ChainError),
    Why(Why),
}

impl From<ChainError> for Asked {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// The clock, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
