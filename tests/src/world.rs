//! Everything at once: a chain with the real contracts, a gateway, a published dataset, a consumer who can pay.

use std::path::Path;
use std::process::{Output, Stdio};

use alloy_signer_local::PrivateKeySigner;
use brizo::types::Did;

use crate::chain::{Chain, Purchase, development_key};
use crate::consumer::Consumer;
use crate::deploy::Result;
use crate::gateway::{Gateway, Home, OnChain};

/// What the dataset costs.
pub const PRICE: u64 = 10;
/// What is in it.
pub const DATA: &str = "a,b\n1,2\n3,4\n";

/// One of everything. Dropped, the gateway is killed first.
#[derive(Debug)]
pub struct World {
    /// The gateway, while it runs.
    pub gateway: Option<Gateway>,
    /// Its folder.
    pub home: Home,
    /// The chain.
    pub chain: Chain,
    /// The dataset, which allows raw code.
    pub did: Did,
    /// Who buys.
    pub buyer: PrivateKeySigner,
    /// The buyer at the gateway.
    pub consumer: Consumer,
}

impl World {
    /// A world whose gateway has these settings besides.
    pub async fn new(settings: &str) -> Result<Self> {
        let chain = Chain::start().await?;
        let on_chain = OnChain { rpc_url: chain.url().to_string(), artifacts: chain.artifacts().to_owned() };
        let home = Home::new(&on_chain, &development_key(1), settings)?;
        std::fs::write(home.data().join("table.csv"), DATA)?;
        let did = publish(&home, &["table.csv"], &["--price", &PRICE.to_string(), "--allow-raw"]).await?;
        let gateway = home.serve()?;
        let buyer = chain.rich_account(1_000).await?;
        let consumer = Consumer::new(&buyer, chain.chain().id().await?, gateway.url());
        Ok(Self { gateway: Some(gateway), home, chain, did, buyer, consumer })
    }

    /// A paid and granted agreement of the buyer's about the dataset.
    pub async fn agreement(&self) -> Result<String> {
        self.agreement_about(self.did, PRICE).await
    }

    /// A paid and granted agreement of the buyer's about an asset of the provider's.
    pub async fn agreement_about(&self, did: Did, price: u64) -> Result<String> {
        let owner = development_key(1);
        let contracts = self.chain.contracts();
        let purchase = Purchase::honest(contracts, did, price, owner.address(), self.buyer.address());
        self.chain.agree(&self.buyer, &purchase).await?;
        self.chain.lock(&self.buyer, &purchase).await?;
        self.chain.grant(&owner, &purchase).await?;
        self.chain.release(&owner, &purchase).await?;
        Ok(purchase.id.to_string())
    }
}

/// Publishes files of the home's data folder by `brizo publish`, and returns the DID.
pub async fn publish(home: &Home, files: &[&str], options: &[&str]) -> Result<Did> {
    let mut command = tokio::process::Command::from(home.brizo());
    command.arg("publish").args(files.iter().map(|file| home.data().join(file))).args(options);
    command.args(["--name", "A table", "--json"]);
    let out = said(command).await?;
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    Ok(answer["did"].as_str().unwrap_or_default().parse()?)
}

/// Runs a command to its end; an error with its words if it does not exit with 0.
pub async fn said(mut command: tokio::process::Command) -> Result<Output> {
    let out = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !out.status.success() {
        let words = String::from_utf8_lossy(&out.stderr);
        return Err(format!("{:?} ended with {}: {words}", command.as_std().get_args(), out.status).into());
    }
    Ok(out)
}

/// Writes a private key to a file that only its owner may read.
pub fn key_file(key: &PrivateKeySigner, file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, hex::encode(key.to_bytes()))?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}
