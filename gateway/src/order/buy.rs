//! Making and paying an agreement.

use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;

use super::MINED;
use crate::chain::contracts::AgreementStoreManager::{createAgreementCall, getAgreementCall};
use crate::chain::contracts::DIDRegistry::getDIDOwnerCall;
use crate::chain::contracts::LockRewardCondition::fulfillCall;
use crate::chain::contracts::OceanToken::{allowanceCall, approveCall, balanceOfCall};
use crate::chain::contracts::TemplateStoreManager::isTemplateIdApprovedCall;
use crate::chain::{At, Batch, Chain, ChainError, Gas, Outgoing};
use crate::keeper::ids::{self, ConditionIds};
use crate::keeper::{ServiceKind, conditions};
use crate::types::{AgreementId, Did, show_address};

/// The lock can't be estimated before its approval is mined; it uses about 100,000.
const LOCK_GAS: Gas = Gas::Fixed(300_000);
/// An approval uses about 50,000.
const APPROVE_GAS: Gas = Gas::Fixed(120_000);

/// What is bought, of whom, for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Under which id: a fresh one of [`new_agreement_id`], or that of an order that was broken off.
    pub agreement: AgreementId,
    /// The asset.
    pub did: Did,
    /// Its service.
    pub kind: ServiceKind,
    /// What the document asks, in the token's smallest unit.
    pub price: U256,
    /// The gateway's provider, which is to grant it.
    pub provider: Address,
}

/// How far a purchase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The terms are in order; the agreement is about to be made.
    Agreeing,
    /// The agreement is on chain.
    Agreed,
    /// The price is being locked, by this transaction.
    Paying(B256),
    /// The price is locked.
    Paid,
    /// The provider has granted the service.
    Granted,
    /// The publisher has the money: the service can be used.
    Released,
}

/// Why a purchase can't be made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The asset was never registered on this chain.
    #[error("{0} is not registered on this chain: is keeper.artifacts for the chain that the gateway uses?")]
    NotRegistered(Did),
    /// Agreements of this template can't be made here.
    #[error("the owner of the Keeper contracts has not approved the template of compute agreements on this chain")]
    TemplateNotApproved,
    /// Too few tokens.
    #[error("{} holds {has} of the token {}, and {needs} are needed", show_address(account), show_address(token))]
    Balance {
        /// Who pays.
        account: Address,
        /// In which token.
        token: Address,
        /// What the account has.
        has: U256,
        /// The price.
        needs: U256,
    },
    /// One who is buyer and provider at once.
    #[error("{0} is the gateway's own provider: agreements need two parties, so use another key")]
    OwnProvider(String),
    /// There is an agreement of that id already, and it is about something else.
    #[error("agreement {0} exists already, with another asset, price, owner or consumer: make a new one")]
    OtherTerms(AgreementId),
    /// There is no agreement of that id.
    #[error("there is no agreement {0} on this chain")]
    NoAgreement(AgreementId),
    /// The lock condition was given up.
    #[error("the lock condition of agreement {0} is aborted: make a new agreement")]
    Aborted(AgreementId),
    /// The wait for the grant ended.
    #[error("agreement {agreement} is {}", if *.paid_only { "paid, and not granted yet" } else { "granted, and its escrow not released yet" })]
    NotYet {
        /// The agreement.
        agreement: AgreementId,
        /// Not even granted.
        paid_only: bool,
    },
    /// The grant or the release can't come any more.
    #[error("agreement {0} was aborted on chain and can't be used; see EscrowReward.fulfill for the money")]
    Lost(AgreementId),
}

/// A fresh random id. Worth showing before anything is sent under it.
pub fn new_agreement_id() -> Result<AgreementId, OrderError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| ChainError::Misread { method: "getrandom", cause: error.to_string() })?;
    Ok(AgreementId(B256::from(bytes)))
}

