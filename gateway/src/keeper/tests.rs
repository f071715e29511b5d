//! The decision, over facts made by hand. What the real contracts do is shown in the whole-system tests.

use alloy_primitives::{Address, B256, U256};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::chain::Contracts;
use crate::chain::contracts::{ACCESS_TEMPLATE, COMPUTE_TEMPLATE};

const NOW: u64 = 1_800_000_000;
const HEAD: u64 = 1_000;

fn address(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn contracts() -> Contracts {
    Contracts {
        did_registry: address(1),
        token: address(2),
        dispenser: None,
        condition_store: address(3),
        template_store: address(4),
        agreement_store: address(5),
        lock_reward: address(6),
        escrow_reward: address(7),
        access: address(8),
        compute: address(9),
    }
}

/// An honest agreement, all of whose parts a case may spoil.
#[derive(Debug, Clone)]
struct Scene {
    contracts: Contracts,
    agreement: Agreement,
    conditions: Vec<Condition>,
    offers: Vec<Offer>,
    template_approved: bool,
    lock_time: Option<u64>,
    owner_listed: bool,
    former_owner: Option<(Address, bool)>,
    escrow_holds: U256,
    may_grant: bool,
    consumer: Address,
    now: u64,
    head: u64,
    confirmations: u64,
}

const CONSUMER: u8 = 0xc0;
const PROVIDER: u8 = 0xb0;
const OWNER: u8 = 0xa0;

fn offer(version: u64, price: u64, since: u64, until: Option<u64>) -> Offer {
    let time = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    Offer {
        version,
        published_at: time(since),
        superseded_at: until.map(time),
        kind: ServiceKind::Compute,
        price: U256::from(price),
        timeout_s: 86_400,
    }
}

impl Scene {
    fn honest() -> Self {
        let contracts = contracts();
        let id = AgreementId(B256::repeat_byte(0x11));
        let did = Did(B256::repeat_byte(0x22));
        let ids = ids::condition_ids(
            &contracts,
            ServiceKind::Compute,
            &id,
            &did,
            U256::from(10),
            &address(OWNER),
            &address(CONSUMER),
        );
        let condition = |type_ref, updated| Condition {
            type_ref,
            state: ConditionState::Fulfilled,
            time_lock: 0,
            time_out: 0,
            created: 900,
            updated,
        };
        Self {
            agreement: Agreement {
                id,
                did,
                did_owner: address(OWNER),
                template: COMPUTE_TEMPLATE,
                condition_ids: ids.to_array().to_vec(),
                actors: vec![address(PROVIDER), address(CONSUMER)],
                block: 900,
                time: NOW - 3_600,
            },
            conditions: vec![
                condition(contracts.lock_reward, 901),
                condition(contracts.compute, 902),
                condition(contracts.escrow_reward, 903),
            ],
            contracts,
            offers: vec![offer(1, 10, NOW - 100_000, None)],
            template_approved: true,
            lock_time: None,
            owner_listed: true,
            former_owner: None,
            escrow_holds: U256::from(10),
            may_grant: true,
            consumer: address(CONSUMER),
            now: NOW,
            head: HEAD,
            confirmations: 12,
        }
    }

    /// Paid, not granted.
    fn paid() -> Self {
        let mut scene = Self::honest();
        scene.conditions[1].state = ConditionState::Unfulfilled;
        scene.conditions[2].state = ConditionState::Unfulfilled;
        scene
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            contracts: &self.contracts,
            agreement: &self.agreement,
            conditions: &self.conditions,
            template_approved: self.template_approved,
            offers: &self.offers,
            lock_time: self.lock_time,
            owner_listed: self.owner_listed,
            former_owner: self.former_owner,
            escrow_holds: Some(self.escrow_holds),
            may_grant: self.may_grant,
            consumer: self.consumer,
            provider: address(PROVIDER),
            now: self.now,
            head: self.head,
            confirmations: self.confirmations,
        }
    }

    fn start(&self) -> Decision {
        decide(&self.facts(), Purpose::Start(ServiceKind::Compute))
    }

    fn grant(&self) -> Decision {
        decide(&self.facts(), Purpose::Grant)
    }
}

#[track_caller]
fn code(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allowed(_) => "allowed",
        Decision::NotYet(not_yet) => not_yet.code(),
        Decision::Denied(denied) => denied.code(),
    }
}

