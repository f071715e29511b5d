//! `brizo order`: makes and pays the agreement of a compute service, and waits for the provider's grant.

use std::path::PathBuf;

use alloy_primitives::{B256, U256};
use clap::Args;
use jiff::SignedDuration;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;
use crate::assets::Ddo;
use crate::chain::Chain;
use crate::keeper::{KeeperConfig, RpcUrl, ServiceKind};
use crate::order::{self, OrderError, Progress, Terms, wait_granted};
use crate::types::{AgreementId, Did, parse_address};

/// The chain to order on, and how long to wait for the grant.
#[derive(Debug, Clone, Args)]
pub(super) struct OrderArgs {
    /// The JSON-RPC endpoint of the chain
    #[arg(
        long,
        env = "BRIZO_RPC_URL",
        default_value = "http://127.0.0.1:8545",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(super) rpc_url: RpcUrl,
    /// The folder with the Keeper contracts' artifacts
    #[arg(long, env = "BRIZO_ARTIFACTS", default_value = "keeper-artifacts", value_name = "DIR")]
    pub(super) artifacts: PathBuf,
    /// The network, as the artifacts are named after it
    #[arg(long, env = "BRIZO_NETWORK", default_value = "development", value_name = "NAME")]
    pub(super) network: String,
    /// Pay at most so much, in the token's smallest unit [default: what the asset asks]
    #[arg(long, value_name = "AMOUNT")]
    pub(super) max_price: Option<U256>,
    /// How long to wait for the grant
    #[arg(long, default_value = "10m", value_parser = super::duration, value_name = "DURATION")]
    pub(super) timeout: SignedDuration,
}

/// What to order.
#[derive(Debug, Clone, Args)]
pub(super) struct OrderOne {
    /// The dataset
    pub(super) did: Did,
    /// Go on with this agreement, whose order was broken off
    #[arg(long, value_name = "ID")]
    pub(super) agreement_id: Option<AgreementId>,
    #[command(flatten)]
    pub(super) order: OrderArgs,
}

impl OrderArgs {
    fn chain(&self) -> Result<Chain, Failure> {
        let config = KeeperConfig {
            rpc_url: self.rpc_url.clone(),
            artifacts: self.artifacts.clone(),
            network: self.network.clone(),
            confirmations: None,
        };
        config.open().map_err(|error| {
            Failure::usage(error.to_string())
                .next("name the folder of the Keeper contracts' artifacts with --artifacts")
        })
    }
}

pub(super) async fn order(client: &Client, say: &Say, args: &OrderOne) -> Result<Exit, Failure> {
    let resume = |agreement: &AgreementId| format!("brizo run --agreement {agreement} --algorithm FILE");
    let agreement = args.agreement_id.map_or_else(fresh, Ok)?;
    place(client, say, &args.did, agreement, &args.order, &resume).await?;
    say.done(&format!("next: {}", resume(&agreement)));
    say.result(&agreement.to_string(), &serde_json::json!({ "agreement": agreement, "did": args.did }))?;
    Ok(Exit::Done)
}

/// The id of a new agreement.
pub(super) fn fresh() -> Result<AgreementId, Failure> {
    order::new_agreement_id().map_err(|error| failed(&error))
}

/// Orders `did` by this agreement and waits until it is granted; `resume` gives the command that goes on with it.
pub(super) async fn place(
    client: &Client,
    say: &Say,
    did: &Did,
    agreement: AgreementId,
    args: &OrderArgs,
    resume: &(dyn Fn(&AgreementId) -> String + Sync),
) -> Result<(), Failure> {
    let gateway = client.gateway().await?;
    let provider = parse_address(&gateway.provider)
        .map_err(|error| Failure::internal(format!("The gateway's provider: {error}")))?;
    let document = document(client, did).await?;
    let price = document.compute_price().ok_or_else(|| {
        Failure::new(Exit::Refused, format!("{did} has no compute service with a price, so there is nothing to order."))
    })?;
    if let Some(most) = args.max_price.filter(|most| price > *most) {
        return Err(Failure::new(Exit::Refused, format!("{did} costs {price}, more than --max-price {most}.")));
    }
    let chain = args.chain()?;
    let terms = Terms { agreement, did: *did, kind: ServiceKind::Compute, price, provider };
    say.done(&format!("ordering {did} ({}) for {price}, agreement {agreement}", document.name));
    let mut progress = |progress| tell(say, progress);
    order::place(&chain, client.key(), &terms, &mut progress).await.map_err(|error| {
        failed(&error).next(format!("if it was broken off: brizo order {did} --agreement-id {agreement}"))
    })?;
    wait_granted(&chain, agreement, args.timeout.unsigned_abs(), &mut progress)
        .await
        .map_err(|error| failed(&error).next(resume(&agreement)))?;
    say.done(&format!("agreement {agreement} is granted"));
    Ok(())
}

fn tell(say: &Say, progress: Progress) {
    match progress {
        Progress::Agreeing => say.step("making the agreement"),
        Progress::Agreed => say.step("the agreement is on chain"),
        Progress::Paying(transaction) => say.step(&format!("paying, transaction {}", show(&transaction))),
        Progress::Paid => say.step("paid; waiting for the provider's grant"),
        Progress::Granted => say.step("granted; waiting for the escrow's release"),
        Progress::Released => say.step("granted and released"),
    }
}

fn show(hash: &B256) -> String {
    format!("0x{}", hex::encode(hash))
}

fn failed(error: &OrderError) -> Failure {
    let exit = match error {
        OrderError::NotYet { .. } => Exit::NotYet,
        OrderError::Chain(error) if error.is_retryable() => Exit::Unavailable,
        OrderError::Chain(_) => Exit::Internal,
        _ => Exit::Refused,
    };
    Failure::new(exit, error.to_string())
}

/// The asset's document, as the gateway serves it.
async fn document(client: &Client, did: &Did) -> Result<Ddo, Failure> {
    let bytes = client.public(client.url(&["api", "v1", "aquarius", "assets", "ddo", &did.to_string()])).await?;
    Ddo::parse(&bytes, did)
        .map_err(|error| Failure::new(Exit::Refused, format!("The document of {did} can't be read: {error}")))
}
