//! What the steps of a running job leave in its folder besides the facts: marks with times, and the lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use brizo_backend::facts::Seen;
use brizo_backend::{LimitFact, Usage, Waiting, WaitingFor, WallFact};
use brizo_runner::atomic;
use brizo_runner::layout::Layout;
use brizo_runner::remove::remove_all;
use brizo_runner::stage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The job's own folder, below that of its facts.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    /// Of the facts.
    facts: PathBuf,
    layout: Layout,
}

/// What was seen when the sandbox stood.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) walls: Vec<WallFact>,
    pub(crate) limits: Vec<LimitFact>,
}

/// A mark's name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    Provisioning,
    Configuring,
    Publishing,
}

impl Mark {
    const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Configuring => "configuring",
            Self::Publishing => "publishing",
        }
    }
}

impl Folder {
    /// Of the job whose facts lie in `facts`.
    pub(crate) fn of(facts: PathBuf) -> Self {
        let layout = Layout::new(facts.join("work"));
        Self { facts, layout }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether somebody asked for the end, or deleted the job, or decided that it does not run.
    pub(crate) fn has_fact(&self, name: &str) -> bool {
        self.facts.join(name).exists()
    }

    /// Whether the job was deleted, or all of it was removed by somebody's hand.
    pub(crate) fn is_gone(&self) -> bool {
        self.has_fact("deleted") || !self.has_fact("submitted")
    }

    /// Makes it, and the file of its lock, if the job is still there.
    pub(crate) fn create(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.layout.root()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.path("lock")).map(|_| ())
    }

    /// Takes the lock, which a running job's shim holds; `None` if somebody has it. `NotFound` if the folder was never
    /// made, or is being removed: nobody makes the lock anew then.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new().write(true).open(self.path("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Sets a mark, or leaves the one that stands.
    pub(crate) fn mark(&self, mark: Mark, at: Timestamp) -> io::Result<()> {
        let path = self.path(mark.name());
        if path.exists() {
            return Ok(());
        }
        atomic::create_light(&path, at.to_string().as_bytes()).map(|_| ())
    }

    fn time(&self, mark: Mark) -> Option<Timestamp> {
        fs::read_to_string(self.path(mark.name())).ok()?.parse().ok()
    }

    /// Says what the job waits for.
    pub(crate) fn set_waiting(&self, waiting: &Waiting) -> io::Result<()> {
        atomic::replace(&self.path("waiting"), &serde_json::to_vec(waiting)?)
    }

    /// Says which walls stand, and how limits are enforced.
    pub(crate) fn set_standing(&self, standing: &Standing) -> io::Result<()> {
        atomic::replace(&self.path("standing"), &serde_json::to_vec(standing)?)
    }

    /// Why staging failed for good: kept before `void` is written, so that whoever writes the end knows it.
    pub(crate) fn set_fault(&self, fault: &stage::StageFault) -> io::Result<()> {
        atomic::create(&self.path("fault"), &serde_json::to_vec(fault)?).map(|_| ())
    }

    pub(crate) fn fault(&self) -> Option<stage::StageFault> {
        read(&self.path("fault"))
    }

    /// What kept the last shim from the job's end, for the gateway's log.
    pub(crate) fn set_trouble(&self, words: &str) -> io::Result<()> {
        atomic::replace(&self.path("trouble"), words.as_bytes())
    }

    pub(crate) fn trouble(&self) -> String {
        fs::read_to_string(self.path("trouble")).unwrap_or_default()
    }

    /// What is seen of a job that has not ended.
    pub(crate) fn seen(&self) -> Seen {
        let provisioning = self.time(Mark::Provisioning);
        if provisioning.is_none() {
            return Seen::default();
        }
        let configuring = self.time(Mark::Configuring);
        let standing: Standing = read(&self.path("standing")).unwrap_or_default();
        let staged = configuring.and_then(|_| stage::staged(&self.layout));
        let waiting = if staged.is_none() { read(&self.path("waiting")) } else { None };
        Seen {
            provisioning,
            configuring,
            publishing: self.time(Mark::Publishing),
            alive: true,
            waiting,
            walls: standing.walls,
            limits: standing.limits,
            usage: None::<Usage>,
            algorithm_sha256: staged.map(|staged| staged.algorithm_sha256),
        }
    }

    /// Removes what only the running needed.
    pub(crate) fn remove_inputs(&self) {
        for folder in [self.layout.inputs(), self.layout.transformations()] {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Removes everything but the facts; that nothing is there is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // An ordinary user's algorithm has his uid, and may have closed its folders to it.
        remove_all(self.layout.root(), !nix::unistd::Uid::effective().is_root())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.layout.root().join(name)
    }
}

/// What a waiting store looks like.
pub(crate) fn waiting_for_store(message: &str, deadline: Timestamp) -> Waiting {
    Waiting { what: WaitingFor::Store, message: message.to_owned(), deadline }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