/// A consumer who paid must be let in, whatever client wrote the agreement.
#[test]
fn honest_agreements_start() {
    let mut scene = Scene::honest();
    assert_eq!(code(&scene.start()), "allowed");
    scene.agreement.actors.reverse();
    assert_eq!(code(&scene.start()), "allowed");
    scene.agreement.did_owner = address(0xdd);
    scene.former_owner = Some((address(OWNER), true));
    scene.owner_listed = false;
    assert!(
        matches!(scene.start(), Decision::Allowed(grant) if grant.receiver == address(OWNER)),
        "bought before a sale"
    );
    for condition in &mut scene.conditions {
        condition.time_lock = 5;
        condition.time_out = 50;
    }
    assert_eq!(
        code(&scene.start()),
        "allowed",
        "time locks and time-outs that differ from the document's are no reason"
    );
}

/// Each of these would be data for nothing, or data for a stranger.
#[test]
fn what_is_no_honest_agreement_is_denied() {
    type Spoil = fn(&mut Scene);
    let spoils: [(&str, Spoil, Denied); 13] = [
        ("unknown", |scene| scene.agreement.block = 0, Denied::NoAgreement),
        ("template", |scene| scene.agreement.template = B256::repeat_byte(1), Denied::OtherTemplate),
        ("access", |scene| scene.agreement.template = ACCESS_TEMPLATE, Denied::OtherTemplate),
        ("revoked", |scene| scene.template_approved = false, Denied::TemplateNotApproved),
        ("stranger", |scene| scene.consumer = address(0xdd), Denied::NotAnActor),
        ("provider", |scene| scene.consumer = address(PROVIDER), Denied::OwnProvider),
        (
            "other actor",
            |scene| {
                scene.agreement.actors.push(address(0xdd));
                scene.consumer = address(0xdd);
            },
            Denied::OtherGrantee,
        ),
        ("two conditions", |scene| scene.agreement.condition_ids.truncate(2), Denied::WrongConditions),
        ("foreign contract", |scene| scene.conditions[2].type_ref = address(0xee), Denied::WrongConditions),
        (
            "other receiver",
            |scene| scene.agreement.did_owner = address(0xdd),
            Denied::WrongReceiver { owner: address(0xdd) },
        ),
        (
            "stranger's asset",
            |scene| scene.owner_listed = false,
            Denied::NotListed { owner: address(OWNER), did: Did(B256::repeat_byte(0x22)) },
        ),
        ("no offer", |scene| scene.offers.clear(), Denied::NotOffered),
        (
            "expired",
            |scene| scene.now = scene.agreement.time + 86_401,
            Denied::Expired { at: Timestamp::from_second(i64::try_from(NOW - 3_600 + 86_400).unwrap()).unwrap() },
        ),
    ];
    for (name, spoil, expected) in spoils {
        let mut scene = Scene::honest();
        spoil(&mut scene);
        assert_eq!(scene.start(), Decision::Denied(expected), "{name}");
        if !matches!(name, "access" | "expired") {
            assert!(!matches!(scene.grant(), Decision::Allowed(_)), "{name}");
        }
    }
}

/// 409 tells a client to come back, 401 not to: a wrong one of the two loses a paying consumer or keeps a hopeless one.
#[test]
fn each_condition_decides_between_not_yet_and_no() {
    use ConditionState::{Aborted, Fulfilled, Unfulfilled};
    let cases = [
        ([Unfulfilled, Unfulfilled, Unfulfilled], "lock_unpaid"),
        ([Fulfilled, Unfulfilled, Unfulfilled], "not_granted"),
        ([Fulfilled, Fulfilled, Unfulfilled], "escrow_unreleased"),
        ([Fulfilled, Fulfilled, Fulfilled], "allowed"),
        ([Aborted, Unfulfilled, Unfulfilled], "not_authorized"),
        ([Fulfilled, Aborted, Unfulfilled], "not_authorized"),
        ([Fulfilled, Aborted, Fulfilled], "not_authorized"),
        ([Fulfilled, Fulfilled, Aborted], "not_authorized"),
        ([Unfulfilled, Fulfilled, Fulfilled], "lock_unpaid"),
    ];
    for (states, expected) in cases {
        let mut scene = Scene::honest();
        for (condition, state) in scene.conditions.iter_mut().zip(states) {
            condition.state = state;
        }
        assert_eq!(code(&scene.start()), expected, "{states:?}");
    }
}

