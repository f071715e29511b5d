//! A development chain of one's own: anvil with the real Keeper contracts, gone when it is dropped or its owner dies.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use brizo::chain::contracts::{
    AgreementStoreManager, COMPUTE_TEMPLATE, Condition, DIDRegistry, Dispenser, EscrowReward, LockRewardCondition,
    ServiceCondition,
};
use brizo::chain::{Batch, Contracts, Gas, Outgoing, Rpc};
use brizo::keeper::{KeeperConfig, ServiceKind, ids};
use brizo::types::{AgreementId, Did};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use crate::deploy::{Fault, Result, deploy_keeper};

/// A transaction of a test is mined at once; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

/// The public keys, so to say, of the accounts that anvil, hardhat and ganache fund.
const DEVELOPMENT_KEYS: [&str; 5] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
];

/// The key of one of the development accounts: 0 deploys, 1 is the provider, 2 a consumer, 3 a publisher, 4 a stranger.
///
/// # Panics
/// If there is no such account.
pub fn development_key(index: usize) -> PrivateKeySigner {
    DEVELOPMENT_KEYS[index].parse().expect("a key")
}

/// A running chain.
#[derive(Debug)]
pub struct Chain {
    url: Url,
    rpc: Rpc,
    artifacts: tempfile::TempDir,
    view: Arc<brizo::chain::Chain>,
    // Holds anvil's life: its guard kills it when this pipe closes, however this process ends.
    _guard: Child,
}

impl Chain {
    /// Starts a chain on a free port with the contracts deployed, which takes a fraction of a second: each test has its own.
    pub async fn start() -> Result<Self> {
        let modules = node_modules().await?;
        let (url, guard) = start_anvil(&modules).await?;
        let rpc = Rpc::new(url.clone())?;
        let package = modules.join("@oceanprotocol/keeper-contracts/artifacts");
        let artifacts = tempfile::tempdir()?;
        let contracts = deploy_keeper(rpc.clone(), &development_key(0), &package, artifacts.path()).await?;
        let view = Arc::new(brizo::chain::Chain::new(rpc.clone(), contracts));
        Ok(Self { url, rpc, artifacts, view, _guard: guard })
    }

    /// Its JSON-RPC.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The artifacts folder with the contracts' addresses, as `keeper.artifacts` and the old clients want it.
    pub fn artifacts(&self) -> &Path {
        self.artifacts.path()
    }

    /// The contracts.
    pub fn contracts(&self) -> &Contracts {
        self.view.contracts()
    }

    /// The gateway's own view of this chain.
    pub fn chain(&self) -> &Arc<brizo::chain::Chain> {
        &self.view
    }

    /// The `[keeper]` section of a gateway that reads this chain, through a proxy if `url` names one.
    pub fn keeper_config(&self, url: Option<&Url>) -> KeeperConfig {
        KeeperConfig {
            rpc_url: url.unwrap_or(&self.url).as_str().parse().expect("an http URL"),
            artifacts: self.artifacts.path().to_owned(),
            ..KeeperConfig::default()
        }
    }

    /// Asks the node anything.
    pub async fn ask<T: DeserializeOwned>(&self, method: &'static str, params: &impl Serialize) -> Result<T> {
        ask(&self.rpc, method, params).await
    }

