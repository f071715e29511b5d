//! The keeper on the real contracts: who paid is let in, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alloy_primitives::U256;
use brizo::chain::contracts::{
    ACCESS_TEMPLATE, COMPUTE_TEMPLATE, Condition, DIDRegistry, EscrowReward, LockRewardCondition, ServiceCondition,
    TemplateStoreManager,
};
use brizo::keeper::{Authorized, Denied, Keeper, NotYet, Refusal, Why, ids};
use brizo::types::AgreementId;
use brizo_tests::chain::{Purchase, development_key, fresh};
use brizo_tests::deploy::Result;
use brizo_tests::proxy::{Honest, Proxy, Tamper};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{keeper, offer, trial};
use crate::world::{PRICE, World, denied};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("keeper::who_paid_is_let_in", who_paid_is_let_in),
        trial("keeper::a_sold_asset_keeps_its_buyers", a_sold_asset_keeps_its_buyers),
        trial("keeper::a_price_change_keeps_its_buyers", a_price_change_keeps_its_buyers),
        trial("keeper::strangers_are_refused", strangers_are_refused),
        trial("keeper::another_template_is_refused", another_template_is_refused),
        trial("keeper::one_payment_is_one_agreement", one_payment_is_one_agreement),
        trial("keeper::a_lock_of_nothing_pays_nothing", a_lock_of_nothing_pays_nothing),
        trial("keeper::wrong_prices_and_receivers_are_refused", wrong_prices_and_receivers_are_refused),
        trial("keeper::each_step_is_waited_for", each_step_is_waited_for),
        trial("keeper::a_grant_after_its_time_out_is_none", a_grant_after_its_time_out_is_none),
        trial("keeper::an_aborted_escrow_is_refused", an_aborted_escrow_is_refused),
        trial("keeper::an_escrow_locked_for_ever_is_refused", an_escrow_locked_for_ever_is_refused),
        trial("keeper::money_taken_back_before_the_grant", money_taken_back_before_the_grant),
        trial("keeper::money_taken_back_after_the_grant", money_taken_back_after_the_grant),
        trial("keeper::an_agreement_expires", an_agreement_expires),
        trial("keeper::a_revoked_template_ends_everything", a_revoked_template_ends_everything),
        trial("keeper::time_outs_end_where_the_contracts_say", time_outs_end_where_the_contracts_say),
        trial("keeper::round_trips", round_trips),
        trial("keeper::trouble_is_never_a_no", trouble_is_never_a_no),
        trial("keeper::a_lagging_node_is_asked_again", a_lagging_node_is_asked_again),
        trial("keeper::huge_prices_give_the_contracts_ids", huge_prices_give_the_contracts_ids),
        trial("keeper::algorithms_by_did", algorithms_by_did),
    ]
}

/// Lost otherwise: the customer.
async fn who_paid_is_let_in() -> Result<()> {
    let world = World::new().await?;
    for reversed in [false, true] {
        let mut purchase = world.purchase();
        if reversed {
            purchase.actors.reverse();
        }
        // squid-js writes whatever the document says, or zeros; neither is a reason.
        purchase.time_outs = [0, 1_000, 1_000];
        world.pay(&purchase).await?;
        world.granter.grant(purchase.id).await?;
        let first = world.start(&purchase).await?;
        let Authorized { agreement, consumer, did, did_owner, version, price, timeout_s, agreement_time, expires } =
            first;
        assert_eq!((agreement, consumer, did), (purchase.id, world.consumer.address(), world.did));
        assert_eq!((did_owner, version, price), (world.publisher.address(), 1, U256::from(PRICE)));
        assert_eq!((timeout_s, expires), (86_400, Some(agreement_time + 86_400)));
        assert_eq!(world.start(&purchase).await?, first, "the second time from memory");
    }
    Ok(())
}

async fn a_sold_asset_keeps_its_buyers() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let call = DIDRegistry::transferDIDOwnershipCall { did: world.did.0, newOwner: world.stranger.address() };
    world.chain.transact(&world.publisher, world.contracts().did_registry, &call).await?;
    assert_eq!(world.start(&purchase).await?.did_owner, world.publisher.address());
    let fresh_keeper = keeper(&world.chain, &world.shelf, None)?;
    let authorized = fresh_keeper.authorize(purchase.id, world.consumer.address()).await?;
    assert_eq!(authorized.did_owner, world.publisher.address());
    // Paid to the one who owned it before, after it was sold: that is nobody's price.
    let late = world.purchase();
    world.pay(&late).await?;
    world.refused(&late, Denied::WrongReceiver { owner: world.stranger.address() }).await?;
    assert_eq!(fresh_keeper.owner_of(&world.did).await?, Some(world.stranger.address()));
    Ok(())
}

