//! Assets on the real contracts: published by the program, bought, granted and resolved, or refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{B256, U256};
use alloy_signer_local::PrivateKeySigner;
use brizo::assets::config::{AssetsConfig, GuardConfig, MetadataConfig};
use brizo::assets::{AlgorithmRequest, Assets, Bought, ContainerRequest, Setup};
use brizo::chain::contracts::LockRewardCondition;
use brizo::grants::{GrantError, Granter};
use brizo::keeper::{Denied, Keeper, Refusal, Why};
use brizo::types::Did;
use brizo_tests::chain::{Chain, Purchase};
use brizo_tests::deploy::Result;
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::process::Command;

use crate::support::trial;
use crate::world::denied;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("assets::published_bought_and_resolved", published_bought_and_resolved),
        trial("assets::a_name_of_any_letters", a_name_of_any_letters),
        trial("assets::prices_in_every_form", prices_in_every_form),
        trial("assets::a_stolen_ciphertext_is_never_granted", a_stolen_ciphertext_is_never_granted),
        trial("assets::an_unlisted_publisher_sells_nothing", an_unlisted_publisher_sells_nothing),
        trial("assets::a_new_seal_key", a_new_seal_key),
    ]
}

/// A publisher's folder as `brizo init` makes it, and a gateway's view of it.
struct Shop {
    chain: Chain,
    folder: tempfile::TempDir,
    provider: PrivateKeySigner,
}

impl Shop {
    async fn open() -> Result<Self> {
        let chain = Chain::start().await?;
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("home");
        let out = Command::new(program()).arg("init").arg(&home).arg("--json").output().await?;
        let made: Value = serde_json::from_slice(&out.stdout)?;
        let key = std::fs::read_to_string(made["key_file"].as_str().unwrap_or_default())?;
        let provider: PrivateKeySigner = key.trim().parse()?;
        chain.fund(provider.address()).await?;
        std::fs::write(home.join("data/table.csv"), "a,b\n1,2\n")?;
        Ok(Self { chain, folder, provider })
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    async fn brizo(&self, arguments: &[&str]) -> Result<std::result::Result<Value, String>> {
        let out = Command::new(program())
            .args(arguments)
            .arg("--json")
            .env("BRIZO_CONFIG", self.home().join("brizo.toml"))
            .env("BRIZO_KEEPER__RPC_URL", self.chain.url().as_str())
            .env("BRIZO_KEEPER__ARTIFACTS", self.chain.artifacts())
            .kill_on_drop(true)
            .output()
            .await?;
        if out.status.success() {
            Ok(Ok(serde_json::from_slice(&out.stdout)?))
        } else {
            Ok(Err(String::from_utf8_lossy(&out.stderr).into_owned()))
        }
    }

    /// Publishes the table.
    async fn publish(&self, options: &[&str]) -> Result<Did> {
        let table = self.home().join("data/table.csv");
        let mut arguments = vec!["publish", table.to_str().unwrap_or_default()];
        arguments.extend_from_slice(options);
        let answer = self.brizo(&arguments).await??;
        Ok(answer["did"].as_str().unwrap_or_default().parse()?)
    }

    fn document(&self, did: &Did, version: u64) -> PathBuf {
        self.home().join("assets").join(did.digits()).join(format!("{version}.json"))
    }

    fn assets(&self) -> Result<Arc<Assets>> {
        self.assets_of(self.provider.address(), &[])
    }

    fn assets_of(&self, provider: brizo::types::Address, former: &[PathBuf]) -> Result<Arc<Assets>> {
        let home = self.home();
        Ok(Arc::new(Assets::open(Setup {
            assets: AssetsConfig {
                seal_key_file: home.join("seal.key"),
                previous_seal_key_files: former.to_vec(),
                roots: vec![home.join("data")],
                publishers: vec![],
            },
            metadata: MetadataConfig { url: format!("file://{}/assets", home.display()).parse()?, trusted: false },
            guard: GuardConfig::default(),
            provider,
            endpoints: vec!["http://127.0.0.1:8030".parse()?],
            chain_id: 31337,
        })?))
    }

    fn keeper(&self, assets: &Arc<Assets>) -> Result<Arc<Keeper>> {
        let config = self.chain.keeper_config(None);
        let opened = Arc::new(config.open()?);
        let offers = Arc::clone(assets) as Arc<dyn brizo::keeper::Offers>;
        let keeper = Keeper::new(opened, config, self.provider.address(), offers);
        Ok(Arc::new(keeper.with_escrow_wait(Duration::from_millis(500))))
    }

    /// An honest purchase, made and paid.
    async fn pay(&self, did: Did, price: u64, consumer: &PrivateKeySigner) -> Result<Purchase> {
        let contracts = self.chain.contracts();
        let mut purchase = Purchase::honest(contracts, did, price, self.provider.address(), consumer.address());
        purchase.actors = vec![self.provider.address(), consumer.address()];
        self.chain.agree(consumer, &purchase).await?;
        self.chain.lock(consumer, &purchase).await?;
        Ok(purchase)
    }
}

fn program() -> PathBuf {
    std::env::var_os("BRIZO_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap_or_default();
            test.ancestors().nth(2).unwrap_or(Path::new("")).join("brizo")
        },
        PathBuf::from,
    )
}