    /// Mines so many empty blocks.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        let _: serde_json::Value = self.ask("anvil_mine", &[U256::from(blocks)]).await?;
        Ok(())
    }

    /// Mines an empty block so many seconds later.
    pub async fn later(&self, seconds: u64) -> Result<()> {
        let _: serde_json::Value = self.ask("evm_increaseTime", &[U256::from(seconds)]).await?;
        self.mine(1).await
    }

    /// Stops or resumes mining each transaction at once.
    pub async fn automine(&self, on: bool) -> Result<()> {
        let _: serde_json::Value = self.ask("evm_setAutomine", &[on]).await?;
        Ok(())
    }

    /// A fresh account with ether, so that tests that run side by side do not share a nonce.
    pub async fn account(&self) -> Result<PrivateKeySigner> {
        let signer = PrivateKeySigner::random();
        self.fund(signer.address()).await?;
        Ok(signer)
    }

    /// Gives an account ether.
    pub async fn fund(&self, account: Address) -> Result<()> {
        let ether = U256::from(10_u64).pow(U256::from(20));
        let _: serde_json::Value = self.ask("anvil_setBalance", &(account, ether)).await?;
        Ok(())
    }

    /// A fresh account with ether and `tokens` whole tokens (at most 1,000) from the Dispenser.
    pub async fn rich_account(&self, tokens: u64) -> Result<PrivateKeySigner> {
        let signer = self.account().await?;
        self.dispense(&signer, tokens).await?;
        Ok(signer)
    }

    /// Takes whole tokens (at most 1,000) from the Dispenser.
    pub async fn dispense(&self, signer: &PrivateKeySigner, tokens: u64) -> Result<()> {
        let dispenser = self.contracts().dispenser.ok_or("no Dispenser")?;
        self.transact(signer, dispenser, &Dispenser::requestTokensCall { amount: U256::from(tokens) }).await
    }

    /// Sends a transaction and waits until it is mined; an error if it reverts.
    pub async fn transact<C: SolCall>(&self, signer: &PrivateKeySigner, to: Address, call: &C) -> Result<()> {
        let sent = self.view.transact(signer, &[Outgoing::call(to, call, Gas::Estimated)]).await?;
        for transaction in sent {
            self.view.mined(transaction.hash, SOON).await?;
        }
        Ok(())
    }

    /// Registers a fresh DID.
    pub async fn register(&self, owner: &PrivateKeySigner, providers: &[Address]) -> Result<Did> {
        let did = Did(fresh());
        let call = DIDRegistry::registerAttributeCall {
            did: did.0,
            checksum: did.0,
            providers: providers.to_vec(),
            value: "http://127.0.0.1/".to_owned(),
        };
        self.transact(owner, self.contracts().did_registry, &call).await?;
        Ok(did)
    }

    /// Makes the agreement of a purchase. Anybody may.
    pub async fn agree(&self, by: &PrivateKeySigner, purchase: &Purchase) -> Result<()> {
        let call = AgreementStoreManager::createAgreementCall {
            id: purchase.id.0,
            did: purchase.did.0,
            templateId: purchase.template,
            conditionIds: purchase.condition_ids.to_vec(),
            timeLocks: purchase.time_locks.map(U256::from).to_vec(),
            timeOuts: purchase.time_outs.map(U256::from).to_vec(),
            actors: purchase.actors.clone(),
        };
        self.transact(by, self.contracts().agreement_store, &call).await
    }

    /// Pays a purchase.
    pub async fn lock(&self, by: &PrivateKeySigner, purchase: &Purchase) -> Result<()> {
        self.lock_amount(by, purchase, purchase.price).await
    }

    /// Pays so much, for which the agreement must hold the condition.
    pub async fn lock_amount(&self, by: &PrivateKeySigner, purchase: &Purchase, amount: U256) -> Result<()> {
        use brizo::chain::contracts::OceanToken::approveCall;
        let contracts = self.contracts();
        self.transact(by, contracts.token, &approveCall { spender: contracts.lock_reward, value: amount }).await?;
        let call = LockRewardCondition::fulfillCall {
            agreementId: purchase.id.0,
            rewardAddress: contracts.escrow_reward,
            amount,
        };
        self.transact(by, contracts.lock_reward, &call).await
    }

    /// Fulfils a purchase's compute condition by hand, as the old events handler would, whatever the gateway thinks.
    pub async fn grant(&self, provider: &PrivateKeySigner, purchase: &Purchase) -> Result<()> {
        let call = ServiceCondition::fulfillCall {
            agreementId: purchase.id.0,
            did: purchase.did.0,
            grantee: purchase.consumer,
        };
        self.transact(provider, self.contracts().compute, &call).await
    }

    /// Releases a purchase's escrow by hand.
    pub async fn release(&self, by: &PrivateKeySigner, purchase: &Purchase) -> Result<()> {
        let call = EscrowReward::fulfillCall {
            agreementId: purchase.id.0,
            amount: purchase.price,
            receiver: purchase.receiver,
            sender: purchase.consumer,
            lockCondition: purchase.condition_ids[0],
            releaseCondition: purchase.condition_ids[1],
        };
        self.transact(by, self.contracts().escrow_reward, &call).await
    }

    /// Aborts a condition whose time is over.
    pub async fn abort(&self, by: &PrivateKeySigner, contract: Address, condition: B256) -> Result<()> {
        self.transact(by, contract, &Condition::abortByTimeOutCall { id: condition }).await
    }
}