async fn a_price_change_keeps_its_buyers() -> Result<()> {
    let world = World::new().await?;
    let early = world.bought().await?;
    let late = world.purchase();
    world.shelf.set(world.did, vec![offer(2, U256::from(20), 0, None), offer(1, U256::from(PRICE), 3_600, Some(0))]);
    assert_eq!(world.start(&early).await?.version, 1);
    let fresh_keeper = keeper(&world.chain, &world.shelf, None)?;
    assert_eq!(fresh_keeper.authorize(early.id, world.consumer.address()).await?.version, 1);
    // Half an hour after the change the old price buys nothing any more; what was bought stays bought.
    world.chain.later(31 * 60).await?;
    world.pay(&late).await?;
    let refusal = world.start(&late).await.expect_err("a stale price");
    assert_eq!(refusal.code(), "price_changed");
    assert!(refusal.to_string().contains("costs 20 now"), "{refusal}");
    world.not_granted(&late).await?;
    assert_eq!(world.start(&early).await?.version, 1);
    Ok(())
}

async fn strangers_are_refused() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let unknown = AgreementId(fresh());
    let consumer = world.consumer.address();
    assert_eq!(denied(world.keeper.authorize(unknown, consumer).await), Denied::NoAgreement);
    let stranger = world.stranger.address();
    assert_eq!(denied(world.keeper.authorize(purchase.id, stranger).await), Denied::NotAnActor);
    let provider = world.provider.address();
    assert_eq!(denied(world.keeper.authorize(purchase.id, provider).await), Denied::OwnProvider);
    // One who made himself an actor of an agreement that somebody else is granted.
    let mut shared = world.purchase();
    shared.actors = vec![stranger, consumer];
    world.pay(&shared).await?;
    world.granter.grant(shared.id).await?;
    world.start(&shared).await?;
    assert_eq!(denied(world.keeper.authorize(shared.id, stranger).await), Denied::OtherGrantee);
    Ok(())
}

async fn another_template_is_refused() -> Result<()> {
    let world = World::new().await?;
    let templates = world.contracts().template_store;
    let mut access = world.purchase();
    access.template = ACCESS_TEMPLATE;
    world.chain.agree(&world.consumer, &access).await?;
    world.refused(&access, Denied::OtherTemplate).await?;
    // A template of the consumer's own, with the very conditions, approved by mistake.
    let own = fresh();
    let contracts = world.contracts();
    let call = TemplateStoreManager::proposeTemplateCall {
        id: own,
        conditionTypes: vec![contracts.lock_reward, contracts.compute, contracts.escrow_reward],
        actorTypeIds: vec![alloy_primitives::keccak256("provider"), alloy_primitives::keccak256("consumer")],
        name: "MyTemplate".into(),
    };
    world.chain.transact(&world.consumer, templates, &call).await?;
    let approve = TemplateStoreManager::approveTemplateCall { id: own };
    world.chain.transact(&development_key(0), templates, &approve).await?;
    let mut other = world.purchase();
    other.template = own;
    world.pay(&other).await?;
    world.chain.grant(&world.provider, &other).await?;
    world.chain.release(&world.provider, &other).await?;
    world.refused(&other, Denied::OtherTemplate).await
}

/// The original gateway let this one through: what it looked at is per asset and consumer, for ever.
async fn one_payment_is_one_agreement() -> Result<()> {
    let world = World::new().await?;
    world.bought().await?;
    let replay = world.purchase();
    world.chain.agree(&world.consumer, &replay).await?;
    let triggered = ServiceCondition::wasComputeTriggeredCall { did: world.did.0, grantee: world.consumer.address() };
    assert!(world.chain.chain().read(world.contracts().compute, &triggered).await?);
    world.not_yet(&replay, NotYet::LockUnpaid).await;
    world.not_granted(&replay).await?;
    // Even if a careless provider grants it, it is not paid.
    world.chain.grant(&world.provider, &replay).await?;
    world.not_yet(&replay, NotYet::LockUnpaid).await;
    Ok(())
}

