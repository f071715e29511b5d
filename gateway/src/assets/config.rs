//! The sections `[provider]`, `[assets]`, `[metadata]` and `[guard]` of the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use serde::Deserialize;
use url::Url;

use crate::keys::{self, KeyError};
use crate::types::show_address;

/// `[provider]`: who runs this gateway. The key is read by `publish`, `rekey` and `grant`; `serve` needs the address alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// The provider's address.
    pub address: Option<Address>,
    /// A file of its private key: 64 hex digits.
    pub key_file: Option<PathBuf>,
    /// Or a Web3 keystore (version 3).
    pub keystore: Option<PathBuf>,
    /// The file of the keystore's password.
    pub password_file: Option<PathBuf>,
}

/// Why the provider is not known, or can't sign.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Neither address nor key.
    #[error("[provider] names neither an address nor a key; set provider.address, or run `brizo init`")]
    NoAddress,
    /// No key.
    #[error("[provider] names no key; set provider.key_file, or provider.keystore and provider.password_file")]
    NoKey,
    /// Two keys.
    #[error("[provider] names both key_file and keystore; leave one out")]
    TwoKeys,
    /// The key can't be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is another's.
    #[error(
        "the key of [provider] is that of {}, and provider.address is {}",
        show_address(key),
        show_address(address)
    )]
    Other {
        /// Whose the key is.
        key: Address,
        /// What the configuration says.
        address: Address,
    },
}

impl ProviderConfig {
    /// The provider's key. It must be that of `address`, where that is given.
    pub fn signer(&self) -> Result<PrivateKeySigner, ProviderError> {
        let file = match (&self.key_file, &self.keystore) {
            (Some(file), None) | (None, Some(file)) => file,
            (None, None) => return Err(ProviderError::NoKey),
            (Some(_), Some(_)) => return Err(ProviderError::TwoKeys),
        };
        let signer = keys::load(file, self.password_file.as_deref())?;
        match self.address {
            Some(address) if address != signer.address() => {
                Err(ProviderError::Other { key: signer.address(), address })
            }
            _ => Ok(signer),
        }
    }

    /// The provider's address: as given, else that of its key.
    pub fn address(&self) -> Result<Address, ProviderError> {
        match (self.address, &self.key_file, &self.keystore) {
            (Some(address), ..) => Ok(address),
            (None, None, None) => Err(ProviderError::NoAddress),
            _ => Ok(self.signer()?.address()),
        }
    }

    /// Makes relative paths relative to `folder`, that of the configuration file.
    pub fn below(&mut self, folder: &Path) {
        for path in [&mut self.key_file, &mut self.keystore, &mut self.password_file].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
}

/// `[assets]`: what is sold here, and how it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssetsConfig {
    /// The file of the key that the files' URLs are sealed under; `brizo init` makes it.
    pub seal_key_file: PathBuf,
    /// Files of former seal keys, which still open. `brizo rekey` makes them superfluous.
    pub previous_seal_key_files: Vec<PathBuf>,
    /// The folders that file:// inputs may lie in.
    pub roots: Vec<PathBuf>,
    /// Whose assets are sold here; the provider's always are.
    pub publishers: Vec<Address>,
}

impl Default for AssetsConfig {
    fn default() -> Self {
        Self { seal_key_file: "seal.key".into(), previous_seal_key_files: vec![], roots: vec![], publishers: vec![] }
    }
}

impl AssetsConfig {
    /// Makes relative paths relative to `folder`, that of the configuration file.
    pub fn below(&mut self, folder: &Path) {
        let paths = self.previous_seal_key_files.iter_mut().chain(&mut self.roots);
        for path in paths.chain([&mut self.seal_key_file]) {
            *path = folder.join(&*path);
        }
    }
}

/// `[metadata]`: where the documents are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// `file://…`, a folder of the publisher's own, or http(s)://, an Aquarius.
    pub url: Url,
    /// Of an Aquarius: only the publisher can write there, so that documents count without his signature.
    pub trusted: bool,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        let folder = Path::new("/var/lib/brizo/assets");
        // An absolute path without anything to escape always makes a URL.
        let url = Url::from_file_path(folder).unwrap_or_else(|()| unreachable!("an absolute path makes a URL"));
        Self { url, trusted: false }
    }
}

/// `[guard]`: what a consumer's URLs may reach besides the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// `address:port` pairs that may be named although they are private.
    pub allow: Vec<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct All {
        provider: ProviderConfig,
        assets: AssetsConfig,
        metadata: MetadataConfig,
        guard: GuardConfig,
    }

    #[test]
    fn sections_are_read_and_a_misspelt_field_is_told() {
        let text = r#"
            [provider]
            address = "0x00Bd138aBD70e2F00903268F3Db08f2D25677C9e"
            key_file = "provider.key"
            [assets]
            roots = ["data"]
            publishers = ["0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
            [metadata]
            url = "http://aquarius:5000"
            [guard]
            allow = ["127.0.0.1:9000", "[::1]:80"]
        "#;
        let mut all: All = toml::from_str(text).unwrap();
        all.assets.below(Path::new("/etc/brizo"));
        all.provider.below(Path::new("/etc/brizo"));
        assert_eq!(all.assets.seal_key_file, Path::new("/etc/brizo/seal.key"));
        assert_eq!(all.assets.roots, [Path::new("/etc/brizo/data")]);
        assert_eq!(all.provider.key_file.as_deref(), Some(Path::new("/etc/brizo/provider.key")));
        assert_eq!((all.guard.allow.len(), all.metadata.trusted), (2, false));
        assert_eq!(MetadataConfig::default().url.as_str(), "file:///var/lib/brizo/assets");
        for wrong in ["[assets]\nroot = []", "[metadata]\nurl = \"x\"", "[guard]\nallow = [\"127.0.0.1\"]"] {
            assert!(toml::from_str::<All>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_key_must_be_the_providers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let key = keys::create(&file).unwrap();
        let mut provider = ProviderConfig { key_file: Some(file.clone()), ..ProviderConfig::default() };
        assert_eq!(provider.address().unwrap(), key.address());
        provider.address = Some(Address::repeat_byte(1));
        assert!(matches!(provider.signer(), Err(ProviderError::Other { .. })));
        assert_eq!(provider.address().unwrap(), Address::repeat_byte(1), "serve does not read the key");
        provider.keystore = Some(file);
        assert!(matches!(provider.signer(), Err(ProviderError::TwoKeys)));
        assert!(matches!(ProviderConfig::default().address(), Err(ProviderError::NoAddress)));
    }
}
