//! `brizo run`: orders if need be, starts the job, follows its log, downloads its outputs.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::algorithm::AlgorithmArgs;
use super::client::Client;
use super::failure::{Exit, Failure};
use super::order::{self, OrderArgs};
use super::say::Say;
use super::wire::{JobRequest, LimitsRequest};
use super::{jobs, logs, outputs};
use crate::types::{AgreementId, Did};

/// What to run, on what.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    /// Dataset to order and read; several are read by one job
    #[arg(value_name = "DID", required_unless_present = "agreement")]
    pub(super) did: Vec<Did>,
    /// A dataset that is ordered already
    #[arg(long, value_name = "ID")]
    pub(super) agreement: Vec<AgreementId>,
    #[command(flatten)]
    pub(super) algorithm: AlgorithmArgs,
    /// Cores
    #[arg(long)]
    pub(super) cpu: Option<f64>,
    /// Memory, such as 512MiB
    #[arg(long)]
    pub(super) memory: Option<ByteSize>,
    /// Disk, such as 1GiB
    #[arg(long)]
    pub(super) disk: Option<ByteSize>,
    /// How long it may run, such as 10m
    #[arg(long, value_parser = super::duration)]
    pub(super) wall_time: Option<SignedDuration>,
    /// The folder to download into [default: the job's id]
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// A name for this request: running the same again with the same key takes up the job that exists
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Only say what would become of it
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Start it and return at once
    #[arg(long)]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) order: OrderArgs,
}

pub(super) async fn run(client: &Client, say: &Say, args: &RunArgs) -> Result<Exit, Failure> {
    let algorithm = args.algorithm.request()?;
    let mut agreements: Vec<String> = args.agreement.iter().map(ToString::to_string).collect();
    for (at, did) in args.did.iter().enumerate() {
        let agreement = order::fresh()?;
        agreements.push(agreement.to_string());
        let rest: Vec<String> = args.did[at + 1..].iter().map(ToString::to_string).collect();
        let resume = |_: &AgreementId| {
            let paid = agreements.join(" --agreement ");
            format!("brizo run --agreement {paid} {} --algorithm {}", rest.join(" "), args.algorithm.algorithm)
        };
        order::place(client, say, did, agreement, &args.order, &resume).await?;
    }
    let limits = LimitsRequest {
        cpu: args.cpu,
        memory_bytes: args.memory.map(|size| size.as_u64()),
        disk_bytes: args.disk.map(|size| size.as_u64()),
        wall_time_s: args.wall_time.map(|time| time.as_secs().unsigned_abs()),
    };
    let asked = args.cpu.is_some() || args.memory.is_some() || args.disk.is_some() || args.wall_time.is_some();
    let request = JobRequest { agreements, algorithm, limits: asked.then_some(limits) };
    let key = args.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    let mut url = client.url(&["api", "v1", "jobs"]);
    if args.dry_run {
        url.query_pairs_mut().append_pair("dry_run", "true");
        let plan: Value = client.call(Method::POST, url, |http| http.json(&request)).await?;
        say.result(&format!("{plan:#}"), &plan)?;
        return Ok(Exit::Done);
    }
    let started: Value =
        client.call(Method::POST, url, |http| http.header("idempotency-key", key.as_str()).json(&request)).await?;
    let id = jobs::parse(&started)?.id;
    if args.detach {
        say.result(&id, &started)?;
        return Ok(Exit::Done);
    }
    say.done(&format!("job {id}"));
    tokio::select! {
        ended = follow(client, say, &id, args.output.clone()) => ended,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::NotYet, format!("Job {id} goes on without you."))
            .next(format!("brizo logs {id} --follow, brizo outputs {id}, or brizo stop {id}"))),
    }
}

async fn follow(client: &Client, say: &Say, id: &str, folder: Option<PathBuf>) -> Result<Exit, Failure> {
    let shown = async {
        logs::show(client, say, id, true, 0).await?;
        Ok::<_, Failure>(())
    };
    let ((), (job, value)) = tokio::try_join!(shown, jobs::wait_for_end(client, say, id))?;
    let folder = folder.unwrap_or_else(|| PathBuf::from(id));
    let items = outputs::list(client, id).await?;
    let files = outputs::download(client, say, id, &items, &folder).await?;
    let (exit, mut text) = jobs::outcome(&job);
    for file in &files {
        text.push('\n');
        text.push_str(&file.display().to_string());
    }
    if exit == Exit::Done {
        say.done(&text);
        say.result("", &serde_json::json!({ "job": value, "files": files }))?;
        Ok(exit)
    } else {
        if say.is_json() {
            say.result("", &serde_json::json!({ "job": value, "files": files }))?;
        }
        Err(Failure::new(exit, text))
    }
}