async fn a_lock_of_nothing_pays_nothing() -> Result<()> {
    let world = World::new().await?;
    let mut purchase = world.purchase();
    purchase.price = U256::ZERO;
    purchase.recompute(world.contracts());
    world.pay(&purchase).await?;
    let expected = Denied::WrongPrice { price: U256::from(PRICE) };
    world.refused(&purchase, expected.clone()).await?;
    // Only the lock is for nothing: the other ids are honest.
    let mut mixed = world.purchase();
    mixed.condition_ids[0] = ids::lock_id(world.contracts(), &mixed.id, U256::ZERO);
    world.chain.agree(&world.consumer, &mixed).await?;
    world.chain.lock_amount(&world.consumer, &mixed, U256::ZERO).await?;
    world.chain.grant(&world.provider, &mixed).await?;
    world.refused(&mixed, expected).await
}

async fn wrong_prices_and_receivers_are_refused() -> Result<()> {
    let world = World::new().await?;
    // The document names 5 and 10: only 10 counts, so 5 is no price.
    let mut cheap = world.purchase();
    cheap.price = U256::from(5);
    cheap.recompute(world.contracts());
    world.pay(&cheap).await?;
    world.chain.grant(&world.provider, &cheap).await?;
    world.chain.release(&world.provider, &cheap).await?;
    world.refused(&cheap, Denied::WrongPrice { price: U256::from(PRICE) }).await?;

    let mut to_himself = world.purchase();
    to_himself.receiver = world.consumer.address();
    to_himself.recompute(world.contracts());
    world.pay(&to_himself).await?;
    world.chain.grant(&world.provider, &to_himself).await?;
    world.chain.release(&world.provider, &to_himself).await?;
    world.refused(&to_himself, Denied::WrongReceiver { owner: world.publisher.address() }).await?;

    let honest = world.bought().await?;
    world.shelf.set(world.did, Vec::new());
    assert_eq!(denied(world.start(&honest).await), Denied::NotOffered);
    let elsewhere = world.chain.register(&world.publisher, &[world.provider.address()]).await?;
    let unknown =
        Purchase::honest(world.contracts(), elsewhere, PRICE, world.publisher.address(), world.consumer.address());
    world.pay(&unknown).await?;
    world.refused(&unknown, Denied::UnknownAsset { did: elsewhere }).await?;

    world.shelf.put(world.did, U256::from(PRICE));
    let (late, owner) = (world.purchase(), world.publisher.address());
    world.pay(&late).await?;
    world.shelf.strike_off(owner);
    let expected = Denied::NotListed { owner, did: world.did };
    world.refused(&late, expected.clone()).await?;
    assert_eq!(denied(world.start(&honest).await), expected);
    Ok(())
}

/// 409, each with its own code, until the publisher has the money.
async fn each_step_is_waited_for() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.purchase();
    world.chain.agree(&world.consumer, &purchase).await?;
    world.not_yet(&purchase, NotYet::LockUnpaid).await;
    world.not_granted(&purchase).await?;
    world.chain.lock(&world.consumer, &purchase).await?;
    world.not_yet(&purchase, NotYet::NotGranted).await;
    world.chain.grant(&world.provider, &purchase).await?;
    world.not_yet(&purchase, NotYet::EscrowUnreleased).await;
    // A start that comes between the provider's two transactions waits for the second.
    let proxy = Proxy::start(world.chain.url(), Honest).await?;
    let config = world.chain.keeper_config(Some(proxy.url()));
    let provider = world.provider.address();
    let patient = Keeper::new(Arc::new(config.open()?), config, provider, Arc::new(world.shelf.clone()));
    let (started, released) = tokio::join!(patient.authorize(purchase.id, world.consumer.address()), async {
        while proxy.round_trips() < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.chain.release(&world.stranger, &purchase).await
    });
    released?;
    started?;
    Ok(())
}

/// The contract marks the grant as given although the condition is aborted; the consumer has the money back besides.
async fn a_grant_after_its_time_out_is_none() -> Result<()> {
    let world = World::new().await?;
    let mut purchase = world.purchase();
    purchase.time_outs[1] = 4;
    world.pay(&purchase).await?;
    world.chain.mine(5).await?;
    world.refused(&purchase, Denied::ServiceAborted).await?;
    world.chain.grant(&world.provider, &purchase).await?;
    let triggered = ServiceCondition::wasComputeTriggeredCall { did: world.did.0, grantee: world.consumer.address() };
    assert!(world.chain.chain().read(world.contracts().compute, &triggered).await?);
    world.refused(&purchase, Denied::ServiceAborted).await?;
    world.chain.release(&world.consumer, &purchase).await?;
    world.refused(&purchase, Denied::ServiceAborted).await
}