/// The hole through which data went for nothing: an escrow that looks as if it could still be released.
#[test]
fn an_escrow_that_cannot_be_released_is_a_no() {
    let open = |spoil: fn(&mut Scene)| {
        let mut scene = Scene::honest();
        scene.conditions[2].state = ConditionState::Unfulfilled;
        spoil(&mut scene);
        scene.start()
    };
    assert_eq!(open(|_| ()), Decision::NotYet(NotYet::EscrowUnreleased));
    assert_eq!(open(|scene| scene.conditions[2].time_out = 100), Decision::Denied(Denied::EscrowAborted));
    assert_eq!(open(|scene| scene.conditions[2].time_out = 101), Decision::NotYet(NotYet::EscrowUnreleased));
    assert_eq!(
        open(|scene| scene.conditions[2].time_lock = 1_000_000_000),
        Decision::Denied(Denied::EscrowLocked { until: 1_000_000_900 })
    );
    assert_eq!(
        open(|scene| scene.conditions[2].time_lock = u64::MAX),
        Decision::Denied(Denied::EscrowLocked { until: u64::MAX })
    );
    assert_eq!(
        open(|scene| scene.conditions[2].time_lock = 110),
        Decision::NotYet(NotYet::EscrowLocked { until: 1_010 })
    );
    assert_eq!(
        open(|scene| scene.escrow_holds = U256::from(9)),
        Decision::Denied(Denied::EscrowShort { holds: U256::from(9), price: U256::from(10) })
    );
}

/// A price change must neither rob those who paid the old price just now, nor let anybody pay it for ever.
#[test]
fn an_older_price_holds_for_half_an_hour_after_it_was_replaced() {
    let changed = NOW - 50_000;
    let paid = |lock_time: u64| {
        let mut scene = Scene::honest();
        scene.offers = vec![offer(2, 20, changed, None), offer(1, 10, NOW - 100_000, Some(changed))];
        assert!(needs_lock_time(&scene.facts()));
        assert_eq!(code(&scene.start()), "price_changed", "an unknown time is no excuse");
        scene.lock_time = Some(lock_time);
        scene.start()
    };
    let version = |decision: Decision| match decision {
        Decision::Allowed(grant) => grant.version,
        other => panic!("{other:?}"),
    };
    assert_eq!(version(paid(changed - 1)), 1);
    assert_eq!(version(paid(changed + 30 * 60 - 1)), 1);
    assert_eq!(paid(changed + 30 * 60), Decision::Denied(Denied::PriceChanged { price: U256::from(20) }));
    assert_eq!(
        paid(NOW - 100_001),
        Decision::Denied(Denied::PriceChanged { price: U256::from(20) }),
        "before the version there was no such price"
    );
    let mut never = Scene::honest();
    never.offers = vec![offer(1, 11, NOW - 100_000, None)];
    assert!(!needs_lock_time(&never.facts()));
    assert_eq!(never.start(), Decision::Denied(Denied::WrongPrice { price: U256::from(11) }));
}

/// A grant is money and data: only for a buried payment, only where the publisher will be paid.
#[test]
fn grants_are_for_buried_payments_and_safe_escrows() {
    let grant = |spoil: fn(&mut Scene)| {
        let mut scene = Scene::paid();
        spoil(&mut scene);
        scene.grant()
    };
    assert_eq!(code(&grant(|_| ())), "allowed");
    assert_eq!(grant(|scene| scene.head = 901 + 11), Decision::NotYet(NotYet::LockUnconfirmed { has: 11, needs: 12 }));
    assert_eq!(
        grant(|scene| scene.conditions[0].state = ConditionState::Unfulfilled),
        Decision::NotYet(NotYet::LockUnpaid)
    );
    assert_eq!(grant(|scene| scene.conditions[2].time_out = 1), Decision::Denied(Denied::EscrowAborted));
    assert_eq!(
        grant(|scene| scene.conditions[2].time_out = 150),
        Decision::Denied(Denied::EscrowEndsSoon { at: 1_050 })
    );
    assert_eq!(code(&grant(|scene| scene.conditions[2].time_out = 300)), "allowed");
    assert_eq!(
        grant(|scene| scene.conditions[1].time_out = 150),
        Decision::Denied(Denied::EscrowEndsSoon { at: 1_050 })
    );
    assert_eq!(
        grant(|scene| scene.conditions[1].time_lock = 200),
        Decision::NotYet(NotYet::ServiceLocked { until: 1_100 })
    );
    assert_eq!(code(&grant(|scene| scene.conditions[2].time_lock = 1_000_000_000)), "not_authorized");
    assert_eq!(code(&grant(|scene| scene.escrow_holds = U256::ZERO)), "not_authorized");
    assert_eq!(code(&grant(|scene| scene.may_grant = false)), "not_authorized");
    assert_eq!(code(&grant(|scene| scene.now += 100_000)), "not_authorized");
    // Stopped between the two transactions: the publisher still gets the money, expired or not.
    let half = grant(|scene| {
        scene.conditions[1].state = ConditionState::Fulfilled;
        scene.now += 100_000;
    });
    assert!(matches!(half, Decision::Allowed(Grant { service_pending: false, escrow_pending: true, .. })), "{half:?}");
}

