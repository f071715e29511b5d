//! The decision: one pure function that authorization and grants both call. It reads no clock, no chain, no store.

use alloy_primitives::{Address, B256, U256};
use jiff::Timestamp;

use super::facts::{Condition, ConditionState, Facts, Grant};
use super::ids::{self, ConditionIds};
use super::offers::{Offer, ServiceKind};
use super::reason::{Denied, NotYet};

/// How long after a new version of a document somebody who saw the old price may still pay it.
const PRICE_GRACE_S: i64 = 30 * 60;
/// A grant is two transactions; a condition that ends within so many blocks could end between them.
const SAFE_BLOCKS: u64 = 100;
/// A time lock that ends within so many blocks (a day, at 15 s a block) is worth waiting for.
const NEAR_BLOCKS: u64 = 5_760;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// May this consumer use the service now? Only if the publisher has been paid.
    Start(ServiceKind),
    /// Should the provider grant it now?
    Grant,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed(Grant),
    /// Something is missing that may still come.
    NotYet(NotYet),
    /// No.
    Denied(Denied),
}

/// Every answer but yes.
enum No {
    NotYet(NotYet),
    Denied(Denied),
}

impl From<Denied> for No {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<NotYet> for No {
    fn from(not_yet: NotYet) -> Self {
        Self::NotYet(not_yet)
    }
}

/// Decides.
///
/// - A start needs all three conditions Fulfilled. Service and escrow both Fulfilled is the only proof that the publisher
///   was paid: an escrow can be made so that it can never be released, and what was locked can be taken back through a
///   second agreement that carries an escrow id of the first.
/// - A grant needs the lock Fulfilled and deep enough, and an escrow that can still be released.
/// - The ids are recomputed from what the document offers; an agreement is made by its consumer, who may put anything in.
pub fn decide(facts: &Facts<'_>, purpose: Purpose) -> Decision {
    match check(facts, purpose) {
        Ok(grant) => Decision::Allowed(grant),
        Err(No::NotYet(not_yet)) => Decision::NotYet(not_yet),
        Err(No::Denied(denied)) => Decision::Denied(denied),
    }
}

/// Whether the time of the lock's block must be read before the decision: it was paid, and not at the current price, but
/// at an earlier one.
pub fn needs_lock_time(facts: &Facts<'_>) -> bool {
    let Some(kind) = ServiceKind::of_template(&facts.agreement.template) else { return false };
    let (Some(stored), Some(lock)) = (facts.agreement.condition_ids.first(), facts.conditions.first()) else {
        return false;
    };
    let matching = |offer: &&Offer| lock_matches(facts, offer, stored);
    facts.lock_time.is_none()
        && lock.is_fulfilled()
        && !of_kind(facts, kind).filter(|offer| offer.superseded_at.is_none()).any(|offer| matching(&offer))
        && of_kind(facts, kind).any(|offer| matching(&offer))
}

fn check(facts: &Facts<'_>, purpose: Purpose) -> Result<Grant, No> {
    let agreement = facts.agreement;
    if !agreement.exists() {
        return Err(Denied::NoAgreement.into());
    }
    let kind = ServiceKind::of_template(&agreement.template).ok_or(Denied::OtherTemplate)?;
    if matches!(purpose, Purpose::Start(wanted) if wanted != kind) {
        return Err(Denied::OtherTemplate.into());
    }
    if !facts.template_approved {
        return Err(Denied::TemplateNotApproved.into());
    }
    if facts.consumer == facts.provider {
        return Err(Denied::OwnProvider.into());
    }
    if !agreement.actors.contains(&facts.consumer) {
        return Err(Denied::NotAnActor.into());
    }
    let (&[lock_id, service_id, escrow_id], &[lock, service, escrow]) =
        (agreement.condition_ids.as_slice(), facts.conditions)
    else {
        return Err(Denied::WrongConditions.into());
    };
    let expected =
        [facts.contracts.lock_reward, ids::contract_of(facts.contracts, kind), facts.contracts.escrow_reward];
    if [lock.type_ref, service.type_ref, escrow.type_ref] != expected {
        return Err(Denied::WrongConditions.into());
    }
    if service_id != ids::service_id(facts.contracts, kind, &agreement.id, &agreement.did, &facts.consumer) {
        return Err(Denied::OtherGrantee.into());
    }
    let offer = offer_paid(facts, kind, &lock_id, &lock)?;
    let stored = ConditionIds { lock: lock_id, service: service_id, escrow: escrow_id };
    let pays = |(owner, _): &(Address, bool)| {
        let (price, consumer) = (offer.price, &facts.consumer);
        ids::escrow_id(facts.contracts, &agreement.id, price, owner, consumer, &lock_id, &service_id) == escrow_id
    };
    let (receiver, is_listed) = [Some((agreement.did_owner, facts.owner_listed)), facts.former_owner]
        .into_iter()
        .flatten()
        .find(pays)
        .ok_or(Denied::WrongReceiver { owner: agreement.did_owner })?;
    if !is_listed {
        return Err(Denied::NotListed { owner: receiver, did: agreement.did }.into());
    }
    let expires = (offer.timeout_s != 0).then(|| agreement.time.saturating_add(offer.timeout_s));
    let grant = Grant {
        kind,
        version: offer.version,
        price: offer.price,
        receiver,
        timeout_s: offer.timeout_s,
        expires,
        ids: stored,
        service_pending: !service.is_fulfilled(),
        escrow_pending: !escrow.is_fulfilled(),
    };
    match purpose {
        Purpose::Start(_) => start(facts, &lock, &service, &escrow, &grant)?,
        Purpose::Grant => to_grant(facts, &lock, &service, &escrow, &grant)?,
    }
    Ok(grant)
}

fn of_kind<'a>(facts: &Facts<'a>, kind: ServiceKind) -> impl Iterator<Item = &'a Offer> {
    facts.offers.iter().filter(move |offer| offer.kind == kind)
}

