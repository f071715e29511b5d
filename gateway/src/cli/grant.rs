//! `brizo grant`: the provider's side of an agreement, on chain.

use std::sync::Arc;

use alloy_primitives::B256;
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::say::Say;
use super::site::{Site, sentence};
use crate::assets::{Assets, Setup};
use crate::grants::{Event, GrantError, Granted, Granter};
use crate::keeper::{Keeper, Refusal, Why};
use crate::types::{AgreementId, show_address};

/// Which agreements to grant.
#[derive(Debug, Clone, Args)]
pub(crate) struct GrantArgs {
    /// The agreement
    #[arg(required_unless_present = "watch")]
    pub agreement: Option<AgreementId>,
    /// Grant every paid agreement, until stopped
    #[arg(long, conflicts_with = "agreement")]
    pub watch: bool,
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// Grants one agreement, or all that come.
pub(crate) async fn grant(site: Site, say: &Say, args: &GrantArgs) -> Result<Exit, Failure> {
    let granter = granter(site).await?;
    match args.agreement {
        Some(agreement) => {
            say.step(&format!("granting {agreement}"));
            let done = granter.grant(agreement).await.map_err(|error| failed(&error))?;
            say.result(&told(&done), &json(&done))?;
        }
        None => watch(&granter, say).await?,
    }
    Ok(Exit::Done)
}

async fn granter(site: Site) -> Result<Granter, Failure> {
    let signer = site.provider.signer()?;
    let provider = site.provider.address()?;
    let chain_id = site.chain.id().await.map_err(|error| super::site::chain_failure(&error, provider))?;
    let assets = Assets::open(Setup {
        assets: site.assets,
        metadata: site.metadata,
        guard: site.guard,
        provider,
        endpoints: site.names,
        chain_id,
    })?;
    let keeper = Keeper::new(Arc::new(site.chain), site.keeper, provider, Arc::new(assets));
    Granter::new(Arc::new(keeper), signer).map_err(|error| failed(&error))
}

/// Until SIGINT or SIGTERM. What is under way on chain then goes on there.
async fn watch(granter: &Granter, say: &Say) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::internal(format!("SIGTERM can't be waited for: {error}.")))?;
    let watching = granter.watch(shutdown.clone(), |event| tell(say, &event));
    tokio::pin!(watching);
    tokio::select! {
        () = &mut watching => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    shutdown.cancel();
    watching.await;
    Ok(())
}

fn tell(say: &Say, event: &Event) {
    let (text, value) = match event {
        Event::Watching => ("watching the chain for paid agreements".to_owned(), json!({ "event": "watching" })),
        Event::Sent(agreement, sent) => {
            let hashes: Vec<String> = sent.iter().map(|sent| hash(&sent.hash)).collect();
            let text = format!("{agreement}: sent {}", hashes.join(", "));
            (text, json!({ "event": "sent", "agreement": agreement, "transactions": hashes }))
        }
        Event::Granted { agreement, consumer } => {
            let consumer = show_address(consumer);
            let value = json!({ "event": "granted", "agreement": agreement, "consumer": consumer });
            (format!("{agreement}: granted to {consumer}"), value)
        }
        Event::Held(agreement, error) => {
            let text = format!("{agreement}: {error}");
            (text, json!({ "event": "held", "agreement": agreement, "why": error.to_string() }))
        }
        Event::Trouble(why) => {
            (format!("the chain can't be read, trying again: {why}"), json!({ "event": "trouble", "why": why }))
        }
    };
    if say.is_json() {
        // A reader that went away is no reason to stop granting.
        let _ = say.result("", &value);
    } else {
        say.done(&text);
    }
}

fn told(granted: &Granted) -> String {
    let consumer = show_address(&granted.consumer);
    match granted.transactions.len() {
        0 => format!("{} was granted to {consumer} and paid out before.", granted.agreement),
        _ => format!("{} is granted to {consumer} and paid out.", granted.agreement),
    }
}

fn json(granted: &Granted) -> serde_json::Value {
    let transactions: Vec<String> = granted.transactions.iter().map(hash).collect();
    json!({
        "agreement": granted.agreement,
        "consumer": show_address(&granted.consumer),
        "transactions": transactions,
    })
}

fn hash(hash: &B256) -> String {
    format!("0x{}", hex::encode(hash))
}

fn failed(error: &GrantError) -> Failure {
    let exit = match error {
        GrantError::Refused(Refusal { why: Why::NotYet(_), .. }) | GrantError::Busy { .. } => Exit::NotYet,
        GrantError::Refused(Refusal { why: Why::Unavailable(_), .. }) => Exit::Unavailable,
        GrantError::Chain { source, .. } | GrantError::Nonces(source) if source.is_retryable() => Exit::Unavailable,
        GrantError::Refused(_) | GrantError::Chain { .. } | GrantError::Nonces(_) => Exit::Refused,
        GrantError::NoEffect { .. } => Exit::Internal,
        GrantError::OtherKey { .. } => Exit::Usage,
    };
    Failure::new(exit, sentence(&error.to_string()))
}
