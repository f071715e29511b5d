//! What the publisher's commands need of the configuration.

use std::path::PathBuf;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use url::Url;

use super::failure::{Exit, Failure};
use crate::assets::SetupError;
use crate::assets::config::{AssetsConfig, GuardConfig, MetadataConfig, ProviderConfig, ProviderError};
use crate::assets::publisher::{PublishError, Publisher};
use crate::chain::{Chain, ChainError};
use crate::config::Config;
use crate::keeper::KeeperConfig;

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArg {
    /// The gateway's configuration
    #[arg(long, env = "BRIZO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigArg {
    /// Reads the configuration: the file, then the environment.
    pub(super) fn site(&self) -> Result<Site, Failure> {
        let config = self.load()?;
        let (public_url, names) = (config.server.public_url(), config.server.names());
        let chain = config.keeper.open().map_err(|error| Failure::usage(sentence(&error.to_string())))?;
        let Config { assets, metadata, provider, guard, keeper, .. } = config;
        Ok(Site { assets, metadata, guard, keeper, provider, public_url, names, chain })
    }
}

/// The publisher's machine: what the configuration says of it, and the chain.
#[derive(Debug)]
pub(crate) struct Site {
    /// `[assets]`.
    pub assets: AssetsConfig,
    /// `[metadata]`.
    pub metadata: MetadataConfig,
    /// `[guard]`.
    pub guard: GuardConfig,
    /// `[keeper]`.
    pub keeper: KeeperConfig,
    /// `[provider]`.
    pub provider: ProviderConfig,
    /// `server.public_url`.
    pub public_url: Url,
    /// The public URL and the aliases: what a compute service may name.
    pub names: Vec<Url>,
    /// The chain of `[keeper]`.
    pub chain: Chain,
}

impl Site {
    /// The publisher's desk, for this key.
    pub(super) async fn publisher(&self, signer: PrivateKeySigner) -> Result<Publisher, Failure> {
        let chain_id = self.chain.id().await.map_err(|error| chain_failure(&error, signer.address()))?;
        Ok(Publisher::open(&self.assets, &self.metadata, signer, chain_id)?)
    }

    /// Refuses to publish for somebody whose assets this gateway would not sell.
    pub(super) fn check_listed(&self, publisher: Address) -> Result<(), Failure> {
        let provider = self.provider.address()?;
        if publisher == provider || self.assets.publishers.contains(&publisher) {
            return Ok(());
        }
        Err(Failure::usage(format!("{publisher} is neither this gateway's provider nor one of its publishers."))
            .next("add the address to assets.publishers"))
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::usage(sentence(&error.to_string()))
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::usage(sentence(&error.to_string()))
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        use crate::assets::StoreError;
        let exit = match &error {
            PublishError::Store { error: StoreError::Object(_) | StoreError::Remote { .. } } => Exit::Unavailable,
            PublishError::Store { error: StoreError::Exists { .. } } | PublishError::Broken { .. } => Exit::Refused,
            _ => Exit::Usage,
        };
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error).and_then(std::error::Error::source);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        let failure = Self::new(exit, sentence(&text));
        match &error {
            PublishError::Store { error: StoreError::Exists { did, .. } } => {
                failure.next(format!("publish a new version of it with `brizo publish --update {did}`"))
            }
            PublishError::File { why: crate::assets::SourceError::Outside(_), .. } => {
                failure.next("move the file there, or add its folder to assets.roots")
            }
            _ => failure,
        }
    }
}

/// What a fault of the chain means for a command of this account.
pub(super) fn chain_failure(error: &ChainError, account: Address) -> Failure {
    let text = error.to_string();
    let exit = if error.is_retryable() { Exit::Unavailable } else { Exit::Refused };
    let failure = Failure::new(exit, sentence(&text));
    if text.to_ascii_lowercase().contains("insufficient funds") {
        return failure.next(format!("give {account} the chain's own coin, to pay for its transactions"));
    }
    failure
}

/// With a capital letter, unless it begins with a key or a path, and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    if word.trim_end_matches(['.', ',', ':']).contains(['.', '_', '/']) {
        return if text.ends_with(['.', '!', '?', '`']) { text.to_owned() } else { format!("{text}.") };
    }
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', '`']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
