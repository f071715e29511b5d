//! `brizo jobs`, `stop`, `delete`: what a consumer asks of jobs that exist.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::say::Say;
use super::wire::{Job, Page};

/// Which jobs to show.
#[derive(Debug, Clone, Args)]
pub(super) struct JobsArgs {
    /// Show one job in full
    pub(super) id: Option<String>,
    /// Only those in this phase
    #[arg(long)]
    pub(super) phase: Option<String>,
    /// Only those of this agreement
    #[arg(long)]
    pub(super) agreement: Option<String>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 20)]
    pub(super) limit: usize,
}

/// The most that one request of a list may ask for.
const PAGE: usize = 100;

pub(super) async fn jobs(client: &Client, say: &Say, args: &JobsArgs) -> Result<Exit, Failure> {
    if let Some(id) = &args.id {
        let value = fetch(client, id).await?;
        say.result(&show_one(&value)?, &value)?;
        return Ok(Exit::Done);
    }
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    while items.len() < args.limit {
        let limit = (args.limit - items.len()).min(PAGE).to_string();
        let mut query = vec![("limit", limit)];
        query.extend(args.phase.clone().map(|phase| ("phase", phase)));
        query.extend(args.agreement.clone().map(|agreement| ("agreement", agreement)));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut url = client.url(&["api", "v1", "jobs"]);
        url.query_pairs_mut().extend_pairs(query);
        let page: Page<Value> = client.call(Method::GET, url, |request| request).await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut text = String::new();
    for value in &items {
        let job = parse(value)?;
        let what = job.reason.as_ref().map_or(job.phase.clone(), |reason| format!("{} ({})", job.phase, reason.kind));
        let _ = writeln!(text, "{}  {}  {what:<24}  {}", job.id, job.created_at, job.algorithm.image);
    }
    say.result(text.trim_end(), &serde_json::json!({ "items": items }))?;
    Ok(Exit::Done)
}

/// The JSON of one job.
pub(super) async fn fetch(client: &Client, id: &str) -> Result<Value, Failure> {
    client.call(Method::GET, client.url(&["api", "v1", "jobs", id]), |request| request).await
}

/// The typed view of a job's JSON.
pub(super) fn parse(value: &Value) -> Result<Job, Failure> {
    serde::Deserialize::deserialize(value)
        .map_err(|error| Failure::internal(format!("The gateway's answer is no job: {error}")))
}

fn show_one(value: &Value) -> Result<String, Failure> {
    let job = parse(value)?;
    let mut text = format!("job      {}\nphase    {}", job.id, job.phase);
    if let Some(reason) = &job.reason {
        let _ = write!(text, "\nreason   {}: {}", reason.kind, reason.message);
    }
    if let Some(waiting) = &job.waiting {
        let _ = write!(text, "\nwaiting  {}", waiting.message);
    }
    if !job.algorithm.image.is_empty() {
        let _ = write!(text, "\nimage    {}", job.algorithm.image);
    }
    if let Some(outputs) = &job.outputs {
        let _ = write!(text, "\noutputs  {} files, {} bytes", outputs.count, outputs.bytes);
    }
    for wall in value["walls"].as_array().into_iter().flatten() {
        let _ = write!(text, "\nwall     {} {}", text_of(&wall["name"]), text_of(&wall["state"]));
    }
    for limit in value["limits"].as_array().into_iter().flatten() {
        let soft = if limit["soft"] == Value::Bool(true) { ", soft" } else { "" };
        let by = text_of(&limit["enforced_by"]);
        let _ = write!(text, "\nlimit    {} {} (by {by}{soft})", text_of(&limit["name"]), limit["value"]);
    }
    for transition in &job.transitions {
        let _ = write!(text, "\n{}  {}", transition.at, transition.phase);
    }
    Ok(text)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Looks at the job until it has ended, and tells each phase that it enters.
pub(super) async fn wait_for_end(client: &Client, say: &Say, id: &str) -> Result<(Job, Value), Failure> {
    let mut seen = 0;
    loop {
        let value = fetch(client, id).await?;
        let job = parse(&value)?;
        for transition in job.transitions.iter().filter(|transition| transition.id > seen) {
            say.step(&format!("{} {}", job.id, transition.phase));
        }
        seen = job.transitions.last().map_or(seen, |last| last.id);
        if job.has_ended() {
            return Ok((job, value));
        }
        if let Some(waiting) = &job.waiting {
            say.step(&format!("{} {}: {}", job.id, job.phase, waiting.message));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The exit code of a job that has ended, and the words for it.
pub(super) fn outcome(job: &Job) -> (Exit, String) {
    match (job.phase.as_str(), &job.reason) {
        ("succeeded", _) => (Exit::Done, format!("Job {} succeeded.", job.id)),
        ("stopped", _) => (Exit::JobStopped, format!("Job {} was stopped.", job.id)),
        (_, Some(reason)) => (Exit::JobFailed, format!("Job {} failed ({}): {}", job.id, reason.kind, reason.message)),
        (phase, None) => (Exit::JobFailed, format!("Job {} is {phase}.", job.id)),
    }
}

pub(super) async fn stop(client: &Client, say: &Say, id: &str, wait: bool) -> Result<Exit, Failure> {
    let url = client.url(&["api", "v1", "jobs", id, "stop"]);
    let mut value: Value = client.call(Method::POST, url, |request| request).await?;
    if wait {
        value = wait_for_end(client, say, id).await?.1;
    }
    let job = parse(&value)?;
    let text = if job.has_ended() { outcome(&job).1 } else { format!("Job {id} is being stopped.") };
    say.result(&text, &value)?;
    Ok(Exit::Done)
}

pub(super) async fn delete(client: &Client, say: &Say, id: &str) -> Result<Exit, Failure> {
    client.request(Method::DELETE, client.url(&["api", "v1", "jobs", id]), |request| request).await?;
    say.result(&format!("Job {id} is deleted."), &serde_json::json!({ "deleted": id }))?;
    Ok(Exit::Done)
}
