//! Granting and ordering on the real contracts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use brizo::chain::contracts::DIDRegistry;
use brizo::grants::{Event, Granter};
use brizo::keeper::{ConditionState, Denied, NotYet, ServiceKind, Why};
use brizo::order::{
    OrderError, Progress, RegisterError, Standing, Terms, new_agreement_id, place, register_did, standing, wait_granted,
};
use brizo_tests::chain::fresh;
use brizo_tests::deploy::Result;
use brizo_tests::proxy::{Proxy, Tamper};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{keeper, trial};
use crate::world::{PRICE, World};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("grants::a_grant_pays_the_publisher_once", a_grant_pays_the_publisher_once),
        trial("grants::a_half_done_grant_is_finished", a_half_done_grant_is_finished),
        trial("grants::a_payment_is_buried_first", a_payment_is_buried_first),
        trial("grants::only_a_provider_grants", only_a_provider_grants),
        trial("grants::order_and_watch", order_and_watch),
        trial("grants::watch_finds_what_came_before_it", watch_finds_what_came_before_it),
        trial("grants::nothing_is_missed_behind_a_lagging_node", nothing_is_missed_behind_a_lagging_node),
        trial("grants::nothing_is_missed_behind_a_lying_balancer", nothing_is_missed_behind_a_lying_balancer),
        trial("grants::blocks_of_an_authority_chain", blocks_of_an_authority_chain),
        trial("grants::orders_that_cannot_be_made", orders_that_cannot_be_made),
        trial("grants::registering_again_keeps_the_providers", registering_again_keeps_the_providers),
    ]
}

async fn tokens_of(world: &World, owner: Address) -> Result<U256> {
    let call = brizo::chain::contracts::OceanToken::balanceOfCall { owner };
    Ok(world.chain.chain().read(world.contracts().token, &call).await?)
}

