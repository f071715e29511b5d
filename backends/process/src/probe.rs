//! Whether this host can run a job at all: tried once with a throwaway sandbox, not guessed.

use std::sync::atomic::{AtomicU64, Ordering};

use brizo_backend::{Error, ErrorKind, Limits, WallFact, WallState};
use brizo_confine::{Wall, WallReport};

use crate::config::ProcessConfig;
use crate::runtime::{Runtime, wrong};
use crate::{sandbox, slot};

/// Tells the cgroups of those that are tried at once.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What the throwaway sandbox showed.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    walls: Vec<WallReport>,
}

impl Probe {
    /// Builds a whole sandbox once, as a job would have it; the error is one line with its remedy.
    pub(crate) fn of(config: &ProcessConfig) -> Result<Self, String> {
        let slot = if nix::unistd::Uid::effective().is_root() {
            Some(slot::take(config.first_uid).map_err(|error| format!("No uid for a job can be had: {error}."))?)
        } else {
            None
        };
        let limits = Limits {
            cpu_millis: 1000,
            memory_bytes: 64 << 20,
            disk_bytes: 64 << 20,
            outputs_bytes: 0,
            wall_time_s: 10,
            gpu: 0,
        };
        let runtime = Runtime { command: "/bin/sh".into(), roots: Vec::new(), names: Vec::new() };
        let name = format!("probe-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bare = sandbox::bare(&name, slot.map(|slot| slot.uid), vec!["/bin/sh".to_owned()], &runtime, &limits);
        match brizo_confine::probe(&bare) {
            Ok(walls) => Ok(Self { walls }),
            Err(error) => Err(format!("No sandbox can be built here: {error}")),
        }
    }

    /// The walls that stood.
    pub(crate) fn reports(&self) -> &[WallReport] {
        &self.walls
    }

    /// As a job states them.
    pub(crate) fn walls(&self) -> Vec<WallFact> {
        brizo_runner::run::wall_facts(&self.walls)
    }

    pub(crate) fn stands(&self, wall: Wall) -> bool {
        self.walls().iter().any(|fact| fact.name == wall.name() && fact.state == WallState::Standing)
    }
}

/// What `brizo check` says of this backend: one line for each thing that is wrong.
pub(crate) fn check(config: &ProcessConfig) -> Vec<String> {
    let mut lines = wrong(&config.runtimes);
    if config.runtimes.is_empty() {
        lines.push("backend.process.runtimes: there is none, so that no algorithm can run.".to_owned());
    }
    lines.extend(Probe::of(config).err());
    lines
}

/// A refusal to run anything.
pub(crate) fn refused(operation: &'static str, line: &str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, line)
}
