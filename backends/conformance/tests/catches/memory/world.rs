use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use brizo_backend::facts::{Deleted, Facts, Seen};
use brizo_backend::{Error, ErrorKind, Job, JobId, LogOptions, LogStream, Manifest, Result};
use brizo_conformance::Settings;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Flaw;

/// What outlives the gateways: the facts, the stores, and what runs.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) flaw: Option<Flaw>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

/// All of it, under one lock.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<JobId, Record>,
    pub(crate) tombstones: HashMap<JobId, Deleted>,
    /// What algorithms write, before it is published.
    pub(crate) work: HashMap<JobId, BTreeMap<String, Entry>>,
    pub(crate) published: HashMap<JobId, (Manifest, HashMap<String, Bytes>)>,
    pub(crate) logs: HashMap<JobId, Vec<Piece>>,
    /// The publisher's files.
    pub(crate) files: HashMap<String, Vec<u8>>,
    /// Tags of what runs.
    pub(crate) running: HashMap<String, usize>,
    /// How often jobs were shown.
    pub(crate) shown: u64,
}

/// One job.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) facts: Facts,
    pub(crate) seen: Seen,
    /// SIGTERM.
    pub(crate) term: CancellationToken,
    /// SIGKILL.
    pub(crate) kill: CancellationToken,
    /// The machine fails.
    pub(crate) crash: CancellationToken,
}

/// Something in the outputs.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    File(Vec<u8>),
    Symlink(String),
    HardLink,
    Fifo,
}

/// A piece of a log.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) stream: LogStream,
    pub(crate) at: Timestamp,
    pub(crate) bytes: Bytes,
}

impl World {
    pub(crate) fn new(settings: Settings, flaw: Option<Flaw>) -> Self {
        Self { settings, flaw, state: Mutex::default(), changes: watch::channel(0).0 }
    }

    pub(crate) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells who waits for changes.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes a job, if it is still there.
    pub(crate) fn change_job<T>(&self, id: &JobId, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.change(|state| state.jobs.get_mut(id).map(change))
    }

    /// The job as it is shown.
    pub(crate) fn shown(&self, operation: &'static str, id: &JobId) -> Result<Job> {
        let mut state = self.state();
        state.shown += 1;
        let back = self.is(Flaw::GoesBack) && state.shown.is_multiple_of(2);
        let record = state.jobs.get(id).ok_or_else(|| unknown(operation))?;
        let mut job = record.facts.job(&record.seen);
        if back && job.transitions.len() > 1 && !job.phase.is_end() {
            job.transitions.pop();
            job.phase = job.transitions[job.transitions.len() - 1].phase;
        }
        Ok(job)
    }

    /// Removes a job, and all that belongs to it.
    pub(crate) fn remove(&self, id: &JobId) {
        self.change(|state| {
            let Some(record) = state.jobs.remove(id) else { return };
            record.kill.cancel();
            if !self.is(Flaw::ForgetsTombstones) {
                let owner = record.facts.submitted.owner.clone();
                state.tombstones.insert(*id, Deleted { owner, at: brizo_backend::now() });
            }
            state.work.remove(id);
            if !self.is(Flaw::ForgetsDebris) {
                state.published.remove(id);
                state.logs.remove(id);
            }
        });
    }
}

impl State {
    /// The selected part of a log, in pieces: stream, offset within the selection, time, bytes.
    pub(crate) fn log_from(&self, id: &JobId, options: &LogOptions) -> Vec<(u64, Piece)> {
        let mut next = 0;
        let mut selected = Vec::new();
        for piece in self.logs.get(id).into_iter().flatten() {
            if options.stream.is_some_and(|stream| stream != piece.stream) {
                continue;
            }
            let begin = next;
            next += piece.bytes.len() as u64;
            if next <= options.offset {
                continue;
            }
            let skip = options.offset.saturating_sub(begin);
            let mut bytes = piece.bytes.slice(skip as usize..);
            let mut offset = begin + skip;
            while !bytes.is_empty() {
                let part = bytes.split_to(bytes.len().min(64 << 10));
                let length = part.len() as u64;
                selected.push((offset, Piece { bytes: part, ..piece.clone() }));
                offset += length;
            }
        }
        selected
    }
}

/// The error for an id that nobody knows.
pub(crate) fn unknown(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "there is no such job")
}