async fn a_grant_pays_the_publisher_once() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    // With both transactions in one block, the second is sent before the first has any effect.
    world.chain.automine(false).await?;
    let (granted, mined) = tokio::join!(world.granter.grant(purchase.id), async {
        loop {
            let (mined, pending) = world.chain.chain().nonces(world.provider.address()).await?;
            if pending >= mined + 2 {
                break world.chain.automine(true).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    mined?;
    let granted = granted?;
    assert_eq!((granted.transactions.len(), granted.consumer), (2, world.consumer.address()));
    assert_eq!(tokens_of(&world, world.publisher.address()).await?, U256::from(PRICE));
    world.start(&purchase).await?;
    let again = world.granter.grant(purchase.id).await?;
    assert!(again.transactions.is_empty(), "nothing is sent twice");
    Ok(())
}

async fn a_half_done_grant_is_finished() -> Result<()> {
    let world = World::new().await?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    world.chain.grant(&world.provider, &purchase).await?;
    let granted = world.granter.grant(purchase.id).await?;
    assert_eq!(granted.transactions.len(), 1);
    assert_eq!(tokens_of(&world, world.publisher.address()).await?, U256::from(PRICE));
    Ok(())
}

/// A payment that is replaced by another block would leave the publisher with a grant for nothing.
async fn a_payment_is_buried_first() -> Result<()> {
    let world = World::new().await?;
    let mut config = world.chain.keeper_config(None);
    config.confirmations = Some(5);
    let keeper = Arc::new(brizo::keeper::Keeper::new(
        Arc::new(config.open()?),
        config,
        world.provider.address(),
        Arc::new(world.shelf.clone()),
    ));
    let granter = Granter::new(Arc::clone(&keeper), world.provider.clone())?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    world.chain.mine(4).await?;
    match granter.grant(purchase.id).await {
        Err(brizo::grants::GrantError::Refused(refusal)) => {
            assert_eq!(refusal.why, Why::NotYet(NotYet::LockUnconfirmed { has: 4, needs: 5 }));
        }
        other => panic!("{other:?}"),
    }
    world.chain.mine(1).await?;
    granter.grant(purchase.id).await?;
    // A start reads at the head: it waits for no confirmations.
    keeper.authorize(purchase.id, world.consumer.address()).await?;
    Ok(())
}

async fn only_a_provider_grants() -> Result<()> {
    let world = World::new().await?;
    let did = world.chain.register(&world.publisher, &[]).await?;
    world.shelf.put(did, U256::from(PRICE));
    let mut purchase = world.purchase();
    purchase.did = did;
    purchase.recompute(world.contracts());
    world.pay(&purchase).await?;
    match world.granter.grant(purchase.id).await {
        Err(brizo::grants::GrantError::Refused(refusal)) => {
            let expected = Denied::NotProvider { provider: world.provider.address(), did };
            assert_eq!(refusal.why, Why::Denied(expected));
            assert!(refusal.to_string().contains("addDIDProvider"), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
    assert!(Granter::new(Arc::clone(&world.keeper), world.stranger.clone()).is_err(), "another's key");
    Ok(())
}

/// Watches with a granter until told to stop.
struct Watching {
    shutdown: CancellationToken,
    events: Arc<Mutex<Vec<Event>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watching {
    fn start(granter: Granter) -> Self {
        let shutdown = CancellationToken::new();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (stop, told) = (shutdown.clone(), Arc::clone(&events));
        let task = tokio::spawn(async move {
            granter.watch(stop, |event| told.lock().expect("no panic holds it").push(event)).await;
        });
        Self { shutdown, events, task }
    }

    fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no panic holds it").clone()
    }

    async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        Ok(tokio::time::timeout(Duration::from_secs(10), self.task).await??)
    }
}

fn terms(world: &World) -> Terms {
    Terms {
        agreement: new_agreement_id().expect("random bytes"),
        did: world.did,
        kind: ServiceKind::Compute,
        price: U256::from(PRICE),
        provider: world.provider.address(),
    }
}

/// What `brizo order` does, against what `brizo grant --watch` does.
async fn order_and_watch() -> Result<()> {
    let world = World::new().await?;
    let watching = Watching::start(world.granter.clone());
    let mut steps = Vec::new();
    let chain = world.chain.chain();
    let mut progress = |step| steps.push(step);
    let terms = terms(&world);
    let agreement = terms.agreement;
    assert_eq!(standing(chain, agreement).await?, None);
    place(chain, &world.consumer, &terms, &mut progress).await?;
    wait_granted(chain, agreement, Duration::from_secs(30), &mut progress).await?;
    // Broken off and started again: nothing is bought twice.
    place(chain, &world.consumer, &terms, &mut progress).await?;
    assert!(matches!(
        steps.as_slice(),
        [
            Progress::Agreeing,
            Progress::Agreed,
            Progress::Paying(_),
            Progress::Paying(_),
            Progress::Paid,
            Progress::Granted,
            Progress::Released,
            Progress::Agreed,
            Progress::Paid
        ]
    ));
    assert_eq!(tokens_of(&world, world.publisher.address()).await?, U256::from(PRICE));
    let done = ConditionState::Fulfilled;
    let expected = Standing { did: world.did, lock: done, service: done, escrow: done };
    assert_eq!(standing(chain, agreement).await?, Some(expected));
    world.keeper.authorize(agreement, world.consumer.address()).await?;
    while !watching.events().iter().any(|event| matches!(event, Event::Granted { .. })) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let events = watching.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Sent(..))).count(), 1, "{events:?}");
    watching.stop().await
}

async fn granted(world: &World, purchase: &brizo_tests::chain::Purchase) -> Result<()> {
    for _ in 0..100 {
        if world.start(purchase).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("not granted within ten seconds".into())
}

async fn watch_finds_what_came_before_it() -> Result<()> {
    let world = World::new().await?;
    let (paid, unpaid) = (world.purchase(), world.purchase());
    world.pay(&paid).await?;
    world.chain.agree(&world.consumer, &unpaid).await?;
    world.chain.mine(100).await?;
    let watching = Watching::start(world.granter.clone());
    granted(&world, &paid).await?;
    // Found without its payment, and granted when that comes.
    world.not_yet(&unpaid, NotYet::LockUnpaid).await;
    world.chain.lock(&world.consumer, &unpaid).await?;
    granted(&world, &unpaid).await?;
    watching.stop().await
}

/// The head from one node, logs from another that is so many blocks behind and answers for what it lacks with nothing.
struct Behind {
    lags: Arc<AtomicBool>,
    head: AtomicU64,
    blocks: u64,
    /// It also claims to have blocks that it lacks.
    lies: bool,
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap_or("0x0").trim_start_matches("0x"), 16).unwrap_or(0)
}

impl Tamper for Behind {
    fn response(&self, method: &str, params: &Value, result: &mut Value) -> Result<(), (i64, String)> {
        if method == "eth_getBlockByNumber" && params[0] == "latest" {
            self.head.store(number(&result["number"]), Ordering::SeqCst);
        }
        if !self.lags.load(Ordering::SeqCst) {
            return Ok(());
        }
        let has = self.head.load(Ordering::SeqCst).saturating_sub(self.blocks);
        if method == "eth_getLogs" {
            result.as_array_mut().expect("a list").retain(|log| number(&log["blockNumber"]) <= has);
        }
        let by_number = method == "eth_getBlockByNumber" && params[0] != "latest";
        if by_number && !self.lies && number(&params[0]) > has {
            *result = Value::Null;
        }
        Ok(())
    }
}

async fn behind(blocks: u64, lies: bool) -> Result<()> {
    let world = World::new().await?;
    world.chain.mine(200).await?;
    let lags = Arc::new(AtomicBool::new(true));
    let tamper = Behind { lags: Arc::clone(&lags), head: AtomicU64::new(0), blocks, lies };
    let proxy = Proxy::start(world.chain.url(), tamper).await?;
    let granter = Granter::new(keeper(&world.chain, &world.shelf, Some(proxy.url()))?, world.provider.clone())?;
    let watching = Watching::start(granter);
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    world.chain.mine(blocks - 10).await?;
    let before = proxy.round_trips();
    // Long enough for rounds in which the scan sees the head and not the log.
    while proxy.round_trips() < before + 6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(world.start(&purchase).await.is_err(), "the proxy hides nothing");
    lags.store(false, Ordering::SeqCst);
    granted(&world, &purchase).await?;
    watching.stop().await
}

/// Further behind than the scan ever looks back: the missing block itself must hold it up.
async fn nothing_is_missed_behind_a_lagging_node() -> Result<()> {
    behind(100, false).await
}

async fn nothing_is_missed_behind_a_lying_balancer() -> Result<()> {
    behind(20, true).await
}

/// A chain of Parity's authority rounds, as the public Keeper networks were.
struct Authority;
impl Tamper for Authority {
    fn response(&self, method: &str, params: &Value, result: &mut Value) -> Result<(), (i64, String)> {
        if method.starts_with("eth_getBlockBy")
            && let Some(block) = result.as_object_mut()
        {
            for field in ["nonce", "mixHash", "baseFeePerGas", "withdrawals", "withdrawalsRoot", "totalDifficulty"] {
                block.remove(field);
            }
            block.insert("author".into(), json!("0x00bd138abd70e2f00903268f3db08f2d25677c9e"));
            block.insert("sealFields".into(), json!(["0x84120a8f1a", "0xb841aa"]));
            block.insert("step".into(), json!("302616346"));
            block.insert("extraData".into(), json!(format!("0x{}", "de".repeat(97))));
        }
        if matches!(method, "eth_feeHistory" | "eth_maxPriorityFeePerGas") {
            return Err((-32601, "the method does not exist".into()));
        }
        if method == "eth_call" && params[1].is_object() {
            return Err((-32602, "Invalid params: invalid type: map, expected a block number".into()));
        }
        Ok(())
    }
}

async fn blocks_of_an_authority_chain() -> Result<()> {
    let world = World::new().await?;
    let proxy = Proxy::start(world.chain.url(), Authority).await?;
    let keeper = keeper(&world.chain, &world.shelf, Some(proxy.url()))?;
    let granter = Granter::new(Arc::clone(&keeper), world.provider.clone())?;
    let purchase = world.purchase();
    world.pay(&purchase).await?;
    let done = granter.grant(purchase.id).await?;
    keeper.authorize(purchase.id, world.consumer.address()).await?;
    keeper.authorize(purchase.id, world.consumer.address()).await?;
    for hash in done.transactions {
        let transaction: Value = world.chain.ask("eth_getTransactionByHash", &[hash]).await?;
        assert_eq!(transaction["type"], "0x0");
        // EIP-155: the signature counts on this chain alone.
        assert!([31_337 * 2 + 35, 31_337 * 2 + 36].contains(&number(&transaction["v"])), "{transaction}");
    }
    Ok(())
}

async fn orders_that_cannot_be_made() -> Result<()> {
    let world = World::new().await?;
    let chain = world.chain.chain();
    let quiet = &mut |_| ();
    let poor = world.chain.account().await?;
    match place(chain, &poor, &terms(&world), quiet).await {
        Err(OrderError::Balance { has, needs, .. }) => assert_eq!((has, needs), (U256::ZERO, U256::from(PRICE))),
        other => panic!("{other:?}"),
    }
    let unknown = Terms { did: brizo::types::Did(fresh()), ..terms(&world) };
    assert!(matches!(place(chain, &world.consumer, &unknown, quiet).await, Err(OrderError::NotRegistered(_))));
    let own = place(chain, &world.provider, &terms(&world), quiet).await;
    assert!(matches!(own, Err(OrderError::OwnProvider(_))), "{own:?}");
    let terms = terms(&world);
    place(chain, &world.consumer, &terms, quiet).await?;
    let dearer = Terms { price: U256::from(11), ..terms };
    assert!(matches!(place(chain, &world.consumer, &dearer, quiet).await, Err(OrderError::OtherTerms(_))));
    match wait_granted(chain, terms.agreement, Duration::from_millis(100), quiet).await {
        Err(OrderError::NotYet { paid_only: true, .. }) => Ok(()),
        other => panic!("nobody grants, and yet {other:?}"),
    }
}

/// The registry forgets the providers of a DID that is registered again; then nobody could grant what was paid.
async fn registering_again_keeps_the_providers() -> Result<()> {
    let world = World::new().await?;
    let chain = world.chain.chain();
    let registry = world.contracts().did_registry;
    let did = brizo::types::Did(fresh());
    let provider = world.provider.address();
    let url = "http://127.0.0.1/ddo";
    let first = register_did(chain, &world.publisher, &did, B256::ZERO, &[provider], url).await?;
    assert_eq!((first.again, first.providers.as_slice()), (false, [provider].as_slice()));
    let other = world.stranger.address();
    let second = register_did(chain, &world.publisher, &did, B256::ZERO, &[other], url).await?;
    assert_eq!((second.again, second.providers.as_slice()), (true, [provider, other].as_slice()));
    for provider in [provider, other] {
        assert!(chain.read(registry, &DIDRegistry::isDIDProviderCall { did: did.0, provider }).await?);
    }
    let theft = register_did(chain, &world.stranger, &did, B256::ZERO, &[other], url).await;
    assert!(matches!(theft, Err(RegisterError::NotOwner { .. })), "{theft:?}");
    Ok(())
}