async fn an_aborted_escrow_is_refused() -> Result<()> {
    let world = World::new().await?;
    let mut purchase = world.purchase();
    purchase.time_outs[2] = 1;
    world.pay(&purchase).await?;
    world.refused(&purchase, Denied::EscrowAborted).await?;
    world.chain.grant(&world.provider, &purchase).await?;
    world.refused(&purchase, Denied::EscrowAborted).await?;
    let escrow = world.contracts().escrow_reward;
    world.chain.abort(&world.consumer, escrow, purchase.condition_ids[2]).await?;
    world.refused(&purchase, Denied::EscrowAborted).await
}

async fn an_escrow_locked_for_ever_is_refused() -> Result<()> {
    let world = World::new().await?;
    let mut purchase = world.purchase();
    purchase.time_locks[2] = 1_000_000_000;
    let locked = |started: Result<Authorized, Refusal>| match started {
        Err(Refusal { why: Why::Denied(Denied::EscrowLocked { until }), .. }) => assert!(until > 1_000_000_000),
        other => panic!("{other:?}"),
    };
    world.pay(&purchase).await?;
    locked(world.start(&purchase).await);
    world.not_granted(&purchase).await?;
    world.chain.grant(&world.provider, &purchase).await?;
    assert!(world.chain.release(&world.provider, &purchase).await.is_err(), "the contract would release it");
    locked(world.start(&purchase).await);
    world.not_granted(&purchase).await
}

/// A second agreement that carries an escrow id of the first pays the buyer out of the pool.
async fn take_back(world: &World, purchase: &Purchase) -> Result<()> {
    let contracts = world.contracts();
    let consumer = world.consumer.address();
    let mut lever = world.purchase();
    lever.time_outs[1] = 1;
    lever.condition_ids[2] = ids::escrow_id(
        contracts,
        &purchase.id,
        purchase.price,
        &consumer,
        &consumer,
        &purchase.condition_ids[0],
        &lever.condition_ids[1],
    );
    world.chain.agree(&world.consumer, &lever).await?;
    world.chain.mine(2).await?;
    world.chain.abort(&world.consumer, contracts.compute, lever.condition_ids[1]).await?;
    let call = EscrowReward::fulfillCall {
        agreementId: purchase.id.0,
        amount: purchase.price,
        receiver: consumer,
        sender: consumer,
        lockCondition: purchase.condition_ids[0],
        releaseCondition: lever.condition_ids[1],
    };
    world.chain.transact(&world.consumer, contracts.escrow_reward, &call).await?;
    let balance = brizo::chain::contracts::OceanToken::balanceOfCall { owner: contracts.escrow_reward };
    assert_eq!(world.chain.chain().read(contracts.token, &balance).await?, U256::ZERO, "the hole is not shown");
    Ok(())
}

fn short() -> Denied {
    Denied::EscrowShort { holds: U256::ZERO, price: U256::from(PRICE) }
}

async fn money_taken_back_before_the_grant() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    take_back(&world, &purchase).await?;
    world.refused(&purchase, short()).await
}

async fn money_taken_back_after_the_grant() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    world.chain.grant(&world.provider, &purchase).await?;
    world.not_yet(&purchase, NotYet::EscrowUnreleased).await;
    take_back(&world, &purchase).await?;
    world.refused(&purchase, short()).await
}

async fn an_agreement_expires() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let unpaid = world.purchase();
    world.pay(&unpaid).await?;
    world.start(&purchase).await?;
    world.chain.later(86_400 + 60).await?;
    let refusal = world.start(&purchase).await.expect_err("expired");
    assert!(matches!(refusal.why, Why::Denied(Denied::Expired { .. })), "{refusal:?}");
    world.not_granted(&unpaid).await?;
    let mut for_ever = offer(1, U256::from(PRICE), 3_600, None);
    for_ever.timeout_s = 0;
    world.shelf.set(world.did, vec![for_ever]);
    assert_eq!(world.start(&purchase).await?.expires, None);
    Ok(())
}

