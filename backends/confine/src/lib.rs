//! The walls around an algorithm.
//!
//! [`spawn()`] builds a [`Sandbox`] and executes a program in it: namespaces (mount, pid, network, IPC, UTS, cgroup, and
//! user for an ordinary user), a root of its own, a uid of a slot where the caller is root, no capability, one seccomp
//! allow-list, Landlock, resource limits, a cgroup. A small init is pid 1 in there; it says how the program ended, and
//! everything in the sandbox dies with it, as it dies with the process that spawned it. [`probe()`] says beforehand
//! whether this host lets all that be built, or in one line what helps.
//!
//! Every [`Wall`] is reported with its state. Namespaces, uid, capabilities and seccomp stand or there is no sandbox;
//! Landlock and cgroups are used as far as the host has them.
//!
//! Honest limits:
//! - x86_64 and aarch64, Linux 5.12 or newer.
//! - The kernel itself is the last wall. Who must withstand attacks on it takes a virtual machine a job.
//! - An ordinary user's sandbox keeps that user's supplementary groups: the kernel does not let them go. They open only
//!   what is bound into the root.
//! - Without a cgroup, memory is for the caller to watch ([`Child::usage`]); what a program hides in memory files that
//!   it does not map is not seen.
//! - There is no loopback: programs inside talk over pipes, shared memory and unix sockets.
//!
//! `unsafe` stands in `sys` for system calls that have no safe wrapper, and where processes are made.

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox is made of Linux");

mod cgroup;
mod child;
mod error;
mod etc;
mod identity;
mod inside;
mod landlock;
mod limits;
mod probe;
mod reexec;
mod report;
mod root;
mod sandbox;
mod seccomp;
mod spawn;
mod sys;
mod usage;
mod wall;

pub use cgroup::{prepare_cgroups, sweep_cgroups};
pub use child::Child;
pub use error::{Error, Failure, Result, Step};
pub use probe::{Refusal, probe};
pub use reexec::dispatch;
pub use report::{End, Exit};
pub use sandbox::{Bind, Identity, Limits, Link, Network, Sandbox, Tmpfs};
pub use spawn::{Stdio, spawn};
pub use usage::Usage;
pub use wall::{Wall, WallReport, WallState, Walls};
