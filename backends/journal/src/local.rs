//! For the process that runs one job, on the machine of the journal's folder, without a runtime: it writes `started` and
//! `ended`, and sees `stop` and `deleted`. The files, their form and their durability are the journal's own.

use std::path::{Path, PathBuf};

use brizo_backend::facts::{Ended, Started, Stop};
use brizo_backend::{Error, ErrorKind, JobId, Result};
use futures::FutureExt;

use crate::decide::{Decided, Desk};
use crate::files::Files;
use crate::journal::local_desk;
use crate::store::Store;

/// One job of a journal in a local folder, that has been submitted. All calls block, and start no thread; none may be made
/// inside of an asynchronous runtime.
#[derive(Debug, Clone)]
pub struct LocalJob {
    desk: Desk,
    id: JobId,
}

impl LocalJob {
    /// The job `id` of `provider` in the journal at `root` (the folder given to
    /// [`Journal::local`](crate::Journal::local)).
    pub fn open(root: &Path, provider: &str, id: JobId) -> Result<Self> {
        let mut desk = local_desk(root, provider)?;
        if let Store::Files(files) = desk.store {
            desk.store = Store::Files(files.settled());
        }
        Ok(Self { desk, id })
    }

    /// The job's folder; `stop` and `deleted` appear in it as files of these names, whole at once.
    pub fn folder(&self) -> PathBuf {
        match &self.desk.store {
            Store::Files(files) => folder(files, &self.desk, &self.id),
            Store::Objects(_) => PathBuf::new(),
        }
    }

    /// Writes `started`, or finds the one that stands. `JobDeleted` or `NotFound` if the job is no more.
    pub fn start(&self, started: &Started) -> Result<Decided<Started>> {
        at_once(self.desk.start(&self.id, started))
    }

    /// Writes `ended`, or finds the one that stands. `JobDeleted` or `NotFound` if the job is no more: a late end never
    /// brings it back.
    pub fn end(&self, ended: &Ended) -> Result<Decided<Ended>> {
        at_once(self.desk.end(&self.id, ended))
    }

    /// Whether somebody asked for the end.
    pub fn stop(&self) -> Result<Option<Stop>> {
        at_once(self.desk.stop_fact(&self.id))
    }

    /// Whether the job was deleted.
    pub fn is_deleted(&self) -> Result<bool> {
        at_once(self.desk.gone("delete", &self.id)).map(|gone| gone.is_some())
    }
}

pub(crate) fn folder(files: &Files, desk: &Desk, id: &JobId) -> PathBuf {
    files.root().join(desk.paths.folder(id))
}

/// Without a runtime the local store does all its work at the first poll.
fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| {
        Err(Error::new(ErrorKind::Internal, "local", "A blocking call of the journal was made inside of a runtime."))
    })
}
