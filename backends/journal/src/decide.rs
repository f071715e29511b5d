//! Facts that are decided by who writes first.

use brizo_backend::facts::{Deleted, Ended, Started, Stop};
use brizo_backend::{Error, ErrorKind, JobId, Result};
use serde::Serialize;

use crate::paths::{DELETED, ENDED, Paths, STARTED, STOP, SUBMITTED};
use crate::record;
use crate::store::Store;

/// More than any fact but `submitted` has.
pub(crate) const FACT_BYTES: u64 = 16 << 20;

/// A fact as it stands, whoever wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<T> {
    /// The fact that stands: the first one written.
    pub fact: T,
    /// Whether it is the one that this call brought.
    pub ours: bool,
}

/// A provider's facts in a store. All that the process of a running job needs of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) paths: Paths,
}

impl Desk {
    pub(crate) async fn start(&self, id: &JobId, started: &Started) -> Result<Decided<Started>> {
        self.decide("start", id, STARTED, started, record::read_started).await
    }

    pub(crate) async fn end(&self, id: &JobId, ended: &Ended) -> Result<Decided<Ended>> {
        self.decide("end", id, ENDED, ended, record::read_ended).await
    }

    pub(crate) async fn stop(&self, id: &JobId, stop: Stop) -> Result<Decided<Stop>> {
        self.decide("stop", id, STOP, &stop, record::read).await
    }

    /// Writes a fact of a job that has been submitted and not been deleted. What was written too late is taken back, so
    /// that nothing of a job outlives its tombstone.
    async fn decide<T: Serialize + Clone>(
        &self,
        operation: &'static str,
        id: &JobId,
        name: &'static str,
        fact: &T,
        read: fn(&[u8]) -> Option<T>,
    ) -> Result<Decided<T>> {
        // Before, too: what is written to a job that is not there, and taken back, might be read as decided in between by
        // whoever finds the job that is submitted at that moment.
        if let Some(error) = self.gone(operation, id).await? {
            return Err(error);
        }
        let path = self.paths.fact(id, name);
        let mark = record::mark().ok_or_else(|| no_randomness(operation))?;
        let bytes = record::write(fact, &mark).ok_or_else(|| unreadable(operation, id, name))?;
        let created = self.store.create(path.clone(), bytes).await.map_err(|error| error.during(operation))?;
        if let Some(error) = self.gone(operation, id).await? {
            if created {
                self.store.remove(vec![path]).await.map_err(|error| error.during(operation))?;
            }
            return Err(error);
        }
        if created {
            return Ok(Decided { fact: fact.clone(), ours: true });
        }
        let bytes = self.store.read(&path, FACT_BYTES).await.map_err(|error| error.during(operation))?;
        let bytes = bytes.ok_or_else(|| not_found(operation, id))?;
        let ours = record::writer(&bytes).is_some_and(|writer| writer == mark);
        Ok(Decided { fact: read(&bytes).ok_or_else(|| unreadable(operation, id, name))?, ours })
    }

    /// The error of a job that was deleted, or never submitted.
    pub(crate) async fn gone(&self, operation: &'static str, id: &JobId) -> Result<Option<Error>> {
        let folder = self.paths.folder(id);
        let found = self.store.read_folder(&folder, [SUBMITTED, DELETED], [const { None }; 2], 1).await;
        let found = found.map_err(|error| error.during(operation))?;
        Ok(if found.iter().any(|object| object.name == DELETED) {
            Some(deleted(operation, id))
        } else if found.is_empty() {
            Some(not_found(operation, id))
        } else {
            None
        })
    }

    pub(crate) async fn stop_fact(&self, id: &JobId) -> Result<Option<Stop>> {
        let path = self.paths.fact(id, STOP);
        let bytes = self.store.read(&path, FACT_BYTES).await.map_err(|error| error.during("stop"))?;
        bytes.map(|bytes| record::read(&bytes).ok_or_else(|| unreadable("stop", id, STOP))).transpose()
    }

    pub(crate) async fn tombstone(&self, id: &JobId) -> Result<Option<Deleted>> {
        let path = self.paths.fact(id, DELETED);
        let bytes = self.store.read(&path, FACT_BYTES).await.map_err(|error| error.during("tombstone"))?;
        bytes.map(|bytes| record::read(&bytes).ok_or_else(|| unreadable("tombstone", id, DELETED))).transpose()
    }
}

pub(crate) fn not_found(operation: &'static str, id: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("There is no job {id}."))
}

pub(crate) fn deleted(operation: &'static str, id: &JobId) -> Error {
    let message = format!("The job {id} was deleted. Use another Idempotency-Key for a new one.");
    Error::new(ErrorKind::JobDeleted, operation, message)
}

pub(crate) fn unreadable(operation: &'static str, id: &JobId, name: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, "What is recorded of this job can't be read.")
        .with("job", id)
        .with("fact", name)
}

pub(crate) fn no_randomness(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, "This host gives no random numbers.")
}
