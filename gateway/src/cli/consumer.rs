//! What every command of a consumer needs: his key, the gateway, and the way to print.

use std::path::PathBuf;

use alloy_signer_local::PrivateKeySigner;
use clap::Args;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;
use crate::keys;

/// Whose key, and which gateway.
#[derive(Debug, Clone, Args)]
pub(super) struct ConsumerArgs {
    /// The consumer's private key: 64 hex digits or a keystore [default: ~/.config/brizo/key]
    #[arg(long, env = "BRIZO_KEY_FILE", value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// The password of a keystore
    #[arg(long, env = "BRIZO_PASSWORD_FILE", value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// The gateway
    #[arg(long, env = "BRIZO_GATEWAY", default_value = "http://127.0.0.1:8030", value_name = "URL")]
    pub(super) gateway: String,
    /// Print JSON for programs
    #[arg(long)]
    pub(super) json: bool,
}

impl ConsumerArgs {
    /// The way to print.
    pub(super) fn say(&self) -> Say {
        Say::new(self.json)
    }

    /// The consumer's key.
    pub(super) fn key(&self) -> Result<PrivateKeySigner, Failure> {
        let file = match &self.key_file {
            Some(file) => file.clone(),
            None => default_key_file()?,
        };
        if !file.exists() {
            return Err(Failure::new(Exit::Usage, format!("There is no key file {}.", file.display()))
                .next("name one with --key-file, or make one with `brizo key new`"));
        }
        keys::load(&file, self.password_file.as_deref()).map_err(|error| Failure::usage(error.to_string()))
    }

    /// The gateway as this consumer sees it.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.gateway, self.key()?)
    }
}

/// Where a consumer's key is if nothing else is said: `brizo/key` in `XDG_CONFIG_HOME`, or in `~/.config`.
pub(super) fn default_key_file() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("brizo").join("key"))
        .ok_or_else(|| Failure::usage("HOME is not set.").next("name the key file with --key-file"))
}
