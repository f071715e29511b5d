use std::time::Duration;

use brizo_backend::facts::{Started, VoidCause};
use brizo_backend::now;
use brizo_runner::run::{self, Asked, RunError, RunSpec};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{Leave, Shim, Step};
use crate::end;
use crate::folder::Standing;
use crate::sandbox;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

impl Shim {
    /// Decides that the algorithm runs, runs it, and publishes what it left.
    pub(super) fn run(&mut self) -> Step<()> {
        let layout = self.folder.layout().clone();
        let sandbox = match sandbox::of(&self.spec, &layout) {
            Ok(sandbox) => sandbox,
            Err(error) => return self.end_sandbox(error.to_string()),
        };
        run::prepare(&layout, self.spec.uid)?;
        if self.folder.has_fact("stop") || self.folder.is_gone() {
            return self.void(VoidCause::Stop);
        }
        let decided = self.journal.start(&Started::Run { at: now(), image_digest: None })?;
        self.facts.started = Some(decided.fact);
        match self.facts.started {
            Some(Started::Run { .. }) if decided.ours => {}
            Some(Started::Run { .. }) => return self.publish(),
            _ => return self.end_void(),
        }
        let signals = interrupts()?;
        let held = vec![self.lock.try_clone()?];
        let spec = RunSpec { limits: self.spec.job.limits, grace: GRACE };
        let folder = &self.folder;
        let result = run::run(
            &layout,
            &sandbox,
            spec,
            held,
            |walls, limits| {
                // Only shown while it runs; the end repeats it.
                let _ = folder.set_standing(&Standing { walls: walls.to_vec(), limits: limits.to_vec() });
            },
            || {
                if folder.is_gone() {
                    Asked::Delete
                } else if folder.has_fact("stop") {
                    Asked::Stop
                } else if matches!(signals.read_signal(), Ok(Some(_))) {
                    Asked::Interrupt
                } else {
                    Asked::Nothing
                }
            },
        );
        match result {
            Ok(_) | Err(RunError::Claimed) => self.publish(),
            Err(RunError::Sandbox(error)) => self.end_sandbox(format!("The sandbox could not be built: {error}.")),
            Err(RunError::Io(error)) => Err(Leave::Fault(error.to_string())),
        }
    }

    /// Ends a job whose sandbox could not be built.
    fn end_sandbox(&mut self, message: String) -> Step<()> {
        self.folder.remove_inputs();
        let ended = end::of_sandbox(&self.facts, &self.folder.seen(), message, now());
        self.journal.end(&ended)?;
        Ok(())
    }
}

/// SIGTERM is the host that goes down (or somebody who ends all processes of a service): the algorithm gets some time.
fn interrupts() -> Step<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block().map_err(std::io::Error::from)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(std::io::Error::from)?)
}