fn state() -> impl Strategy<Value = ConditionState> {
    (0_u8..4).prop_map(ConditionState::from)
}

prop_compose! {
    /// Facts near the honest ones, each of them spoilt or not.
    fn scenes()(
        states in [state(), state(), state()],
        locks in [0_u64..300, 0..300, 0..300],
        outs in [0_u64..300, 0..300, 0..300],
        spoilt_id in proptest::option::weighted(0.2, 0_usize..3),
        spoilt_type in proptest::option::weighted(0.1, 0_usize..3),
        price in prop_oneof![4 => Just(10_u64), 1 => 0_u64..20],
        owner in prop_oneof![4 => Just(OWNER), 1 => any::<u8>()],
        consumer in prop_oneof![4 => Just(CONSUMER), 1 => Just(PROVIDER), 1 => any::<u8>()],
        approved in proptest::bool::weighted(0.9),
        template in prop_oneof![6 => Just(COMPUTE_TEMPLATE), 1 => Just(ACCESS_TEMPLATE), 1 => Just(B256::ZERO)],
        age in 0_u64..200_000,
        timeout_s in prop_oneof![Just(0_u64), Just(86_400)],
        head in 900_u64..1_200,
        holds in 0_u64..20,
    ) -> Scene {
        let mut scene = Scene::honest();
        for (index, condition) in scene.conditions.iter_mut().enumerate() {
            condition.state = states[index];
            condition.time_lock = locks[index];
            condition.time_out = outs[index];
        }
        if let Some(index) = spoilt_id {
            scene.agreement.condition_ids[index] = B256::repeat_byte(0x99);
        }
        if let Some(index) = spoilt_type {
            scene.conditions[index].type_ref = address(0x99);
        }
        scene.offers[0].price = U256::from(price);
        scene.offers[0].timeout_s = timeout_s;
        scene.agreement.did_owner = address(owner);
        scene.agreement.template = template;
        scene.agreement.time = NOW - age;
        scene.template_approved = approved;
        scene.consumer = address(consumer);
        scene.head = head;
        scene.escrow_holds = U256::from(holds);
        scene
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is on chain: a start has been paid for, by this consumer, to the owner, at the offered price, in time.
    #[test]
    fn no_start_without_all_three_conditions_of_this_very_purchase(scene in scenes()) {
        let expected = ids::condition_ids(
            &scene.contracts,
            ServiceKind::Compute,
            &scene.agreement.id,
            &scene.agreement.did,
            scene.offers[0].price,
            &scene.agreement.did_owner,
            &scene.consumer,
        );
        let offer = &scene.offers[0];
        let types = [scene.contracts.lock_reward, scene.contracts.compute, scene.contracts.escrow_reward];
        let bought = scene.agreement.condition_ids == expected.to_array()
            && scene.conditions.iter().map(|condition| condition.type_ref).eq(types)
            && scene.agreement.template == COMPUTE_TEMPLATE
            && scene.template_approved
            && scene.consumer != address(PROVIDER)
            && scene.agreement.actors.contains(&scene.consumer);
        let in_time = offer.timeout_s == 0 || scene.agreement.time + offer.timeout_s >= scene.now;
        let paid = scene.conditions.iter().all(Condition::is_fulfilled);
        match scene.start() {
            Decision::Allowed(grant) => {
                prop_assert!(bought && in_time && paid);
                prop_assert!(!grant.service_pending && !grant.escrow_pending);
            }
            Decision::NotYet(_) => prop_assert!(bought && in_time && !paid),
            Decision::Denied(_) => prop_assert!(!(bought && in_time && paid)),
        }
        if let Decision::Allowed(grant) = scene.grant() {
            prop_assert!(bought);
            prop_assert!(!grant.service_pending || (scene.conditions[0].is_fulfilled() && in_time));
            prop_assert!(!grant.service_pending || scene.conditions[0].updated + scene.confirmations <= scene.head);
            prop_assert!(!grant.escrow_pending || scene.escrow_holds >= grant.price);
        }
    }
}
