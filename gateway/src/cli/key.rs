//! `brizo key new`: makes a consumer's key.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::consumer::default_key_file;
use super::failure::{Exit, Failure};
use super::say::Say;
use crate::keys;
use crate::types::show_address;

/// Keys.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new random key, and print its address
    New(NewKeyArgs),
}

/// Where the key goes.
#[derive(Debug, Clone, Args)]
pub(super) struct NewKeyArgs {
    /// The file, which must not exist [default: ~/.config/brizo/key]
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn new(say: &Say, args: &NewKeyArgs) -> Result<Exit, Failure> {
    let file = match &args.key_file {
        Some(file) => file.clone(),
        None => default_key_file()?,
    };
    if file.exists() {
        return Err(Failure::new(Exit::Refused, format!("{} exists; a key is never overwritten.", file.display()))
            .next("name another file with --key-file"));
    }
    let address = show_address(&keys::create(&file).map_err(|error| Failure::internal(error.to_string()))?.address());
    say.result(&address, &serde_json::json!({ "address": address, "key_file": file }))?;
    say.done(&format!("The key is in {}. Who has that file has what it owns.", file.display()));
    Ok(Exit::Done)
}
