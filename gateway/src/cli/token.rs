//! `brizo token`: a bearer token for curl and Swagger UI.

use clap::Args;
use jiff::SignedDuration;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;
use crate::identity::Scopes;

/// What the token allows, and for how long.
#[derive(Debug, Clone, Args)]
pub(super) struct TokenArgs {
    /// What it allows: read, run (stop needs it too), delete
    #[arg(long, default_value = "read,run,delete", value_name = "SCOPES")]
    pub(super) scopes: String,
    /// How long it lives, at most 24h
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = super::duration)]
    pub(super) lifetime: SignedDuration,
}

pub(super) async fn token(client: &Client, say: &Say, args: &TokenArgs) -> Result<Exit, Failure> {
    let words = args.scopes.split([',', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let scopes = Scopes::parse(&words).map_err(|error| Failure::usage(format!("--scopes: {error}")))?;
    if args.lifetime > crate::identity::access::LONGEST || args.lifetime.as_secs() < 1 {
        return Err(Failure::usage("--lifetime: a token lives from one second to 24 hours."));
    }
    let token = client.token(scopes, args.lifetime).await?;
    say.result(&token, &serde_json::json!({ "token": token, "audience": client.audience() }))?;
    Ok(Exit::Done)
}
