use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The section `[backend.process]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessConfig {
    /// Where jobs are kept: a folder of a local disk, open to the gateway's user alone. Several gateways may share it.
    /// Default: `/var/lib/brizo/state`.
    pub state_dir: PathBuf,
    /// Run as root, each running job gets a uid of its own, from this one on. Nobody else may have them. Default: 200000.
    pub first_uid: u32,
    /// What algorithms can run in, by the name that their container's image has (without its tag). Default: `python`
    /// (/usr/bin/python3), `node` (/usr/bin/node) and `sh` (/bin/sh), as far as this host has them.
    pub runtimes: BTreeMap<String, RuntimeConfig>,
    /// What an algorithm gets whose datasets' publishers all allow the network: `none` refuses it (the default), `host`
    /// gives it all that this host reaches.
    pub network: NetworkConfig,
}

/// A runtime of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Its program, absolute: never looked up in PATH, which may lead to a shim in somebody's home.
    pub command: PathBuf,
    /// The folders that it needs, absolute; algorithms see them read-only, at the same place.
    pub roots: Vec<PathBuf>,
}

/// What of the network an algorithm may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkConfig {
    /// Nothing, ever.
    #[default]
    None,
    /// All that the host reaches, where the datasets' publishers allow it.
    Host,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        let of_host = [("python", "/usr/bin/python3"), ("node", "/usr/bin/node"), ("sh", "/bin/sh")];
        let runtimes = of_host
            .into_iter()
            .filter(|(_, command)| std::path::Path::new(command).exists())
            .map(|(name, command)| {
                (name.to_owned(), RuntimeConfig { command: command.into(), roots: vec!["/usr".into()] })
            })
            .collect();
        Self { state_dir: "/var/lib/brizo/state".into(), first_uid: 200_000, runtimes, network: NetworkConfig::None }
    }
}
