//! `run`: confines and executes the algorithm, keeps both of its streams, enforces its limits, records how it ended.
//!
//! The record and the log lie where the algorithm can't reach, and only the runner writes them.

mod disk;
mod limits;
mod record;
mod streams;
mod trim;
mod watch;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use brizo_backend::{LimitFact, Limits, Usage, WallFact, WallState, now};
use brizo_confine::{Exit, Sandbox, Stdio, WallReport};

use crate::atomic;
use crate::layout::Layout;

pub use limits::{enforcement, files_limit, processes_limit};
pub use record::{EndRecord, EndedFor, Status, interrupted};
use streams::Streams;

/// What the algorithm may do, besides what its sandbox allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSpec {
    /// What it may use.
    pub limits: Limits,
    /// How long it has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// What whoever watches over the job wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Go on.
    Nothing,
    /// End it, with grace.
    Stop,
    /// End it at once: nobody wants what it writes.
    Delete,
    /// End it with grace: this host goes down.
    Interrupt,
}

/// Why the algorithm was not executed, or not watched to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was executed before: the claim stands.
    #[error("the algorithm was executed before")]
    Claimed,
    /// The walls could not be built; it did not run.
    #[error("{0}")]
    Sandbox(#[from] brizo_confine::Error),
    /// This host can't write the job's folder.
    #[error("the job's folder can't be used")]
    Io(#[from] io::Error),
}

/// The record of the algorithm's end, if it has ended.
pub fn end_record(layout: &Layout) -> Option<EndRecord> {
    serde_json::from_slice(&fs::read(layout.end()).ok()?).ok()
}

/// Makes what the algorithm writes to, as far as it is not there: `owner` is its uid where it has one of its own.
pub fn prepare(layout: &Layout, owner: Option<u32>) -> io::Result<()> {
    for folder in [layout.outputs(), layout.logs(), layout.log()] {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for folder in [layout.outputs(), layout.logs()] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        if let Some(uid) = owner {
            std::os::unix::fs::chown(&folder, Some(uid), Some(uid))?;
        }
    }
    fs::set_permissions(layout.log(), fs::Permissions::from_mode(0o700))
}

/// Executes the algorithm, at most once as long as the machine stands, and watches it to its end. What the machine loses
/// when it falls is the caller's affair: he knows by his own records that it was to run.
///
/// `held` is held by the sandbox as long as anything of it lives. `standing` is told the walls and limits once they
/// stand; `asked` is asked about twenty times a second what is wanted.
pub fn run(
    layout: &Layout,
    sandbox: &Sandbox,
    spec: RunSpec,
    held: Vec<OwnedFd>,
    mut standing: impl FnMut(&[WallFact], &[LimitFact]),
    asked: impl FnMut() -> Asked,
) -> Result<EndRecord, RunError> {
    let null = Stdio::null()?.stdin;
    match fs::OpenOptions::new().write(true).create_new(true).open(layout.claim()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(RunError::Claimed),
        claimed => drop(claimed?),
    }
    let (streams, stdout, stderr) = Streams::create(&layout.log())?;
    let mut child = brizo_confine::spawn(sandbox, Stdio { stdin: null, stdout, stderr, held })?;
    let walls = wall_facts(child.walls());
    let limits = enforcement(&spec.limits, child.walls());
    standing(&walls, &limits);
    trim::code();
    let watched = watch::watch(&mut child, streams, layout, spec, asked)?;
    let status = match watched.end.exit {
        Exit::Code(code) => Some(Status::Exited(code)),
        Exit::Signal(signal) => Some(Status::Signaled(signal)),
        Exit::Killed => None,
    };
    let usage = child.usage();
    let usage = Usage {
        peak_memory_bytes: Some(usage.peak_memory_bytes).filter(|bytes| *bytes > 0),
        cpu_seconds: Some(usage.cpu.as_secs_f64()).filter(|seconds| *seconds > 0.0),
    };
    let record = EndRecord { at: now(), status, ended_for: watched.ended_for, walls, limits, usage };
    atomic::create_light(&layout.end(), &serde_json::to_vec(&record).map_err(io::Error::from)?)?;
    Ok(record)
}

/// The walls as a job states them.
pub fn wall_facts(reports: &[WallReport]) -> Vec<WallFact> {
    let state = |state| match state {
        brizo_confine::WallState::Standing => WallState::Standing,
        brizo_confine::WallState::Requested => WallState::Requested,
        brizo_confine::WallState::Absent => WallState::Absent,
    };
    let fact = |report: &WallReport| WallFact { name: report.wall.name().to_owned(), state: state(report.state) };
    reports.iter().map(fact).collect()
}
