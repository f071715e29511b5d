//! Puts the real Keeper contracts 0.13.2 on a fresh development chain and writes the artifacts folder that every party of
//! an Ocean network reads: `<Contract>.development.json` with the addresses they got.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, address, keccak256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use brizo::chain::contracts::{
    ACCESS_TEMPLATE, AgreementStoreManager, COMPUTE_TEMPLATE, Condition, ConditionStoreManager, DIDRegistry, Dispenser,
    OceanToken, TemplateStoreManager,
};
use brizo::chain::{Chain, Contracts, Gas, Outgoing, Rpc};
use serde_json::Value;

/// Owner of the token contract. Must differ from its first minter, or `initialize` reverts. Nobody needs its key.
const TOKEN_OWNER: Address = address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720");
/// All of a deployment or a call; far below a block's.
const GAS: Gas = Gas::Fixed(6_000_000);

/// What goes wrong here ends a test or a tool: a text is all that is needed.
pub type Result<T, E = Fault> = std::result::Result<T, E>;
/// Any error.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

struct Deployment<'a> {
    chain: Chain,
    deployer: &'a PrivateKeySigner,
    artifacts: &'a Path,
    nonce: u64,
    rows: Vec<Outgoing>,
    addresses: BTreeMap<&'static str, Address>,
}

impl Deployment<'_> {
    fn artifact(&self, contract: &str) -> Result<Value> {
        let path = self.artifacts.join(format!("{contract}.development.json"));
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Adds a deployment. Its address is known beforehand: it follows from deployer and nonce.
    fn create(&mut self, contract: &'static str, link: Option<&'static str>) -> Result<Address> {
        let artifact = self.artifact(contract)?;
        let mut code = artifact["bytecode"].as_str().ok_or("no bytecode")?.trim_start_matches("0x").to_owned();
        if let Some(library) = link {
            // solc before 0.5 left a placeholder of 40 characters for a library's address.
            let placeholder = format!("{:_<40}", format!("__{library}"));
            code = code.replace(&placeholder, &hex::encode(self.addresses[library]));
        }
        let input = Bytes::from(hex::decode(&code).map_err(|_| format!("{contract} has an unlinked library"))?);
        self.rows.push(Outgoing { to: TxKind::Create, input, gas: GAS });
        let address = self.deployer.address().create(self.nonce);
        self.nonce += 1;
        self.addresses.insert(contract, address);
        Ok(address)
    }

    fn call<C: SolCall>(&mut self, to: Address, call: &C) {
        self.rows.push(Outgoing::call(to, call, GAS));
        self.nonce += 1;
    }
}

/// Deploys and initializes the contracts from the folder `artifacts` of the npm package, approves both templates, and
/// writes the artifacts with their addresses into `out`.
///
/// `deployer` owns everything but the token, and must have ether.
pub async fn deploy_keeper(rpc: Rpc, deployer: &PrivateKeySigner, artifacts: &Path, out: &Path) -> Result<Contracts> {
    let owner = deployer.address();
    let nobody = Contracts {
        did_registry: Address::ZERO,
        token: Address::ZERO,
        dispenser: None,
        condition_store: Address::ZERO,
        template_store: Address::ZERO,
        agreement_store: Address::ZERO,
        lock_reward: Address::ZERO,
        escrow_reward: Address::ZERO,
        access: Address::ZERO,
        compute: Address::ZERO,
    };
    let chain = Chain::new(rpc, nobody);
    let (_, nonce) = chain.nonces(owner).await?;
    let mut to = Deployment { chain, deployer, artifacts, nonce, rows: Vec::new(), addresses: BTreeMap::new() };

    to.create("EpochLibrary", None)?;
    to.create("DIDRegistryLibrary", None)?;
    let registry = to.create("DIDRegistry", Some("DIDRegistryLibrary"))?;
    to.call(registry, &DIDRegistry::initializeCall { owner });
    let token = to.create("OceanToken", None)?;
    to.call(token, &OceanToken::initializeCall { owner: TOKEN_OWNER, initialMinter: owner });
    let dispenser = to.create("Dispenser", None)?;
    to.call(dispenser, &Dispenser::initializeCall { token, owner });
    let conditions = to.create("ConditionStoreManager", Some("EpochLibrary"))?;
    to.call(conditions, &ConditionStoreManager::initializeCall { owner });
    let templates = to.create("TemplateStoreManager", None)?;
    to.call(templates, &TemplateStoreManager::initializeCall { owner });
    let agreements = to.create("AgreementStoreManager", None)?;
    to.call(
        agreements,
        &AgreementStoreManager::initializeCall {
            owner,
            conditionStoreManager: conditions,
            templateStoreManager: templates,
            didRegistry: registry,
        },
    );
    for (contract, third) in [
        ("LockRewardCondition", token),
        ("EscrowReward", token),
        ("AccessSecretStoreCondition", agreements),
        ("ComputeExecutionCondition", agreements),
    ] {
        let address = to.create(contract, None)?;
        to.call(address, &Condition::initialize_1Call { owner, conditionStoreManager: conditions, third });
    }
    // Nothing here uses these four; the old Python clients look for them when they start.
    for contract in ["SignCondition", "HashLockCondition", "ThresholdCondition", "WhitelistingCondition"] {
        let address = to.create(contract, None)?;
        to.call(address, &Condition::initialize_0Call { owner, conditionStoreManager: conditions });
    }

    for actor in ["provider", "consumer"] {
        to.call(templates, &TemplateStoreManager::registerTemplateActorTypeCall { actorType: actor.into() });
    }
    for (id, name, service) in [
        (COMPUTE_TEMPLATE, "EscrowComputeExecutionTemplate", "ComputeExecutionCondition"),
        (ACCESS_TEMPLATE, "EscrowAccessSecretStoreTemplate", "AccessSecretStoreCondition"),
    ] {
        let types = [to.addresses["LockRewardCondition"], to.addresses[service], to.addresses["EscrowReward"]];
        propose(&mut to, templates, id, name, types.to_vec());
    }
    to.call(conditions, &ConditionStoreManager::delegateCreateRoleCall { delegatee: agreements });
    to.call(token, &OceanToken::addMinterCall { account: dispenser });
    to.call(token, &OceanToken::renounceMinterCall {});

    let sent = to.chain.transact(deployer, &to.rows).await?;
    for transaction in sent {
        to.chain.mined(transaction.hash, Duration::from_mins(1)).await?;
    }
    write(&to, out)?;
    Ok(Contracts::load(out, "development")?)
}

fn propose(to: &mut Deployment<'_>, templates: Address, id: B256, name: &str, types: Vec<Address>) {
    let actors = vec![keccak256("provider"), keccak256("consumer")];
    let call = TemplateStoreManager::proposeTemplateCall {
        id,
        conditionTypes: types,
        actorTypeIds: actors,
        name: name.to_owned(),
    };
    to.call(templates, &call);
    to.call(templates, &TemplateStoreManager::approveTemplateCall { id });
}

/// Copies of the package's files with the addresses put in: squid-py and squid-js read the same folder.
fn write(to: &Deployment<'_>, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    for (contract, address) in &to.addresses {
        let mut artifact = to.artifact(contract)?;
        let address = address.to_checksum(None);
        for field in ["address", "implementation"] {
            if artifact.get(field).is_some() {
                artifact[field] = Value::from(address.clone());
            }
        }
        artifact["address"] = Value::from(address);
        std::fs::write(out.join(format!("{contract}.development.json")), serde_json::to_vec(&artifact)?)?;
    }
    Ok(())
}
