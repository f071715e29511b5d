use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A wall between the algorithm and everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wall {
    /// A user namespace that maps nobody but the caller (an ordinary user's sandbox).
    UserNamespace,
    /// A uid that nobody else has (root's sandbox).
    Uid,
    /// A mount namespace with a root of its own.
    MountNamespace,
    /// A pid namespace: it sees and signals its own processes only, and they end with it.
    PidNamespace,
    /// A network namespace without interfaces that are up, and without routes.
    NetworkNamespace,
    /// An IPC namespace: System V objects and POSIX queues of its own.
    IpcNamespace,
    /// A UTS namespace: a host name of its own.
    UtsNamespace,
    /// A cgroup namespace: `/proc/self/cgroup` shows nothing of the host.
    CgroupNamespace,
    /// No program inside gains privileges by its file's mode.
    NoNewPrivileges,
    /// No capability in any set.
    Capabilities,
    /// The allow-list of system calls.
    Seccomp,
    /// Landlock's rules for files.
    LandlockFiles,
    /// Landlock's rules for TCP (ABI 4).
    LandlockTcp,
    /// Landlock's scopes: signals and abstract sockets (ABI 6).
    LandlockScope,
    /// Memory is limited by the kernel.
    CgroupMemory,
    /// CPU time is limited by the kernel.
    CgroupCpu,
    /// The number of processes and threads is limited by the kernel.
    CgroupProcesses,
}

impl Wall {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 17] = [
        Self::UserNamespace,
        Self::Uid,
        Self::MountNamespace,
        Self::PidNamespace,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::CgroupNamespace,
        Self::NoNewPrivileges,
        Self::Capabilities,
        Self::Seccomp,
        Self::LandlockFiles,
        Self::LandlockTcp,
        Self::LandlockScope,
        Self::CgroupMemory,
        Self::CgroupCpu,
        Self::CgroupProcesses,
    ];

    /// Its name in a job, such as `network_namespace`; the same as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserNamespace => "user_namespace",
            Self::Uid => "uid",
            Self::MountNamespace => "mount_namespace",
            Self::PidNamespace => "pid_namespace",
            Self::NetworkNamespace => "network_namespace",
            Self::IpcNamespace => "ipc_namespace",
            Self::UtsNamespace => "uts_namespace",
            Self::CgroupNamespace => "cgroup_namespace",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Capabilities => "capabilities",
            Self::Seccomp => "seccomp",
            Self::LandlockFiles => "landlock_files",
            Self::LandlockTcp => "landlock_tcp",
            Self::LandlockScope => "landlock_scope",
            Self::CgroupMemory => "cgroup_memory",
            Self::CgroupCpu => "cgroup_cpu",
            Self::CgroupProcesses => "cgroup_processes",
        }
    }

    /// Whether the sandbox is made of it, so that it can't be taken away even in a test.
    fn is_load_bearing(self) -> bool {
        matches!(self, Self::UserNamespace | Self::Uid | Self::MountNamespace | Self::PidNamespace)
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WallState {
    /// It was built, and the kernel said so.
    Standing,
    /// It was asked for; whether it is enforced can't be seen from here.
    Requested,
    /// It does not stand: this host has none, or it was not asked for.
    Absent,
}

/// A wall and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallReport {
    /// Which.
    pub wall: Wall,
    /// Whether it stands.
    pub state: WallState,
}

impl WallReport {
    pub(crate) fn new(wall: Wall, standing: bool) -> Self {
        Self { wall, state: if standing { WallState::Standing } else { WallState::Absent } }
    }
}

/// Which walls are demanded: all, unless a test takes one away.
///
/// There is no way to read this from a file, an environment or a request, on purpose: it is not deserializable, and
/// [`Sandbox`](crate::Sandbox) leaves it out when it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walls {
    removed: BTreeSet<Wall>,
}

impl Walls {
    /// All of them.
    pub fn demanded() -> Self {
        Self::default()
    }

    /// Without one. **Used only by tests' own binaries**, to show that an attack that the wall stops would succeed.
    ///
    /// # Panics
    /// If the sandbox is made of that wall (user, mount and pid namespace, uid).
    #[must_use]
    pub fn without(mut self, wall: Wall) -> Self {
        assert!(!wall.is_load_bearing(), "{wall} can't be taken away: the sandbox is made of it");
        self.removed.insert(wall);
        self
    }

    /// Whether it is demanded.
    pub fn has(&self, wall: Wall) -> bool {
        !self.removed.contains(&wall)
    }

    pub(crate) fn removed(&self) -> Vec<Wall> {
        self.removed.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walls_name_is_its_json() {
        for wall in Wall::ALL {
            assert_eq!(serde_json::to_string(&wall).unwrap(), format!("\"{wall}\""));
        }
    }

    #[test]
    #[should_panic(expected = "can't be taken away")]
    fn nobody_takes_the_mount_namespace_away() {
        let _ = Walls::demanded().without(Wall::MountNamespace);
    }
}
