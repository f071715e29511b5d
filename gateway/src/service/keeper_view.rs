use crate::chain::{Chain, Contracts};
use crate::keeper::KeeperConfig;
use crate::types::Address;

/// Which contracts the gateway reads, and through which node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeeperView {
    /// The node's URL, as scheme and host alone: the rest may be a key.
    pub url: String,
    /// The network whose artifacts are read.
    pub network: String,
    /// Each contract by the name of its artifact.
    pub contracts: Vec<(&'static str, Address)>,
}

impl KeeperView {
    /// Of a chain that was opened from `config`.
    pub fn of(config: &KeeperConfig, chain: &Chain) -> Self {
        Self {
            url: config.rpc_url.to_string(),
            network: config.network.clone(),
            contracts: Contracts::named(chain.contracts()).collect(),
        }
    }
}
