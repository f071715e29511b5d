use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// What a shim is born with, in the places of the three standard streams: so that no other child of the gateway ever
/// inherits a job's lock by accident.
pub(super) struct Inherited {
    /// The lock of the job's folder.
    pub(super) lock: OwnedFd,
    /// What is to be done.
    pub(super) spec: File,
    /// The uid of the job, if it has one of its own.
    pub(super) slot: OwnedFd,
}

/// Takes them, and puts /dev/null into their places.
pub(super) fn take() -> io::Result<Inherited> {
    let lock = io::stdin().as_fd().try_clone_to_owned()?;
    let spec = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let slot = io::stderr().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(Inherited { lock, spec, slot })
}
