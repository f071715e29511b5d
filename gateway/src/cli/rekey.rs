//! `brizo rekey`: every document sealed anew under the current seal key.

use clap::Args;
use serde_json::json;

use super::failure::{Exit, Failure};
use super::say::Say;
use super::site::Site;

/// How to seal anew.
#[derive(Debug, Clone, Args)]
pub(crate) struct RekeyArgs {
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// Seals every document anew that the current key does not open; a new version of each is stored.
pub(crate) async fn rekey(site: &Site, say: &Say) -> Result<Exit, Failure> {
    let publisher = site.publisher(site.provider.signer()?).await?;
    say.step("Sealing anew");
    let resealed = publisher.reseal().await?;
    for (did, version) in &resealed {
        say.done(&format!("{did} is sealed anew, as version {version}"));
    }
    let text = match resealed.len() {
        0 => "Every document is sealed under the current key already.".to_owned(),
        count => format!("{count} sealed anew. The former keys can go from assets.previous_seal_key_files."),
    };
    let items: Vec<_> =
        resealed.iter().map(|(did, version)| json!({"did": did.to_string(), "version": version})).collect();
    say.result(&text, &json!({ "resealed": items }))?;
    Ok(Exit::Done)
}