/// Makes an agreement on `terms` and pays it, with no time locks and no time-outs, as the old clients do. One that was
/// broken off is gone on with: what is on chain already is not done again.
pub async fn place(
    chain: &Chain,
    signer: &PrivateKeySigner,
    terms: &Terms,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), OrderError> {
    let contracts = chain.contracts();
    let consumer = signer.address();
    if consumer == terms.provider {
        return Err(OrderError::OwnProvider(show_address(&consumer)));
    }
    let template = terms.kind.template();
    let mut batch = Batch::new();
    let owner = batch.call(contracts.did_registry, &getDIDOwnerCall { did: terms.did.0 }, At::Latest);
    let approved = batch.call(contracts.template_store, &isTemplateIdApprovedCall { id: template }, At::Latest);
    let there = batch.call(contracts.agreement_store, &getAgreementCall { id: terms.agreement.0 }, At::Latest);
    let mut answers = chain.rpc().send(batch).await?;
    let receiver = answers.call(owner)?;
    if receiver.is_zero() {
        return Err(OrderError::NotRegistered(terms.did));
    }
    if !answers.call(approved)? {
        return Err(OrderError::TemplateNotApproved);
    }
    let there = answers.call(there)?;
    let ids =
        ids::condition_ids(contracts, terms.kind, &terms.agreement, &terms.did, terms.price, &receiver, &consumer);
    if there.did.is_zero() {
        // Before anything is sent: an agreement that can't be paid is of no use.
        check_balance(chain, consumer, terms.price).await?;
        progress(Progress::Agreeing);
        let create = createAgreementCall {
            id: terms.agreement.0,
            did: terms.did.0,
            templateId: template,
            conditionIds: ids.to_array().to_vec(),
            timeLocks: vec![U256::ZERO; 3],
            timeOuts: vec![U256::ZERO; 3],
            actors: vec![consumer, terms.provider],
        };
        let row = [Outgoing::call(contracts.agreement_store, &create, Gas::Estimated)];
        for transaction in chain.transact(signer, &row).await? {
            chain.mined(transaction.hash, MINED).await?;
        }
    } else if there.did != terms.did.0 || there.conditionIds != ids.to_array() {
        return Err(OrderError::OtherTerms(terms.agreement));
    }
    progress(Progress::Agreed);
    pay(chain, signer, terms, ids, progress).await
}

async fn pay(
    chain: &Chain,
    signer: &PrivateKeySigner,
    terms: &Terms,
    ids: ConditionIds,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), OrderError> {
    use crate::keeper::ConditionState::{Aborted, Fulfilled};
    let contracts = chain.contracts();
    let [lock, ..] = conditions(chain, ids.to_array()).await?;
    match lock.state {
        Fulfilled => {
            progress(Progress::Paid);
            return Ok(());
        }
        Aborted => return Err(OrderError::Aborted(terms.agreement)),
        _ => {}
    }
    let allowed = check_balance(chain, signer.address(), terms.price).await?;
    let mut row = Vec::with_capacity(2);
    if allowed < terms.price {
        let approve = approveCall { spender: contracts.lock_reward, value: terms.price };
        row.push(Outgoing::call(contracts.token, &approve, APPROVE_GAS));
    }
    let fulfill =
        fulfillCall { agreementId: terms.agreement.0, rewardAddress: contracts.escrow_reward, amount: terms.price };
    row.push(Outgoing::call(contracts.lock_reward, &fulfill, LOCK_GAS));
    for transaction in chain.transact(signer, &row).await? {
        progress(Progress::Paying(transaction.hash));
        chain.mined(transaction.hash, MINED).await?;
    }
    // What the chain holds is what counts, not the receipt.
    let [lock, ..] = conditions(chain, ids.to_array()).await?;
    if !lock.is_fulfilled() {
        return Err(OrderError::Aborted(terms.agreement));
    }
    progress(Progress::Paid);
    Ok(())
}

/// What the lock contract may already take; an error if the account has less than the price.
async fn check_balance(chain: &Chain, account: Address, needs: U256) -> Result<U256, OrderError> {
    let contracts = chain.contracts();
    let mut batch = Batch::new();
    let balance = batch.call(contracts.token, &balanceOfCall { owner: account }, At::Latest);
    let allowance =
        batch.call(contracts.token, &allowanceCall { owner: account, spender: contracts.lock_reward }, At::Latest);
    let mut answers = chain.rpc().send(batch).await?;
    let has = answers.call(balance)?;
    if has < needs {
        return Err(OrderError::Balance { account, token: contracts.token, has, needs });
    }
    Ok(answers.call(allowance)?)
}