async fn a_revoked_template_ends_everything() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let paid = world.purchase();
    world.pay(&paid).await?;
    world.start(&purchase).await?;
    let call = TemplateStoreManager::revokeTemplateCall { id: COMPUTE_TEMPLATE };
    world.chain.transact(&development_key(0), world.contracts().template_store, &call).await?;
    assert_eq!(denied(world.start(&purchase).await), Denied::TemplateNotApproved, "although it is remembered");
    world.refused(&paid, Denied::TemplateNotApproved).await
}

/// The last block in which a condition can still be fulfilled is the same here and there: a block too late and the
/// publisher grants for nothing, a block too early and a paying consumer is sent away.
async fn time_outs_end_where_the_contracts_say() -> Result<()> {
    let world = World::new().await?;
    for (time_out, in_time) in [(3, true), (2, false)] {
        // Blocks after the agreement's: 1 approval, 2 lock, 3 grant.
        let mut purchase = world.purchase();
        purchase.time_outs[1] = time_out;
        world.pay(&purchase).await?;
        let before = world.start(&purchase).await.expect_err("not granted").why;
        world.chain.grant(&world.provider, &purchase).await?;
        world.chain.release(&world.provider, &purchase).await?;
        if in_time {
            assert_eq!(before, Why::NotYet(NotYet::NotGranted), "time-out {time_out}");
            world.start(&purchase).await?;
        } else {
            assert_eq!(before, Why::Denied(Denied::ServiceAborted), "time-out {time_out}");
            world.refused(&purchase, Denied::ServiceAborted).await?;
        }
    }
    // Time locks: 3 grant, 4 release.
    for (time_lock, in_time) in [(4, true), (5, false)] {
        let mut purchase = world.purchase();
        purchase.time_locks[2] = time_lock;
        world.pay(&purchase).await?;
        world.chain.grant(&world.provider, &purchase).await?;
        let before = world.start(&purchase).await.expect_err("not released").why;
        let released = world.chain.release(&world.provider, &purchase).await;
        assert_eq!(released.is_ok(), in_time, "time lock {time_lock}: {released:?}");
        assert_eq!(before == Why::NotYet(NotYet::EscrowUnreleased), in_time, "time lock {time_lock}: {before:?}");
    }
    Ok(())
}

async fn round_trips() -> Result<()> {
    let world = World::new().await?;
    let proxy = Proxy::start(world.chain.url(), Honest).await?;
    let keeper = keeper(&world.chain, &world.shelf, Some(proxy.url()))?;
    let consumer = world.consumer.address();
    let first = world.bought().await?;
    keeper.authorize(first.id, consumer).await?;
    assert_eq!(proxy.round_trips(), 2, "cold");
    keeper.authorize(first.id, consumer).await?;
    assert_eq!(proxy.round_trips(), 3, "warm");
    let crowd = (0..200).map(|_| keeper.authorize(first.id, consumer));
    for authorized in futures::future::join_all(crowd).await {
        authorized?;
    }
    let shared = proxy.round_trips() - 3;
    assert!((1..=4).contains(&shared), "{shared} for 200 at once: those in flight share one");
    let offers = vec![offer(2, U256::from(20), 0, None), offer(1, U256::from(PRICE), 3_600, Some(0))];
    world.shelf.set(world.did, offers);
    let before = proxy.round_trips();
    keeper.authorize(first.id, consumer).await?;
    assert_eq!(proxy.round_trips(), before + 2, "and one for an older version");
    keeper.authorize(first.id, consumer).await?;
    assert_eq!(proxy.round_trips(), before + 3, "whose time is remembered");
    Ok(())
}

/// What nodes and their balancers do on a bad day.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Status(u16),
    WholeBatchRefused,
    OneAnswerMissing,
    OneAnswerRefused,
    NoJsonRpc,
    WrongShape,
    AnyOrder,
}

impl Tamper for Fault {
    fn status(&self) -> Option<u16> {
        if let Self::Status(status) = self { Some(*status) } else { None }
    }

    fn packet(&self, answers: &mut Value) {
        let error = |text: &str| json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": text}});
        let Some(list) = answers.as_array_mut() else { return };
        match self {
            Self::Status(_) => {}
            Self::WholeBatchRefused => *answers = error("batch limit exceeded"),
            Self::OneAnswerMissing => list.truncate(list.len() - 1),
            Self::OneAnswerRefused => {
                let refused = list.last_mut().expect("no batch is empty");
                let id = refused["id"].clone();
                *refused = error("missing trie node");
                refused["id"] = id;
            }
            Self::NoJsonRpc => *answers = json!("<html>Sign in</html>"),
            Self::WrongShape => {
                for answer in list {
                    answer["result"] = json!("0x");
                }
            }
            Self::AnyOrder => list.reverse(),
        }
    }
}

