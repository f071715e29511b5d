//! Facts that were read before. A fact never changes, so that one with the same tag need not be read again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use brizo_backend::JobId;
use brizo_backend::JobSpec;
use brizo_backend::facts::{Deleted, Ended, Started, Stop};

/// So many jobs are remembered: a few kilobytes each.
const JOBS: usize = 1024;

/// A fact of any kind.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Submitted(Arc<JobSpec>),
    Stop(Stop),
    Started(Started),
    Ended(Arc<Ended>),
    Deleted(Deleted),
}

/// What was read of one job: for each of [`FACTS`](crate::paths::FACTS) its tag and the fact.
pub(crate) type Known = [Option<(String, Fact)>; 5];

/// The facts of the jobs that were read last.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    jobs: HashMap<JobId, Known>,
    order: VecDeque<JobId>,
}

impl Cache {
    pub(crate) fn get(&self, id: &JobId) -> Known {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.jobs.get(id).cloned().unwrap_or_default()
    }

    pub(crate) fn put(&self, id: JobId, known: Known) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.jobs.insert(id, known).is_none() {
            remembered.order.push_back(id);
            if remembered.order.len() > JOBS
                && let Some(oldest) = remembered.order.pop_front()
            {
                remembered.jobs.remove(&oldest);
            }
        }
    }
}
