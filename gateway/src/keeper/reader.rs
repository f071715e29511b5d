//! Reading an agreement: two JSON-RPC batches. The first sees the head and which conditions the agreement has; the second
//! reads everything at that head's very hash, the agreement again, so that what is decided about never existed only in
//! parts.

use alloy_primitives::{Address, B256, U64, U256};

use super::facts::{Agreement, Condition};
use crate::chain::contracts::AgreementStoreManager::{
    getAgreementActorsCall, getAgreementCall, getAgreementReturn, isAgreementDIDOwnerCall, isAgreementDIDProviderCall,
};
use crate::chain::contracts::ConditionStoreManager::{getConditionCall, getConditionReturn};
use crate::chain::contracts::OceanToken::balanceOfCall;
use crate::chain::contracts::TemplateStoreManager::isTemplateIdApprovedCall;
use crate::chain::{At, Batch, BlockHead, Chain, ChainError};
use crate::types::{AgreementId, Did};

/// Templates have three conditions; an agreement that claims more is not read further.
const CONDITIONS: usize = 3;

/// What the first batch saw.
pub(super) struct Glimpse {
    id: AgreementId,
    pub(super) head: BlockHead,
    agreement: getAgreementReturn,
}

impl Glimpse {
    /// What the agreement is about, if there is one.
    pub(super) fn did(&self) -> Option<Did> {
        (!self.agreement.did.is_zero()).then_some(Did(self.agreement.did))
    }
}

/// Everything about an agreement at one head.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) head: BlockHead,
    pub(super) agreement: Agreement,
    pub(super) conditions: Vec<Condition>,
    pub(super) template_approved: bool,
    pub(super) escrow_holds: U256,
    pub(super) may_grant: bool,
}

/// The first batch.
pub(super) async fn glimpse(chain: &Chain, id: AgreementId) -> Result<Glimpse, ChainError> {
    let mut batch = Batch::new();
    let head = batch.head();
    let agreement = batch.call(chain.contracts().agreement_store, &getAgreementCall { id: id.0 }, At::Latest);
    let chain_id = chain.known_id().is_none().then(|| batch.add::<U64>("eth_chainId", &[(); 0]));
    let mut answers = chain.rpc().send(batch).await?;
    if let Some(chain_id) = chain_id {
        chain.learn_id(answers.take(chain_id)?.to());
    }
    Ok(Glimpse { id, head: answers.take(head)?, agreement: answers.call(agreement)? })
}

/// The second batch.
pub(super) async fn look(chain: &Chain, glimpse: &Glimpse, provider: Address) -> Result<Snapshot, ChainError> {
    let contracts = chain.contracts();
    let id = glimpse.id.0;
    let at = chain.at(&glimpse.head);
    let made = saturate(glimpse.agreement.blockNumberUpdated);
    let mut batch = Batch::new();
    let again = batch.call(contracts.agreement_store, &getAgreementCall { id }, at);
    let actors = batch.call(contracts.agreement_store, &getAgreementActorsCall { id }, at);
    let owner = batch.call(contracts.agreement_store, &isAgreementDIDOwnerCall { id, owner: provider }, at);
    let is_provider = batch.call(contracts.agreement_store, &isAgreementDIDProviderCall { id, provider }, at);
    let approved =
        batch.call(contracts.template_store, &isTemplateIdApprovedCall { id: glimpse.agreement.templateId }, at);
    let holds = batch.call(contracts.token, &balanceOfCall { owner: contracts.escrow_reward }, at);
    let block = batch.block(made);
    let head = batch.block(glimpse.head.number);
    let conditions: Vec<_> = glimpse
        .agreement
        .conditionIds
        .iter()
        .take(CONDITIONS)
        .map(|id| batch.call(contracts.condition_store, &getConditionCall { id: *id }, at))
        .collect();
    let mut answers = chain.rpc().send(batch).await?;
    let again = chain.noted(answers.call(again))?;
    let is_same_head = answers.take(head)?.is_some_and(|head| head == glimpse.head);
    if !is_same_head || !same(&again, &glimpse.agreement) {
        // The first batch was answered from another fork: look again from the start.
        return Err(ChainError::UnknownBlock);
    }
    let time = answers.take(block)?.ok_or(ChainError::UnknownBlock)?.timestamp;
    let agreement = Agreement {
        id: glimpse.id,
        did: Did(again.did),
        did_owner: again.didOwner,
        template: again.templateId,
        condition_ids: again.conditionIds,
        actors: answers.call(actors)?,
        block: made,
        time,
    };
    let conditions = conditions
        .into_iter()
        .map(|slot| answers.call(slot).map(|wire| condition(&wire)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Snapshot {
        head: glimpse.head,
        agreement,
        conditions,
        template_approved: answers.call(approved)?,
        escrow_holds: answers.call(holds)?,
        may_grant: answers.call(owner)? || answers.call(is_provider)?,
    })
}

/// The third batch, for an older version of a document: when was this block?
pub(super) async fn time_of(chain: &Chain, block: u64) -> Result<u64, ChainError> {
    let mut batch = Batch::new();
    let slot = batch.block(block);
    Ok(chain.rpc().send(batch).await?.take(slot)?.ok_or(ChainError::UnknownBlock)?.timestamp)
}

/// The conditions of an agreement at the head, for one who waits for them.
pub(crate) async fn conditions(chain: &Chain, ids: [B256; CONDITIONS]) -> Result<[Condition; CONDITIONS], ChainError> {
    let mut batch = Batch::new();
    let slots = ids.map(|id| batch.call(chain.contracts().condition_store, &getConditionCall { id }, At::Latest));
    let mut answers = chain.rpc().send(batch).await?;
    let [lock, service, escrow] = slots;
    Ok([condition(&answers.call(lock)?), condition(&answers.call(service)?), condition(&answers.call(escrow)?)])
}

fn same(a: &getAgreementReturn, b: &getAgreementReturn) -> bool {
    a.did == b.did
        && a.didOwner == b.didOwner
        && a.templateId == b.templateId
        && a.conditionIds == b.conditionIds
        && a.blockNumberUpdated == b.blockNumberUpdated
}

fn saturate(number: U256) -> u64 {
    number.saturating_to()
}

fn condition(wire: &getConditionReturn) -> Condition {
    Condition {
        type_ref: wire.typeRef,
        state: wire.state.into(),
        time_lock: saturate(wire.timeLock),
        time_out: saturate(wire.timeOut),
        created: saturate(wire.blockNumber),
        updated: saturate(wire.blockNumberUpdated),
    }
}