fn lock_matches(facts: &Facts<'_>, offer: &Offer, stored: &B256) -> bool {
    ids::lock_id(facts.contracts, &facts.agreement.id, offer.price) == *stored
}

/// The offer whose price the lock condition is for: the current one, else one in force when the lock was fulfilled (an
/// unpaid one: now) or up to half an hour before.
fn offer_paid<'a>(facts: &Facts<'a>, kind: ServiceKind, stored: &B256, lock: &Condition) -> Result<&'a Offer, No> {
    let newest = of_kind(facts, kind).next().ok_or(Denied::NotOffered)?;
    let is_current = |offer: &&Offer| offer.superseded_at.is_none();
    if let Some(offer) = of_kind(facts, kind).filter(is_current).find(|offer| lock_matches(facts, offer, stored)) {
        return Ok(offer);
    }
    let paid = if lock.is_fulfilled() { facts.lock_time } else { Some(facts.now) };
    let in_force = |offer: &&Offer| {
        let (Some(paid), Some(superseded)) = (paid.and_then(|paid| i64::try_from(paid).ok()), offer.superseded_at)
        else {
            return false;
        };
        offer.published_at.as_second() <= paid && superseded.as_second() > paid.saturating_sub(PRICE_GRACE_S)
    };
    if let Some(offer) = of_kind(facts, kind).filter(in_force).find(|offer| lock_matches(facts, offer, stored)) {
        return Ok(offer);
    }
    if of_kind(facts, kind).any(|offer| lock_matches(facts, offer, stored)) {
        return Err(Denied::PriceChanged { price: newest.price }.into());
    }
    Err(Denied::WrongPrice { price: newest.price }.into())
}

fn not_expired(facts: &Facts<'_>, grant: &Grant) -> Result<(), No> {
    match grant.expires {
        Some(at) if facts.now > at => Err(Denied::Expired { at: time(at) }.into()),
        _ => Ok(()),
    }
}

fn time(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

/// Lock Fulfilled, or why not.
fn locked(facts: &Facts<'_>, lock: &Condition) -> Result<(), No> {
    if lock.is_fulfilled() {
        return Ok(());
    }
    Err(if lock.is_lost(facts.head + 1) { Denied::LockAborted.into() } else { NotYet::LockUnpaid.into() })
}

fn start(
    facts: &Facts<'_>,
    lock: &Condition,
    service: &Condition,
    escrow: &Condition,
    grant: &Grant,
) -> Result<(), No> {
    not_expired(facts, grant)?;
    locked(facts, lock)?;
    if !service.is_fulfilled() {
        if service.is_lost(facts.head + 1) {
            return Err(Denied::ServiceAborted.into());
        }
        // Nobody should grant what can't be paid, so there is nothing to wait for.
        if let Err(No::Denied(denied)) = releasable(facts, escrow, grant.price) {
            return Err(denied.into());
        }
        return Err(NotYet::NotGranted.into());
    }
    if !escrow.is_fulfilled() {
        releasable(facts, escrow, grant.price)?;
        return Err(NotYet::EscrowUnreleased.into());
    }
    Ok(())
}

fn to_grant(
    facts: &Facts<'_>,
    lock: &Condition,
    service: &Condition,
    escrow: &Condition,
    grant: &Grant,
) -> Result<(), No> {
    if !grant.service_pending && !grant.escrow_pending {
        return Ok(());
    }
    locked(facts, lock)?;
    let next = facts.head + 1;
    if grant.service_pending {
        not_expired(facts, grant)?;
        if service.is_lost(next) {
            return Err(Denied::ServiceAborted.into());
        }
        let has = facts.head.saturating_sub(lock.updated);
        if has < facts.confirmations {
            return Err(NotYet::LockUnconfirmed { has, needs: facts.confirmations }.into());
        }
    }
    if grant.escrow_pending {
        releasable(facts, escrow, grant.price)?;
    }
    if grant.service_pending {
        if let Some(at) = [service, escrow].iter().filter_map(|condition| condition.ends()).min()
            && at.saturating_sub(next) < SAFE_BLOCKS
        {
            return Err(Denied::EscrowEndsSoon { at }.into());
        }
        if !facts.may_grant {
            return Err(Denied::NotProvider { provider: facts.provider, did: facts.agreement.did }.into());
        }
        if let Some(until) = service.locked_until(next) {
            return Err(NotYet::ServiceLocked { until }.into());
        }
    }
    Ok(())
}

/// Whether a transaction in the next block could pay the publisher out of the escrow.
fn releasable(facts: &Facts<'_>, escrow: &Condition, price: U256) -> Result<(), No> {
    let next = facts.head + 1;
    if escrow.state == ConditionState::Uninitialized {
        return Err(Denied::WrongConditions.into());
    }
    if escrow.is_lost(next) {
        return Err(Denied::EscrowAborted.into());
    }
    if let Some(until) = escrow.locked_until(next) {
        let near = until - next <= NEAR_BLOCKS;
        return Err(if near { NotYet::EscrowLocked { until }.into() } else { Denied::EscrowLocked { until }.into() });
    }
    match facts.escrow_holds {
        Some(holds) if holds < price => Err(Denied::EscrowShort { holds, price }.into()),
        _ => Ok(()),
    }
}
