//! What is told of jobs besides the API: an audit record for each that ended, and how many are open.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use brizo_backend::{ErrorKind, Job, JobFilter, JobId, Page, Phase};
use tokio_util::sync::CancellationToken;

use crate::api::State;

const EVERY: Duration = Duration::from_secs(2);
/// How many ends of the time before this gateway ran are looked for at most.
const MISSED: usize = 10_000;

/// Looks at the open jobs every two seconds: one that was among them, or was started here since, and is no longer, has
/// ended, and is recorded. `audit_file` tells by its own time from when on ends may have been missed while no gateway ran.
/// A record may come twice, from two gateways or around a restart; none is left out.
pub(super) async fn tell(state: Arc<State>, audit_file: Option<PathBuf>, shutdown: CancellationToken) {
    let since = audit_file.and_then(|file| std::fs::metadata(file).ok()?.modified().ok());
    let mut open: HashMap<JobId, Job> = HashMap::new();
    let mut caught_up = false;
    let mut rounds = 0_u32;
    loop {
        let started = state.take_started();
        open.extend(started.into_iter().map(|job| (job.id, job)));
        match open_jobs(&state).await {
            Ok(now) => {
                if !caught_up {
                    catch_up(&state, since).await;
                    caught_up = true;
                }
                for (id, job) in open.drain().filter(|(id, _)| !now.contains_key(id)) {
                    record(&state, &id, &job).await;
                }
                count(&now);
                open = now;
            }
            Err(error) => tracing::warn!(?error, "the open jobs can't be listed"),
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(30) {
            state.setup.rates.forget_idle();
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn open_jobs(state: &State) -> brizo_backend::Result<HashMap<JobId, Job>> {
    let phases = Phase::ALL.into_iter().filter(|phase| !phase.is_end()).collect();
    let filter = JobFilter { phases, ..JobFilter::default() };
    let mut page = Page { limit: 100, cursor: None };
    let mut open = HashMap::new();
    loop {
        let found = state.setup.backend.list(&filter, &page).await?;
        open.extend(found.jobs.into_iter().map(|job| (job.id, job)));
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(open),
        }
    }
}

/// Records a job that is open no longer: as it ended, or, if it was deleted, as it was seen last.
async fn record(state: &State, id: &JobId, seen: &Job) {
    match state.setup.backend.get(id).await {
        Ok(job) => {
            metrics::counter!("brizo_jobs_ended_total", "phase" => job.phase.as_str()).increment(1);
            state.setup.audit.ended(&job, false);
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted) => {
            metrics::counter!("brizo_jobs_ended_total", "phase" => "deleted").increment(1);
            state.setup.audit.ended(seen, true);
        }
        Err(error) => tracing::warn!(job = %id, ?error, "a job's end could not be read for its audit record"),
    }
}

/// Records the ends of the time in which no gateway ran: those after the audit file was last written.
async fn catch_up(state: &State, since: Option<SystemTime>) {
    let since = since.and_then(|since| since.checked_sub(2 * EVERY));
    let Some(since) = since.and_then(|since| jiff::Timestamp::try_from(since).ok()) else { return };
    let phases = Phase::ALL.into_iter().filter(|phase| phase.is_end()).collect();
    let filter = JobFilter { phases, ..JobFilter::default() };
    let mut page = Page { limit: 100, cursor: None };
    let mut looked_at = 0;
    while looked_at < MISSED {
        let Ok(found) = state.setup.backend.list(&filter, &page).await else { return };
        looked_at += found.jobs.len().max(1);
        for job in found.jobs.iter().filter(|job| job.ended_at.is_some_and(|at| at > since)) {
            state.setup.audit.ended(job, false);
        }
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => return,
        }
    }
}

fn count(open: &HashMap<JobId, Job>) {
    for phase in Phase::ALL.into_iter().filter(|phase| !phase.is_end()) {
        let jobs = open.values().filter(|job| job.phase == phase).count();
        metrics::gauge!("brizo_jobs_open", "phase" => phase.as_str()).set(jobs as f64);
    }
}
