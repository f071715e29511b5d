//! Drives the jobs: one pass over the open ones, as often as something happened, by any number of gateways at once.
//!
//! There is no leader: what a job needs next is a pure function of its facts and marks (`plan.rs`), the lock on its
//! folder says whether somebody is at it, and facts are written by whoever comes first.

mod attempts;
mod plan;
mod spawn;
mod sweep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo_backend::facts::{Facts, Open, VoidCause, admitted};
use brizo_backend::{ErrorKind, JobId, Result};
use brizo_journal::may_drive;
use brizo_runner::log::log_totals;
use brizo_runner::run::{EndRecord, end_record};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backend::{Inner, void};
use crate::error::{blocking, folder};
use crate::{end, folder::Folder};
pub(crate) use attempts::Attempts;
use plan::{Action, plan};

/// How long a pass may be away while jobs are open: what shims of other gateways did is seen after that.
const BUSY: Duration = Duration::from_millis(250);
/// How long while none is: what other gateways submit is seen after that.
const IDLE: Duration = Duration::from_millis(800);

/// Until `shutdown`; shims that run then go on.
pub(crate) async fn drive(
    inner: Arc<Inner>,
    may_sweep: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<()> {
    let sweeping = tokio::spawn(sweep::sweep(inner.clone(), may_sweep, shutdown.clone()));
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        let open = match pass(&inner).await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(?error, "The open jobs could not be driven; it is tried again.");
                1
            }
        };
        let pause = if open > 0 { BUSY.max(began.elapsed() * 10) } else { IDLE };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = inner.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    let _ = sweeping.await;
    Ok(())
}

/// Looks at every open job once, and gives each what it needs next. Returns how many there are.
async fn pass(inner: &Arc<Inner>) -> Result<usize> {
    for id in inner.journal.deleting(100).await? {
        finish_delete(inner, &id).await?;
    }
    let open: Vec<Facts> = inner.journal.open_jobs().await?.into_iter().filter(may_drive).collect();
    let order = open.iter().map(|facts| Open {
        created_at: facts.submitted.created_at,
        id: facts.submitted.id,
        owner: facts.submitted.owner.clone(),
    });
    let admitted = admitted(order.collect(), &inner.quotas);
    if let Ok(mut attempts) = inner.attempts.lock() {
        attempts.retain(|id, _| open.iter().any(|facts| facts.submitted.id == *id));
    }
    for facts in &open {
        let id = facts.submitted.id;
        match step(inner, facts, admitted.contains(&id)).await {
            Ok(()) => {}
            // Deleted, or ended by somebody else, meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::JobDeleted | ErrorKind::NotFound) => {}
            Err(error) => tracing::warn!(job = %id, ?error, "A job could not be driven; it is tried again."),
        }
    }
    Ok(open.len())
}

/// Gives one job what it needs next.
async fn step(inner: &Arc<Inner>, facts: &Facts, admitted: bool) -> Result<()> {
    let id = facts.submitted.id;
    let folder = inner.folder(&id);
    let looked = folder.clone();
    let seen = blocking("drive", move || looked.seen()).await?;
    match plan(facts, &seen, admitted, inner.journal.now()) {
        Action::Nothing => Ok(()),
        Action::Void(cause) => {
            let started = inner.journal.start(&id, &void(inner, cause)).await?.fact;
            end_void(inner, &Facts { started: Some(started), ..facts.clone() }, folder).await
        }
        Action::EndVoid => end_void(inner, facts, folder).await,
        Action::Shim => spawn::shim(inner, facts, folder).await,
        Action::Unpublished => end_unpublished(inner, facts, folder).await,
    }
}

/// Ends a job that never runs, unless a shim is at it, which does so.
async fn end_void(inner: &Arc<Inner>, facts: &Facts, folder: Folder) -> Result<()> {
    let id = facts.submitted.id;
    let (facts, now) = (facts.clone(), inner.journal.now());
    let ended = blocking("drive", move || {
        let lock = match folder.lock() {
            Ok(lock) => Some(lock),
            // There is no folder: it was never taken out of the queue.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if matches!(lock, Some(None)) {
            return Ok(None);
        }
        if lock.is_some() {
            folder.remove_inputs();
        }
        Ok(end::of_void(&facts, &folder.seen(), folder.fault().as_ref(), now))
    });
    if let Some(ended) = ended.await?.map_err(|error| self::folder("drive", &id, error))? {
        inner.journal.end(&id, &ended).await?;
        inner.changed.send_replace(());
    }
    Ok(())
}

/// Ends a job whose outputs could not be published in time, unless a shim is at it.
async fn end_unpublished(inner: &Arc<Inner>, facts: &Facts, folder: Folder) -> Result<()> {
    let id = facts.submitted.id;
    let (facts, now) = (facts.clone(), inner.journal.now());
    let ended = blocking("drive", move || {
        let Some(_lock) = folder.lock()? else { return Ok(None) };
        let record = end_record(folder.layout()).unwrap_or_else(|| EndRecord::interrupted(now));
        let words = format!(
            "What the algorithm wrote could not be published in {} seconds.",
            facts.submitted.deadlines.publishing_s
        );
        let log = log_totals(&folder.layout().log()).unwrap_or_default();
        Ok(Some(end::of_run(&facts, &folder.seen(), &record, Err(words), log, now)))
    });
    if let Some(ended) = ended.await?.map_err(|error| self::folder("drive", &id, error))? {
        inner.journal.end(&id, &ended).await?;
        inner.changed.send_replace(());
    }
    Ok(())
}

/// Ends a job that was stopped before it was taken out of the queue. Called by whoever stops it.
pub(crate) async fn stop_queued(inner: &Arc<Inner>, facts: &Facts) -> Result<()> {
    let id = facts.submitted.id;
    let folder = inner.folder(&id);
    let looked = folder.clone();
    if blocking("stop", move || looked.seen()).await?.provisioning.is_some() {
        // Whoever has it sees the stop.
        return Ok(());
    }
    let started = inner.journal.start(&id, &void(inner, VoidCause::Stop)).await?.fact;
    end_void(inner, &Facts { started: Some(started), ..facts.clone() }, folder).await
}

/// How long a delete waits for a running job to be gone, before it leaves the rest to the driver.
const DELETE_WAIT: Duration = Duration::from_secs(3);

/// Removes all of a job whose tombstone stands, waiting a little for what runs of it.
pub(crate) async fn delete_now(inner: &Arc<Inner>, id: &JobId) -> Result<()> {
    let until = Instant::now() + DELETE_WAIT;
    while !finish_delete(inner, id).await? && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Removes all of a job whose tombstone stands, if nothing of it runs any more; whether it did.
async fn finish_delete(inner: &Arc<Inner>, id: &JobId) -> Result<bool> {
    let work = inner.folder(id);
    let removed = blocking("delete", move || match work.lock() {
        // Never made; or its lock went first, and whoever began did not come to the end of it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => work.remove().map(|()| true),
        Err(error) => Err(error),
        Ok(None) => Ok(false),
        Ok(Some(_lock)) => work.remove().map(|()| true),
    });
    let removed = removed.await?.map_err(|error| folder("delete", id, error))?;
    if removed {
        inner.journal.forget(id).await?;
    }
    Ok(removed)
}
