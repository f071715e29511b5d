//! The addresses of the contracts, from a folder of keeper artifacts as every party of an Ocean network has it:
//! `<Contract>.<network>.json`, of which only `address` is read (OCEAN's own clients read the same files).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use serde::Deserialize;

/// Where the Keeper contracts are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the contract of its name")]
pub struct Contracts {
    pub did_registry: Address,
    pub token: Address,
    pub dispenser: Option<Address>,
    pub condition_store: Address,
    pub template_store: Address,
    pub agreement_store: Address,
    pub lock_reward: Address,
    pub escrow_reward: Address,
    pub access: Address,
    pub compute: Address,
}

/// Why the addresses can't be taken from a folder.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// The folder itself.
    #[error("keeper.artifacts: {path:?} can't be read: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A contract has no file.
    #[error(
        "keeper.artifacts: {path:?} has neither {contract}.{network}.json nor {contract}.development.json: \
         copy the artifacts of @oceanprotocol/keeper-contracts, or set keeper.network"
    )]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The contract.
        contract: &'static str,
        /// The network of the configuration.
        network: String,
    },
    /// A file can't be read or holds no address.
    #[error("keeper.artifacts: {path:?} holds no address that can be read: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

impl Contracts {
    /// Reads the addresses for `network` (names in any case), falling back to the files of `development` for each contract.
    pub fn load(folder: &Path, network: &str) -> Result<Self, ArtifactsError> {
        let unreadable = |source| ArtifactsError::Folder { path: folder.to_owned(), source };
        let mut files = HashMap::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                files.insert(name.to_lowercase(), path);
            }
        }
        let find = |contract: &'static str| -> Result<Address, ArtifactsError> {
            let name = |network: &str| format!("{contract}.{network}.json").to_lowercase();
            let path = files.get(&name(network)).or_else(|| files.get(&name("development"))).ok_or_else(|| {
                ArtifactsError::Missing { path: folder.to_owned(), contract, network: network.to_owned() }
            })?;
            address_in(path)
        };
        Ok(Self {
            did_registry: find("DIDRegistry")?,
            token: find("OceanToken")?,
            dispenser: find("Dispenser").ok(),
            condition_store: find("ConditionStoreManager")?,
            template_store: find("TemplateStoreManager")?,
            agreement_store: find("AgreementStoreManager")?,
            lock_reward: find("LockRewardCondition")?,
            escrow_reward: find("EscrowReward")?,
            access: find("AccessSecretStoreCondition")?,
            compute: find("ComputeExecutionCondition")?,
        })
    }

    /// Each contract by the name of its artifact, for the old clients' `GET /`.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, Address)> {
        [
            ("AccessSecretStoreCondition", Some(self.access)),
            ("AgreementStoreManager", Some(self.agreement_store)),
            ("ComputeExecutionCondition", Some(self.compute)),
            ("ConditionStoreManager", Some(self.condition_store)),
            ("DIDRegistry", Some(self.did_registry)),
            ("Dispenser", self.dispenser),
            ("EscrowReward", Some(self.escrow_reward)),
            ("LockRewardCondition", Some(self.lock_reward)),
            ("OceanToken", Some(self.token)),
            ("TemplateStoreManager", Some(self.template_store)),
        ]
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?)))
    }
}

fn address_in(path: &Path) -> Result<Address, ArtifactsError> {
    #[derive(Deserialize)]
    struct Artifact {
        address: String,
    }
    let wrong = |cause: String| ArtifactsError::File { path: path.to_owned(), cause };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let artifact: Artifact = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    crate::types::parse_address(&artifact.address).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, byte: &str) {
        let address = byte.repeat(20);
        std::fs::write(folder.join(name), format!(r#"{{"abi":[],"address":"0x{address}","version":"v0.13.2"}}"#))
            .unwrap();
    }

    /// A publisher's own folder, as it came from the contracts' package, must be enough.
    #[test]
    fn the_network_wins_over_development_and_case_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        for contract in [
            "DIDRegistry",
            "OceanToken",
            "ConditionStoreManager",
            "TemplateStoreManager",
            "AgreementStoreManager",
            "LockRewardCondition",
            "EscrowReward",
            "AccessSecretStoreCondition",
            "ComputeExecutionCondition",
        ] {
            write(folder.path(), &format!("{contract}.development.json"), "11");
        }
        write(folder.path(), "oceantoken.Pacific.json", "22");
        let contracts = Contracts::load(folder.path(), "pacific").unwrap();
        assert_eq!(contracts.token, Address::repeat_byte(0x22));
        assert_eq!(contracts.compute, Address::repeat_byte(0x11));
        assert_eq!(contracts.dispenser, None);
        std::fs::remove_file(folder.path().join("EscrowReward.development.json")).unwrap();
        let error = Contracts::load(folder.path(), "pacific").unwrap_err().to_string();
        assert!(error.contains("EscrowReward.pacific.json") && error.contains("keeper.network"), "{error}");
    }
}