/// An agreement as its consumer makes it: each part may be made wrong.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the contract's arguments")]
pub struct Purchase {
    pub id: AgreementId,
    pub did: Did,
    pub price: U256,
    pub receiver: Address,
    pub consumer: Address,
    pub template: B256,
    pub condition_ids: [B256; 3],
    pub time_locks: [u64; 3],
    pub time_outs: [u64; 3],
    pub actors: Vec<Address>,
}

impl Purchase {
    /// An honest compute purchase, actors in squid-js' order.
    pub fn honest(contracts: &Contracts, did: Did, price: u64, receiver: Address, consumer: Address) -> Self {
        let mut purchase = Self {
            id: AgreementId(fresh()),
            did,
            price: U256::from(price),
            receiver,
            consumer,
            template: COMPUTE_TEMPLATE,
            condition_ids: [B256::ZERO; 3],
            time_locks: [0; 3],
            time_outs: [0; 3],
            actors: vec![consumer, development_key(1).address()],
        };
        purchase.recompute(contracts);
        purchase
    }

    /// Computes the condition ids anew from the other fields.
    pub fn recompute(&mut self, contracts: &Contracts) {
        let kind = ServiceKind::Compute;
        self.condition_ids =
            ids::condition_ids(contracts, kind, &self.id, &self.did, self.price, &self.receiver, &self.consumer)
                .to_array();
    }
}

/// 32 bytes that nobody else in this run has.
pub fn fresh() -> B256 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    keccak256(format!("{count} {now} {}", std::process::id()))
}

async fn ask<T: DeserializeOwned>(rpc: &Rpc, method: &'static str, params: &impl Serialize) -> Result<T> {
    let mut batch = Batch::new();
    let slot = batch.add(method, params);
    Ok(rpc.send(batch).await?.take(slot)?)
}

/// The folder of tests/infra/chain's npm packages, installed if they are not.
async fn node_modules() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/chain/modules");
    let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", script.display(), output.status).into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

/// Starts anvil under a shell that kills it as soon as our end of its stdin closes.
async fn start_anvil(modules: &Path) -> Result<(Url, Child)> {
    let guard = "\"$@\" </dev/null & anvil=$!; cat >/dev/null; kill \"$anvil\"; wait \"$anvil\"";
    let mut child = Command::new("sh")
        .args(["-c", guard, "anvil-guard"])
        .arg(modules.join(".bin/anvil-binary"))
        .args(["--host", "127.0.0.1", "--port", "0", "--chain-id", "31337", "--no-cors"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("Listening on ") {
                return Ok::<Url, Fault>(Url::parse(&format!("http://{}/", address.trim()))?);
            }
        }
        Err("anvil ended before it listened".into())
    };
    let url = tokio::time::timeout(SOON, listening).await.map_err(|_| "anvil does not start")??;
    // It goes on writing; a full pipe would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((url, child))
}
