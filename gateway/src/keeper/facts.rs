//! What is known of an agreement when it is decided about.

use alloy_primitives::{Address, B256, U256};

use super::ids::{self, ConditionIds};
use super::offers::{Offer, ServiceKind};
use crate::chain::Contracts;
use crate::types::{AgreementId, Did};

/// A condition's state on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionState {
    /// There is no such condition.
    Uninitialized,
    /// It waits.
    Unfulfilled,
    /// It was met; for ever.
    Fulfilled,
    /// It was given up; for ever.
    Aborted,
}

impl From<u8> for ConditionState {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Unfulfilled,
            2 => Self::Fulfilled,
            3 => Self::Aborted,
            _ => Self::Uninitialized,
        }
    }
}

/// A condition as `ConditionStoreManager` holds it. Blocks are block numbers; an absurdly late one is the latest of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// The contract that alone may change it.
    pub type_ref: Address,
    /// Its state.
    pub state: ConditionState,
    /// Blocks after its creation before which it can't be fulfilled.
    pub time_lock: u64,
    /// Blocks after its creation after which it can only be aborted; 0: never.
    pub time_out: u64,
    /// The block of its creation.
    pub created: u64,
    /// The block of its last change.
    pub updated: u64,
}

impl Condition {
    /// Whether it was met.
    pub fn is_fulfilled(&self) -> bool {
        self.state == ConditionState::Fulfilled
    }

    /// Until which block a time lock holds, if it holds in `block`.
    pub(super) fn locked_until(&self, block: u64) -> Option<u64> {
        let until = self.created.saturating_add(self.time_lock);
        (self.time_lock != 0 && block < until).then_some(until)
    }

    /// The last block in which it can be fulfilled.
    pub(super) fn ends(&self) -> Option<u64> {
        (self.time_out != 0).then(|| self.created.saturating_add(self.time_out))
    }

    /// Aborted, or bound to be: a transaction of `block` or later would not fulfil it any more.
    pub(super) fn is_lost(&self, block: u64) -> bool {
        self.state == ConditionState::Aborted
            || (self.state != ConditionState::Fulfilled && self.ends().is_some_and(|end| block > end))
    }
}

/// An agreement as `AgreementStoreManager` holds it. For an unknown id the contract answers zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Its id.
    pub id: AgreementId,
    /// What was bought.
    pub did: Did,
    /// Who owns that now: the contract looks it up, it does not keep it.
    pub did_owner: Address,
    /// Its template.
    pub template: B256,
    /// Its conditions, in its template's order.
    pub condition_ids: Vec<B256>,
    /// Those who take part. Which of them is labelled provider and which consumer can't be relied on: squid-js swaps them.
    pub actors: Vec<Address>,
    /// The block that it was made in.
    pub block: u64,
    /// That block's time, in seconds since 1970.
    pub time: u64,
}

impl Agreement {
    /// Whether there is such an agreement.
    pub fn exists(&self) -> bool {
        self.block != 0 && !self.did.0.is_zero()
    }

    /// Whom its service condition is for: the actor, other than the provider, whose address its id was computed from.
    pub fn grantee(&self, contracts: &Contracts, provider: &Address) -> Option<Address> {
        let kind = ServiceKind::of_template(&self.template)?;
        let stored = self.condition_ids.get(1)?;
        let is_grantee = |actor: &&Address| ids::service_id(contracts, kind, &self.id, &self.did, actor) == *stored;
        self.actors.iter().filter(|actor| *actor != provider).find(is_grantee).copied()
    }
}

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where the contracts are.
    pub contracts: &'a Contracts,
    /// The agreement.
    pub agreement: &'a Agreement,
    /// Its conditions, in its order.
    pub conditions: &'a [Condition],
    /// Whether its template is approved at the head.
    pub template_approved: bool,
    /// What its asset's document offers and offered, newest first.
    pub offers: &'a [Offer],
    /// The time of the block in which the lock was fulfilled, where it was asked for (see `needs_lock_time`).
    pub lock_time: Option<u64>,
    /// Whether assets of the owner of now are sold here.
    pub owner_listed: bool,
    /// Who owned the asset when the agreement was made, and whether his assets are sold here; where that was looked up: only
    /// if the owner of now is not the one whom the agreement pays.
    pub former_owner: Option<(Address, bool)>,
    /// What `EscrowReward` holds of the token, where it was read.
    pub escrow_holds: Option<U256>,
    /// Whether this gateway's provider may fulfil the service condition.
    pub may_grant: bool,
    /// Who asks, or who is to be granted.
    pub consumer: Address,
    /// This gateway's own provider.
    pub provider: Address,
    /// The later of the clock and the head's time, in seconds since 1970.
    pub now: u64,
    /// The head's number.
    pub head: u64,
    /// How deep a payment must lie before it is granted.
    pub confirmations: u64,
}

/// What an agreement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Which service.
    pub kind: ServiceKind,
    /// The version of the document whose price was paid; its timeout holds.
    pub version: u64,
    /// What was paid.
    pub price: U256,
    /// To whom: the asset's owner when it was bought.
    pub receiver: Address,
    /// Seconds from the agreement's time until it expires; 0: never.
    pub timeout_s: u64,
    /// When it expires, in seconds since 1970.
    pub expires: Option<u64>,
    /// Its conditions' ids.
    pub ids: ConditionIds,
    /// Whether the service condition is still to be fulfilled; never for a start.
    pub service_pending: bool,
    /// Whether the escrow is still to be released; never for a start.
    pub escrow_pending: bool,
}