/// Whatever the node does, a consumer who has paid is told to come back, never that the agreement is no good.
async fn trouble_is_never_a_no() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let faults = [
        Fault::Status(429),
        Fault::Status(500),
        Fault::WholeBatchRefused,
        Fault::OneAnswerMissing,
        Fault::OneAnswerRefused,
        Fault::NoJsonRpc,
        Fault::WrongShape,
        Fault::AnyOrder,
    ];
    for fault in faults {
        let proxy = Proxy::start(world.chain.url(), fault).await?;
        let keeper = keeper(&world.chain, &world.shelf, Some(proxy.url()))?;
        match keeper.authorize(purchase.id, world.consumer.address()).await {
            Ok(_) => assert_eq!(fault, Fault::AnyOrder),
            Err(refusal) => {
                assert!(matches!(refusal.why, Why::Unavailable(_)), "{fault:?}: {refusal:?}");
                assert_eq!(refusal.code(), "unavailable");
                assert!(refusal.retry_after().is_some_and(|wait| !wait.is_zero()));
                assert_ne!(fault, Fault::AnyOrder, "{refusal:?}");
            }
        }
    }
    Ok(())
}

/// A node behind a balancer that knows the head's hash only at the third question.
struct Lagging(AtomicI64);
impl Tamper for Lagging {
    fn response(&self, method: &str, params: &Value, _result: &mut Value) -> Result<(), (i64, String)> {
        let pinned = method == "eth_call" && params[1].get("blockHash").is_some();
        // Eleven calls stand in the second batch.
        if pinned && self.0.fetch_sub(1, Ordering::SeqCst) > 0 {
            Err((-32000, "header not found".into()))
        } else {
            Ok(())
        }
    }
}

async fn a_lagging_node_is_asked_again() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.bought().await?;
    let proxy = Proxy::start(world.chain.url(), Lagging(AtomicI64::new(18))).await?;
    let keeper = keeper(&world.chain, &world.shelf, Some(proxy.url()))?;
    keeper.authorize(purchase.id, world.consumer.address()).await?;
    assert!(proxy.round_trips() > 2);
    Ok(())
}

/// A price in a token of 18 decimals fits neither 64 bits nor a float.
async fn huge_prices_give_the_contracts_ids() -> Result<()> {
    let world = World::new().await?;
    let contracts = world.contracts();
    let chain = world.chain.chain();
    for price in ["2700000000000000000000000001", "10", "0"] {
        let mut purchase = world.purchase();
        purchase.price = price.parse()?;
        purchase.recompute(contracts);
        let Purchase { id, did, price, receiver, consumer, condition_ids: [lock, service, escrow], .. } = purchase;
        let reward = LockRewardCondition::hashValuesCall { rewardAddress: contracts.escrow_reward, amount: price };
        let grantee = ServiceCondition::hashValuesCall { did: did.0, grantee: consumer };
        let payment = EscrowReward::hashValuesCall {
            amount: price,
            receiver,
            sender: consumer,
            lockCondition: lock,
            releaseCondition: service,
        };
        let hashes = [
            (contracts.lock_reward, chain.read(contracts.lock_reward, &reward).await?, lock),
            (contracts.compute, chain.read(contracts.compute, &grantee).await?, service),
            (contracts.escrow_reward, chain.read(contracts.escrow_reward, &payment).await?, escrow),
        ];
        for (contract, hash, ours) in hashes {
            let call = Condition::generateIdCall { agreementId: id.0, valueHash: hash };
            assert_eq!(chain.read(contract, &call).await?, ours);
        }
    }
    Ok(())
}

async fn algorithms_by_did() -> Result<()> {
    let world = World::new().await?;
    let (owner, stranger) = (world.publisher.address(), world.stranger.address());
    assert_eq!(world.keeper.owner_of(&world.did).await?, Some(owner));
    assert_eq!(world.keeper.owner_of(&brizo::types::Did(fresh())).await?, None);
    assert!(world.keeper.has_access(owner, &world.did).await?);
    assert!(!world.keeper.has_access(stranger, &world.did).await?);
    let health = world.keeper.health().await?;
    assert_eq!((health.chain_id, health.compute_approved), (31_337, true));
    Ok(())
}
