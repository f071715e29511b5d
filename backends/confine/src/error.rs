use std::fmt;
use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where building a sandbox can fail, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Making the namespaces (clone).
    Namespaces,
    /// Writing `/proc/self/uid_map`, `setgroups` or `gid_map` of the user namespace.
    UidMap,
    /// Making the mounts private.
    PrivateMounts,
    /// Taking a path of the host for a bind mount.
    Source,
    /// Mounting the tmpfs that becomes the root.
    MountRoot,
    /// Mounting `/proc`.
    MountProc,
    /// Making the tmpfs the root, and letting go of the host's.
    PivotRoot,
    /// Putting a bind mount, a link, a file or a tmpfs into the new root.
    Populate,
    /// Setting the host name.
    Hostname,
    /// Entering the cgroup.
    Cgroup,
    /// Becoming the job's uid.
    Uid,
    /// Dropping the capabilities.
    Capabilities,
    /// Setting no_new_privs.
    NoNewPrivileges,
    /// Setting a resource limit.
    Limits,
    /// Making the algorithm's process.
    Fork,
    /// Landlock.
    Landlock,
    /// seccomp.
    Seccomp,
    /// Entering the working directory.
    WorkingDirectory,
    /// Executing the program.
    Exec,
    /// What the throwaway sandbox of a probe saw is not what it should be.
    SelfCheck,
    /// The sandbox vanished before it said anything.
    Vanished,
}

impl Step {
    /// In words, after "failed to".
    pub fn words(self) -> &'static str {
        match self {
            Self::Namespaces => "make namespaces",
            Self::UidMap => "map the user into its user namespace",
            Self::PrivateMounts => "make the mounts private",
            Self::Source => "take a path of the host",
            Self::MountRoot => "mount the sandbox's root",
            Self::MountProc => "mount /proc",
            Self::PivotRoot => "change the root",
            Self::Populate => "furnish the root",
            Self::Hostname => "set the host name",
            Self::Cgroup => "enter the cgroup",
            Self::Uid => "become the job's uid",
            Self::Capabilities => "drop the capabilities",
            Self::NoNewPrivileges => "set no_new_privs",
            Self::Limits => "set the resource limits",
            Self::Fork => "make the algorithm's process",
            Self::Landlock => "apply Landlock",
            Self::Seccomp => "apply seccomp",
            Self::WorkingDirectory => "enter the working directory",
            Self::Exec => "execute the program",
            Self::SelfCheck => "verify the walls from inside",
            Self::Vanished => "hear from the sandbox",
        }
    }
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which.
    pub step: Step,
    /// The kernel's answer; 0 where it was not the kernel's.
    pub errno: i32,
    /// On what: a path of the host or of the sandbox, or a name.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(step: Step, errno: Errno, detail: impl Into<String>) -> Self {
        Self { step, errno: errno as i32, detail: detail.into() }
    }

    pub(crate) fn io(step: Step, error: &io::Error, detail: impl Into<String>) -> Self {
        Self { step, errno: error.raw_os_error().unwrap_or(0), detail: detail.into() }
    }

    pub(crate) fn said(step: Step, detail: impl Into<String>) -> Self {
        Self { step, errno: 0, detail: detail.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}", self.step.words())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        if self.errno != 0 {
            write!(f, ": {}", io::Error::from_raw_os_error(self.errno))?;
        }
        Ok(())
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The description can't be right on any host.
    #[error("this sandbox can't be: {0}")]
    Invalid(String),
    /// A step of the building failed. Nothing of the sandbox is left.
    #[error("{0}")]
    Failed(Failure),
    /// A fault of the process that asked for it, such as no file descriptors left.
    #[error("could not {what}")]
    Io {
        /// After "could not".
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn errno(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Io { what, source: errno.into() }
    }
}