fn raw_code() -> AlgorithmRequest {
    let container = ContainerRequest {
        image: "python".into(),
        tag: "3.11".into(),
        checksum: None,
        entrypoint: "python3 $ALGO".into(),
    };
    AlgorithmRequest::Raw { code: "print(1)".into(), container }
}

fn not_sold<T: std::fmt::Debug>(result: std::result::Result<T, Refusal>) -> String {
    match result {
        Err(refusal @ Refusal { why: Why::Denied(Denied::NotSold(_) | Denied::NotListed { .. }), .. }) => {
            refusal.to_string()
        }
        other => panic!("{other:?}"),
    }
}

async fn published_bought_and_resolved() -> Result<()> {
    let shop = Shop::open().await?;
    let consumer = shop.chain.rich_account(100).await?;
    let did = shop.publish(&["--price", "10", "--allow-raw"]).await?;
    let assets = shop.assets()?;
    let keeper = shop.keeper(&assets)?;
    assert_eq!(keeper.owner_of(&did).await?, Some(shop.provider.address()), "the DID is the publisher's on chain");
    assert_eq!(assets.document(&did).await?, std::fs::read(shop.document(&did, 1))?, "byte for byte");

    let purchase = shop.pay(did, 10, &consumer).await?;
    Granter::new(Arc::clone(&keeper), shop.provider.clone())?.grant(purchase.id).await?;
    let authorized = keeper.authorize(purchase.id, consumer.address()).await?;
    let bought = Bought { did, agreement: purchase.id, owner: authorized.did_owner };
    let job = assets.resolve(&[bought], &raw_code()).await?;
    assert_eq!((job.datasets[0].files, job.network), (1, false));

    // A new price: who paid the old one keeps what he bought, who pays it now does not get it.
    let changed = shop.brizo(&["publish", "--update", &did.to_string(), "--price", "12"]).await??;
    assert_eq!(changed["version"], 2);
    // Another process wrote it: it is seen within a second.
    let end = tokio::time::Instant::now() + Duration::from_secs(1);
    while assets.offers(&did).await?[0].price != U256::from(12) {
        assert!(tokio::time::Instant::now() < end, "the new price is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(keeper.authorize(purchase.id, consumer.address()).await?.version, 1);
    shop.chain.later(3_600).await?;
    shop.chain.mine(1).await?;
    let late = shop.pay(did, 10, &consumer).await?;
    shop.chain.grant(&shop.provider, &late).await?;
    shop.chain.release(&shop.provider, &late).await?;
    let refused = denied(keeper.authorize(late.id, consumer.address()).await);
    assert!(matches!(refused, Denied::PriceChanged { price } if price == U256::from(12)), "{refused:?}");
    Ok(())
}

async fn a_name_of_any_letters() -> Result<()> {
    let shop = Shop::open().await?;
    let name = "Añejo ― データ";
    let description = "e\u{301}a\u{303}, combining";
    let did = shop.publish(&["--price", "1", "--allow-raw", "--name", name, "--description", description]).await?;
    let bytes = shop.assets()?.document(&did).await?;
    assert_eq!(bytes, std::fs::read(shop.document(&did, 1))?);
    let document: Value = serde_json::from_slice(&bytes)?;
    let attributes = &document["service"][0]["attributes"];
    assert_eq!(attributes["main"]["name"], name);
    assert_eq!(attributes["additionalInformation"]["description"], description);
    Ok(())
}

async fn prices_in_every_form() -> Result<()> {
    let shop = Shop::open().await?;
    let consumer = shop.chain.rich_account(100).await?;
    let did = shop.publish(&["--price", "10", "--allow-raw"]).await?;
    let published = std::fs::read_to_string(shop.document(&did, 1))?;
    let purchase = shop.pay(did, 10, &consumer).await?;
    shop.chain.grant(&shop.provider, &purchase).await?;
    shop.chain.release(&shop.provider, &purchase).await?;
    let large = "2700000000000000000000000001";

    // Each form alone in the store: the current price, and no former one.
    let with = async |text: &str| -> Result<Arc<Assets>> {
        std::fs::write(shop.document(&did, 1), published.replace("\"10\"", text))?;
        shop.assets()
    };
    for text in ["\"10\"", "10", "\"010\""] {
        let keeper = shop.keeper(&with(text).await?)?;
        assert_eq!(keeper.authorize(purchase.id, consumer.address()).await?.price, U256::from(10), "{text}");
    }
    for text in [format!("\"{large}\""), large.to_owned()] {
        let price = with(&text).await?.offers(&did).await?[0].price;
        assert_eq!(price.to_string(), large, "{text}");
        // The condition's value that a client of whole numbers locks is the one that the contracts compute.
        let contracts = shop.chain.contracts();
        let call = LockRewardCondition::hashValuesCall { rewardAddress: contracts.escrow_reward, amount: price };
        let hash: B256 = shop.chain.chain().read(contracts.lock_reward, &call).await?;
        let packed = [contracts.escrow_reward.as_slice(), &price.to_be_bytes::<32>()].concat();
        assert_eq!(hash, alloy_primitives::keccak256(packed));
    }
    for text in ["2.7e27", "\"2.7e27\"", "10.0", "\"\""] {
        let keeper = shop.keeper(&with(text).await?)?;
        let why = not_sold(keeper.authorize(purchase.id, consumer.address()).await);
        assert!(why.contains("states no price"), "{text}: {why}");
    }
    Ok(())
}

async fn a_stolen_ciphertext_is_never_granted() -> Result<()> {
    let shop = Shop::open().await?;
    let consumer = shop.chain.rich_account(100).await?;
    let victim = shop.publish(&["--price", "10", "--allow-raw", "--name", "victim"]).await?;
    let own = shop.publish(&["--price", "1", "--allow-raw", "--name", "thief"]).await?;
    let sealed = |did: &Did| -> Result<String> {
        let document: Value = serde_json::from_slice(&std::fs::read(shop.document(did, 1))?)?;
        Ok(document["service"][0]["attributes"]["encryptedFiles"].as_str().unwrap_or_default().to_owned())
    };
    let text = std::fs::read_to_string(shop.document(&own, 1))?.replace(&sealed(&own)?, &sealed(&victim)?);
    std::fs::write(shop.document(&own, 1), text)?;
    let assets = shop.assets()?;
    let keeper = shop.keeper(&assets)?;
    let purchase = shop.pay(own, 1, &consumer).await?;
    let before = shop.chain.chain().nonces(shop.provider.address()).await?;
    match Granter::new(Arc::clone(&keeper), shop.provider.clone())?.grant(purchase.id).await {
        Err(GrantError::Refused(Refusal { why: Why::Denied(Denied::NotSold(text)), .. })) => {
            assert!(text.contains("for another asset"), "{text}");
        }
        other => panic!("granted: {other:?}"),
    }
    assert_eq!(shop.chain.chain().nonces(shop.provider.address()).await?, before, "nothing was sent");
    // Granted by hand, by an old events handler: still no job.
    shop.chain.grant(&shop.provider, &purchase).await?;
    shop.chain.release(&shop.provider, &purchase).await?;
    not_sold(keeper.authorize(purchase.id, consumer.address()).await);
    let bought = Bought { did: own, agreement: purchase.id, owner: shop.provider.address() };
    assert!(assets.resolve(&[bought], &raw_code()).await.is_err());
    Ok(())
}

async fn an_unlisted_publisher_sells_nothing() -> Result<()> {
    let shop = Shop::open().await?;
    let consumer = shop.chain.rich_account(100).await?;
    let stranger = shop.chain.account().await?;
    let key = shop.folder.path().join("stranger.key");
    std::fs::write(&key, hex::encode(stranger.to_bytes()))?;
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let table = shop.home().join("data/table.csv");
    let (table, key) = (table.to_str().unwrap_or_default(), key.to_str().unwrap_or_default());
    let refused = shop.brizo(&["publish", table, "--price", "1", "--allow-raw", "--key-file", key]).await?;
    assert!(refused.unwrap_err().contains("assets.publishers"), "the command itself refuses");

    // Published while it was still listed: the gateway that no longer lists it sells nothing.
    let did = shop.publish(&["--price", "10", "--allow-raw"]).await?;
    let purchase = shop.pay(did, 10, &consumer).await?;
    shop.chain.grant(&shop.provider, &purchase).await?;
    shop.chain.release(&shop.provider, &purchase).await?;
    let keeper = shop.keeper(&shop.assets_of(stranger.address(), &[])?)?;
    let why = not_sold(keeper.authorize(purchase.id, consumer.address()).await);
    assert!(why.contains("publishers"), "{why}");
    assert!(keeper.grantable(purchase.id).await.is_err());
    Ok(())
}

async fn a_new_seal_key() -> Result<()> {
    let shop = Shop::open().await?;
    let did = shop.publish(&["--price", "1", "--allow-raw"]).await?;
    let (current, former) = (shop.home().join("seal.key"), shop.home().join("former.key"));
    std::fs::rename(&current, &former)?;
    std::fs::copy(&former, &current)?;
    std::fs::write(&current, hex::encode([7; 32]))?;
    assert!(shop.assets()?.check_sale(&did, shop.provider.address()).await.is_err(), "the new key alone opens nothing");
    let both = std::slice::from_ref(&former);
    shop.assets_of(shop.provider.address(), both)?.check_sale(&did, shop.provider.address()).await?;
    let config = shop.home().join("brizo.toml");
    let text = std::fs::read_to_string(&config)?;
    let listed = format!("previous_seal_key_files = [\"{}\"]", former.display());
    std::fs::write(&config, text.replace("# previous_seal_key_files = []", &listed))?;
    let done = shop.brizo(&["rekey"]).await??;
    assert_eq!(done["resealed"][0]["version"], 2);
    std::fs::remove_file(&former)?;
    shop.assets()?.check_sale(&did, shop.provider.address()).await?;
    Ok(())
}
