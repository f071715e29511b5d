//! What time removes: ended jobs that were kept long enough, and debris; only of this provider's, since the journal
//! knows no other's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo_backend::{JobId, Result};
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{delete_now, finish_delete};
use crate::backend::Inner;
use crate::error::blocking;

/// How often it is looked for ended jobs that were kept long enough, at most and at least.
const RETENTION: (Duration, Duration) = (Duration::from_secs(1), KEPT);
/// How often it is looked for debris.
const DEBRIS: Duration = Duration::from_mins(1);
/// How often it is summed what is kept of each consumer.
const KEPT: Duration = Duration::from_secs(10);
/// So many of a kind are removed at a time.
const AT_ONCE: usize = 100;

/// Until `shutdown`, whenever it may.
pub(super) async fn sweep(inner: Arc<Inner>, mut may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) {
    let every = (inner.keep / 20).clamp(RETENTION.0, RETENTION.1);
    let (mut debris, mut kept) = (Instant::now(), Instant::now());
    loop {
        if Instant::now() >= kept {
            report(inner.sum_kept().await.map(|_| ()));
            kept = Instant::now() + KEPT;
        }
        if *may_sweep.borrow_and_update() {
            report(retention(&inner).await);
            if Instant::now() >= debris {
                report(remove_debris(&inner).await);
                debris = Instant::now() + DEBRIS;
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn report(result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(?error, "What is old could not be removed; it is tried again.");
    }
}

/// Removes the jobs that ended longer ago than they are kept.
async fn retention(inner: &Arc<Inner>) -> Result<()> {
    let keep = SignedDuration::try_from(inner.keep).unwrap_or(SignedDuration::MAX);
    let Ok(before) = inner.journal.now().checked_sub(keep) else { return Ok(()) };
    for facts in inner.journal.ended_before(before, AT_ONCE).await? {
        let id = facts.submitted.id;
        if inner.journal.delete(&id).await?.is_some() {
            delete_now(inner, &id).await?;
            tracing::info!(job = %id, "A job was removed that had been kept long enough.");
        }
    }
    Ok(())
}

/// Whether a cgroup is of a job of ours that nobody runs any more.
fn is_left_behind(inner: &Inner, name: &str) -> bool {
    let Ok(id) = name.parse::<JobId>() else { return false };
    let work = inner.folder(&id);
    work.layout().root().exists() && matches!(work.lock(), Ok(Some(_)))
}

async fn remove_debris(inner: &Arc<Inner>) -> Result<()> {
    for debris in inner.journal.debris(AT_ONCE).await? {
        if debris.jobless {
            finish_delete(inner, &debris.id).await?;
        }
        inner.journal.clear(&debris).await?;
    }
    for id in inner.journal.sweep().await? {
        finish_delete(inner, &id).await?;
    }
    let inner = inner.clone();
    blocking("sweep", move || brizo_confine::sweep_cgroups(|name| !is_left_behind(&inner, name))).await
}
