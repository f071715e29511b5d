//! Whether this host lets us build a sandbox.
//!
//! Ubuntu 24.04 lets an ordinary user make a user namespace and refuses what follows, so asking for a namespace proves
//! nothing: a throwaway sandbox is built, whole, by the code that builds the real ones.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use crate::inside::Program;
use crate::report::Exit;
use crate::spawn::{Stdio, start};
use crate::{Error, Failure, Identity, Sandbox, Step, WallReport};

/// Why this host gives no sandbox, and what to do about it. Displayed, it is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox can't be built: {failure}: {remedy}")]
pub struct Refusal {
    /// What failed.
    pub failure: Failure,
    /// What helps; names the setting.
    pub remedy: String,
}

/// Builds `sandbox` with a program of our own in the algorithm's place, which looks whether the walls do what they
/// should. Returns the walls that stand. Its `name`, `argv`, `env` and `cwd` do not matter; the rest may be the same as a job's.
pub fn probe(sandbox: &Sandbox) -> Result<Vec<WallReport>, Refusal> {
    let refuse = |failure: Failure| {
        let remedy = remedy(&failure, sandbox.identity, &Host::read());
        Refusal { failure, remedy }
    };
    try_it(sandbox).map_err(|error| {
        refuse(match error {
            Error::Failed(failure) => failure,
            Error::Invalid(text) => Failure::said(Step::SelfCheck, text),
            Error::Io { what, source } => Failure::io(Step::Fork, &source, what),
        })
    })
}

fn try_it(sandbox: &Sandbox) -> crate::Result<Vec<WallReport>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut sandbox = sandbox.clone();
    sandbox.cwd = "/".into();
    // Nobody else's cgroup, however many probe at once.
    sandbox.name = format!("probe-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut child = start(&sandbox, Program::Check, Stdio::null()?)?;
    let walls = child.walls().to_vec();
    match child.wait()?.exit {
        Exit::Code(0) => Ok(walls),
        exit => Err(Error::Failed(
            child.failure().unwrap_or_else(|| Failure::said(Step::SelfCheck, format!("it ended with {exit:?}"))),
        )),
    }
}

/// What this host says of itself; `None` where it has no such setting.
#[derive(Debug, Default)]
struct Host {
    /// `kernel.apparmor_restrict_unprivileged_userns`
    apparmor_restricts: Option<u64>,
    /// `kernel.unprivileged_userns_clone`
    unprivileged_clone: Option<u64>,
    /// `user.max_user_namespaces`
    max_user_namespaces: Option<u64>,
}

impl Host {
    fn read() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            unprivileged_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
        }
    }
}

/// What helps against a failure, in one line.
fn remedy(failure: &Failure, identity: Identity, host: &Host) -> String {
    const APPARMOR: &str = "load the AppArmor profile of deploy/apparmor, or run the gateway as root";
    let denied = [Errno::EPERM, Errno::EACCES].iter().any(|errno| failure.errno == *errno as i32);
    match (identity, failure.step) {
        (_, Step::Source) => "this path must exist and be readable; see backend.process in the configuration".into(),
        (_, Step::Hostname | Step::Limits | Step::Fork | Step::Cgroup) if !denied => "this host is short of it".into(),
        (_, step) if failure.errno == Errno::ENOSYS as i32 || failure.errno == Errno::EINVAL as i32 => {
            format!("this kernel is too old to {}: Linux 5.12 or newer is needed", step.words())
        }
        (Identity::Own, Step::Namespaces) if host.unprivileged_clone == Some(0) => {
            "kernel.unprivileged_userns_clone is 0: `sysctl kernel.unprivileged_userns_clone=1`, or run the gateway as \
             root"
                .into()
        }
        (Identity::Own, Step::Namespaces)
            if host.max_user_namespaces == Some(0) || failure.errno == Errno::ENOSPC as i32 =>
        {
            "user.max_user_namespaces is 0 or used up: raise it with sysctl, or run the gateway as root".into()
        }
        (Identity::Own, _) if host.apparmor_restricts == Some(1) => {
            format!("kernel.apparmor_restrict_unprivileged_userns is 1 (as on Ubuntu 24.04): {APPARMOR}")
        }
        (Identity::Own, Step::Namespaces) if denied => format!(
            "this host or its container does not let an ordinary user make user namespaces (a container's seccomp \
             profile, SELinux, or kernel.apparmor_restrict_unprivileged_userns): {APPARMOR}"
        ),
        (Identity::Own, Step::MountProc) if denied => {
            "/proc of this container is masked: run it with --security-opt systempaths=unconfined, or outside of a \
             container"
                .into()
        }
        (Identity::Own, step) if denied && step < Step::Landlock => format!(
            "the host lets an ordinary user make namespaces but not use them, as \
             kernel.apparmor_restrict_unprivileged_userns=1 does, or a container's profile: {APPARMOR}"
        ),
        (Identity::Slot { .. }, step) if denied && step < Step::Landlock => {
            "root here lacks a capability (CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID or CAP_SETPCAP), as in an unprivileged \
             container: give it, or run the gateway as an ordinary user where user namespaces are allowed"
                .into()
        }
        _ => "this host can't run the process backend".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_the_setting_in_one_line() {
        let ubuntu = Host { apparmor_restricts: Some(1), ..Host::default() };
        let debian = Host { unprivileged_clone: Some(0), ..Host::default() };
        let none = Host { max_user_namespaces: Some(0), ..Host::default() };
        let slot = Identity::Slot { uid: 200_000, gid: 200_000 };
        for (step, errno, identity, host, word) in [
            (Step::UidMap, Errno::EPERM, Identity::Own, &ubuntu, "kernel.apparmor_restrict_unprivileged_userns"),
            (Step::PrivateMounts, Errno::EACCES, Identity::Own, &ubuntu, "deploy/apparmor"),
            (Step::MountRoot, Errno::EPERM, Identity::Own, &Host::default(), "apparmor_restrict_unprivileged_userns"),
            (Step::Namespaces, Errno::EPERM, Identity::Own, &debian, "kernel.unprivileged_userns_clone"),
            (Step::Namespaces, Errno::ENOSPC, Identity::Own, &none, "user.max_user_namespaces"),
            (Step::Namespaces, Errno::EPERM, Identity::Own, &Host::default(), "does not let an ordinary user"),
            (Step::Namespaces, Errno::EPERM, slot, &ubuntu, "CAP_SYS_ADMIN"),
            (Step::Source, Errno::ENOENT, slot, &ubuntu, "must exist"),
            (Step::Source, Errno::ENOSYS, slot, &ubuntu, "must exist"),
            (Step::MountProc, Errno::EPERM, Identity::Own, &Host::default(), "masked"),
        ] {
            let failure = Failure::new(step, errno, "x");
            let refusal = Refusal { remedy: remedy(&failure, identity, host), failure };
            let line = refusal.to_string();
            assert!(line.contains(word) && !line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
