//! The `[keeper]` section: which chain, through which node, with which contracts.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::chain::{ArtifactsError, Chain, ChainError, Contracts, Rpc};

/// Confirmations on a chain whose blocks can be replaced.
const CONFIRMATIONS: u64 = 12;
/// Development chains (ganache, anvil and hardhat): nothing is ever replaced there.
const DEVELOPMENT_CHAINS: [u64; 2] = [1337, 31337];

/// The `[keeper]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeeperConfig {
    /// The node's JSON-RPC over http(s). May hold credentials, and is shown without them.
    pub rpc_url: RpcUrl,
    /// The folder of `<Contract>.<network>.json` files.
    pub artifacts: PathBuf,
    /// Which network's files; `development` stands in for missing ones.
    pub network: String,
    /// How many blocks must lie on a payment before it is granted, and on a fact before it is remembered.
    /// Absent: 12, and 0 on chains 1337 and 31337.
    pub confirmations: Option<u64>,
}

impl Default for KeeperConfig {
    fn default() -> Self {
        Self {
            rpc_url: RpcUrl(Url::parse("http://127.0.0.1:8545").expect("a URL")),
            artifacts: PathBuf::from("keeper-artifacts"),
            network: "development".to_owned(),
            confirmations: None,
        }
    }
}

/// A node's URL, shown as scheme and host alone: user, path and query may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcUrl(Url);

/// Why a text is no node's URL. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keeper.rpc_url is not an http:// or https:// URL")]
pub struct RpcUrlError;

impl std::str::FromStr for RpcUrl {
    type Err = RpcUrlError;
    fn from_str(text: &str) -> Result<Self, RpcUrlError> {
        let url = Url::parse(text).map_err(|_| RpcUrlError)?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(Self(url)) } else { Err(RpcUrlError) }
    }
}

impl<'de> Deserialize<'de> for RpcUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why the chain can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The contracts' addresses.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ChainError),
}

impl KeeperConfig {
    /// Reads the addresses and makes the client. Asks the node nothing yet, so that a gateway starts while it is down.
    pub fn open(&self) -> Result<Chain, OpenError> {
        let contracts = Contracts::load(&self.artifacts, &self.network)?;
        Ok(Chain::new(Rpc::new(self.rpc_url.0.clone())?, contracts))
    }

    /// The confirmations that count on a chain.
    pub fn confirmations_on(&self, chain_id: u64) -> u64 {
        self.confirmations.unwrap_or(if DEVELOPMENT_CHAINS.contains(&chain_id) { 0 } else { CONFIRMATIONS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of a node's provider is paid for; it must not end in a log.
    #[test]
    fn the_nodes_url_is_shown_without_its_key() {
        let config = KeeperConfig {
            rpc_url: "https://user:pass@node.example:8545/v3/0123456789?key=abc".parse().unwrap(),
            ..KeeperConfig::default()
        };
        let shown = format!("{config:?}");
        assert!(shown.contains("https://node.example:8545"), "{shown}");
        for secret in ["user", "pass", "0123456789", "abc"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(!"file:///0123456789".parse::<RpcUrl>().unwrap_err().to_string().contains("0123"));
    }

    #[test]
    fn a_payment_on_a_public_chain_is_buried_before_it_counts() {
        let config = KeeperConfig::default();
        assert_eq!(
            (config.confirmations_on(31337), config.confirmations_on(1337), config.confirmations_on(1)),
            (0, 0, 12)
        );
        assert_eq!(KeeperConfig { confirmations: Some(3), ..config }.confirmations_on(31337), 3);
    }
}
