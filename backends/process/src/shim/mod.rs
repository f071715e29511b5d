//! The shim: one small process for each running job, in a session of its own, which outlives the gateway that made it.
//!
//! It is this program again, executed with another name, and dispatched before any thread, runtime or TLS exists. It
//! holds the lock on the job's folder, stages, builds the sandbox, watches the folder for `stop` and `deleted`, and
//! records the end; the sandbox dies with it. From whatever point an earlier shim was killed at, it goes on.

mod inherited;
mod publish;
mod run;
mod stage;

use std::io;
use std::process::ExitCode;

use brizo_backend::facts::{Facts, Started, VoidCause};
use brizo_backend::{ErrorKind, now};
use brizo_journal::LocalJob;

use crate::end;
use crate::folder::{Folder, Mark};
use crate::spec::{ShimSpec, unsealed, wipe};

/// The name under which this program is a shim.
pub(crate) const SHIM: &str = "brizo-shim";
/// The name under which it fetches from URLs for a shim.
pub(crate) const STAGE: &str = "brizo-stage";

pub(crate) use stage::main as stage_main;

/// One running job, as its shim sees it.
struct Shim {
    spec: ShimSpec,
    journal: LocalJob,
    folder: Folder,
    facts: Facts,
    /// Inherited, never read: held until the end.
    lock: std::os::fd::OwnedFd,
}

/// Why a shim ends before its job does.
#[derive(Debug)]
enum Leave {
    /// The job was deleted, or somebody else wrote its end: nothing is left to do here.
    Gone,
    /// A fault of this host; another shim may go on.
    Fault(String),
}

type Step<T> = Result<T, Leave>;

impl From<io::Error> for Leave {
    fn from(error: io::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<brizo_backend::Error> for Leave {
    fn from(error: brizo_backend::Error) -> Self {
        match error.kind() {
            ErrorKind::JobDeleted | ErrorKind::NotFound => Self::Gone,
            _ => Self::Fault(format!("{error:?}")),
        }
    }
}

/// The whole life of a shim.
pub(crate) fn main() -> ExitCode {
    let Ok(mut shim) = inherited::take().map_err(Leave::from).and_then(Shim::open) else { return ExitCode::FAILURE };
    match shim.work() {
        Ok(()) | Err(Leave::Gone) => ExitCode::SUCCESS,
        Err(Leave::Fault(words)) => {
            // For the gateway's log: a shim has none.
            let _ = shim.folder.set_trouble(&words);
            ExitCode::FAILURE
        }
    }
}

impl Shim {
    fn open(inherited: inherited::Inherited) -> Step<Self> {
        // A session of its own: no signal of a terminal or a process group that is meant for the gateway reaches it.
        let _ = nix::unistd::setsid();
        let spec: ShimSpec = unsealed(inherited.spec)?;
        let journal = LocalJob::open(&spec.state_dir, &spec.provider, spec.job.id)?;
        let folder = Folder::of(journal.folder());
        let facts = Facts { submitted: spec.job.clone(), stop: None, started: None, ended: None, deleted: None };
        let shim = Self { spec, journal, folder, facts, lock: inherited.lock };
        // Held, if it is a uid, until this process ends.
        std::mem::forget(inherited.slot);
        Ok(shim)
    }

    /// From wherever the job is to its end.
    fn work(&mut self) -> Step<()> {
        if self.folder.has_fact("ended") || self.folder.has_fact("deleted") {
            return Err(Leave::Gone);
        }
        let layout = self.folder.layout().clone();
        if layout.end().exists() || layout.claim().exists() {
            return self.publish();
        }
        if self.folder.has_fact("started") {
            // Decided by another. If it was to run, its shim was killed before it wrote more than that: whether it ran,
            // nobody knows, so it never runs again.
            return self.void(VoidCause::Stop);
        }
        self.configure()?;
        // What confines the algorithm is a copy of this process.
        wipe(&mut self.spec.secrets);
        self.run()
    }

    /// Decides that the algorithm does not run, and ends the job; somebody else's decision is carried out instead.
    fn void(&mut self, cause: VoidCause) -> Step<()> {
        let decided = self.journal.start(&Started::Void { at: now(), cause })?;
        self.facts.started = Some(decided.fact);
        match self.facts.started {
            Some(Started::Void { .. }) => self.end_void(),
            _ => self.publish(),
        }
    }

    /// Ends a job whose algorithm never runs.
    fn end_void(&mut self) -> Step<()> {
        self.folder.remove_inputs();
        let seen = self.folder.seen();
        if let Some(ended) = end::of_void(&self.facts, &seen, self.folder.fault().as_ref(), now()) {
            self.journal.end(&ended)?;
        }
        Ok(())
    }

    fn mark(&self, mark: Mark) -> Step<()> {
        Ok(self.folder.mark(mark, now())?)
    }
}
