//! A job as it changes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use brizo_backend::{Error, Job, JobId, Result};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;

use crate::backend::{Inner, is_over};

/// What other processes change is seen after so long.
const LOOK: Duration = Duration::from_millis(150);

struct Watching {
    inner: Arc<Inner>,
    id: JobId,
    changed: watch::Receiver<()>,
    last: Option<Job>,
    ready: VecDeque<Job>,
    over: bool,
}

/// The job now, then after each change, at least once for each transition.
pub(crate) fn stream(inner: Arc<Inner>, id: JobId) -> BoxStream<'static, Result<Job>> {
    let changed = inner.changed.subscribe();
    let watching = Watching { inner, id, changed, last: None, ready: VecDeque::new(), over: false };
    stream::unfold(watching, |mut watching| async move {
        let next = watching.next().await?;
        watching.over |= next.is_err();
        Some((next, watching))
    })
    .boxed()
}

impl Watching {
    async fn next(&mut self) -> Option<Result<Job>> {
        loop {
            if let Some(job) = self.ready.pop_front() {
                return Some(Ok(job));
            }
            if self.over {
                return None;
            }
            match self.look().await {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(LOOK, self.changed.changed()).await;
                }
                Err(error) if error.is_retryable() && self.last.is_some() => tokio::time::sleep(LOOK).await,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Looks once; whether there is something new.
    async fn look(&mut self) -> Result<bool, Error> {
        self.changed.borrow_and_update();
        let job = self.inner.job("watch", &self.id).await?;
        if self.last.as_ref() == Some(&job) {
            return Ok(false);
        }
        if let Some(last) = &self.last {
            self.ready.extend(between(last, &job));
        }
        self.over = is_over(&job);
        self.ready.push_back(job.clone());
        self.last = Some(job);
        Ok(true)
    }
}

/// The job as it was between two looks: once for each transition that neither of them shows as the last.
fn between(last: &Job, now: &Job) -> Vec<Job> {
    let seen = last.transitions.len();
    (seen + 1..now.transitions.len())
        .map(|count| {
            let transitions = now.transitions[..count].to_vec();
            let phase = transitions.last().map_or(now.phase, |last| last.phase);
            let started_at = now.started_at.filter(|_| phase >= brizo_backend::Phase::Running);
            Job {
                phase,
                transitions,
                started_at,
                reason: None,
                ended_at: None,
                outputs: None,
                log: None,
                ..now.clone()
            }
        })
        .collect()
}
