use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Walls};

const MIB: u64 = 1 << 20;

/// A path of the host that is seen inside. Always without set-uid programs and device nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host; a folder (with all that is mounted below it) or a file. There must be no socket of a service in it:
    /// read-only is no hindrance to connecting.
    pub source: PathBuf,
    /// In the sandbox, absolute. It is made if it is not there.
    pub target: PathBuf,
    /// Whether the algorithm may write there. Its uid must be able to, too.
    pub writable: bool,
}

/// A symbolic link in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it says.
    pub target: PathBuf,
}

/// Memory that is seen as a folder, which the algorithm may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where, absolute.
    pub target: PathBuf,
    /// At most so many bytes.
    pub bytes: u64,
    /// At most so many files and folders.
    pub inodes: u64,
}

/// Who the algorithm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// This uid and gid, which nobody else has; no user namespace. Only root can give it.
    Slot {
        /// Not 0.
        uid: u32,
        /// Not 0.
        gid: u32,
    },
    /// The caller's own uid and gid, alone in a user namespace. Only an ordinary user can give it.
    Own,
}

/// What the algorithm reaches of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Nothing: a network namespace of its own, sockets of AF_UNIX only.
    #[default]
    None,
    /// All that the host reaches: no namespace; internet sockets are allowed.
    Host,
}

/// Limits of the sandbox. Those that the kernel can't enforce here are the caller's to watch (see
/// [`Child::usage`](crate::Child::usage)); each is stated as a [`Wall`](crate::Wall) where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory, tmpfs included; by cgroup where one is writable, without swap.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core; by cgroup where one is writable.
    pub cpu_millis: Option<u64>,
    /// Processes and threads, by cgroup where one is writable, and by RLIMIT_NPROC where it counts this job's alone.
    pub processes: Option<u64>,
    /// Bytes of any one file (RLIMIT_FSIZE; past it SIGXFSZ).
    pub file_bytes: Option<u64>,
    /// Open file descriptors of a process (RLIMIT_NOFILE).
    pub open_files: Option<u64>,
    /// Bytes of private memory of one process (RLIMIT_DATA). Address space is never limited: Node and Java reserve
    /// much more than they touch.
    pub data_bytes: Option<u64>,
    /// So many of this process's cores, beginning with the `first_core`-th, are offered (sched_setaffinity), so that
    /// pools are sized by the job's share. The algorithm can undo it.
    pub cores: Option<u32>,
    /// See `cores`; taken modulo the number of cores.
    pub first_core: u32,
}

/// One sandbox, whole: what is seen inside, who runs what, and what is limited.
///
/// It says nothing of the job: paths, environment and program are the caller's. It can be written and read (to cross
/// an exec); the walls can't, see [`Walls`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// A name for its cgroup: letters, digits, `-`, `_`, at most 64.
    pub name: String,
    /// Who the algorithm is.
    pub identity: Identity,
    /// Its name in `/etc/passwd` and `/etc/group`.
    pub user: String,
    /// Its home in `/etc/passwd`. Put a [`Tmpfs`] there.
    pub home: PathBuf,
    /// The host name inside.
    pub hostname: String,
    /// What is seen of the host, in this order.
    pub binds: Vec<Bind>,
    /// Links, made after the binds.
    pub links: Vec<Link>,
    /// Memory as folders, mounted after the binds.
    pub tmpfs: Vec<Tmpfs>,
    /// What it reaches of the network.
    pub network: Network,
    /// Limits.
    pub limits: Limits,
    /// The program, as an absolute path in the sandbox or a bare name that is looked up in the `PATH` of `env`, and its
    /// arguments.
    pub argv: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Which walls are demanded; left out when it is written.
    #[serde(skip)]
    pub walls: Walls,
}

impl Sandbox {
    /// A sandbox with an empty root but for `/dev`, `/proc`, `/etc` (users, the loader's and Java's settings, time zone,
    /// CA certificates), and writable memory at `/tmp`, `/dev/shm` and the home. Nothing of the host's programs is in it:
    /// see [`runtime_root`](Self::runtime_root).
    pub fn new(
        name: impl Into<String>,
        identity: Identity,
        argv: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let memory = |target: &str| Tmpfs { target: target.into(), bytes: 64 * MIB, inodes: 16_384 };
        Self {
            name: name.into(),
            identity,
            user: "brizo".into(),
            home: "/home/brizo".into(),
            hostname: "brizo".into(),
            binds: Vec::new(),
            links: Vec::new(),
            tmpfs: vec![memory("/tmp"), memory("/dev/shm"), memory("/home/brizo")],
            network: Network::None,
            limits: Limits::default(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            walls: Walls::demanded(),
        }
    }

    /// With a folder of the host's programs, read-only, at the same place (such as `/usr`, `/opt/conda`). With `/usr`
    /// come the links `/bin`, `/lib`, `/lib64` and `/sbin`, or the folders where they are folders.
    #[must_use]
    pub fn runtime_root(mut self, root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let is_usr = root == Path::new("/usr");
        self.binds.push(Bind { source: root.clone(), target: root, writable: false });
        if is_usr {
            for path in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(PathBuf::from) {
                if let Ok(target) = std::fs::read_link(&path) {
                    self.links.push(Link { path, target });
                } else if path.is_dir() {
                    self.binds.push(Bind { source: path.clone(), target: path, writable: false });
                }
            }
        }
        self
    }

    /// With a path of the host that can only be read.
    #[must_use]
    pub fn read_only(mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { source: source.into(), target: target.into(), writable: false });
        self
    }

    /// With a path of the host that can be written.
    #[must_use]
    pub fn writable(mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { source: source.into(), target: target.into(), writable: true });
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Where the algorithm may write.
    pub(crate) fn writable_targets(&self) -> Vec<PathBuf> {
        let binds = self.binds.iter().filter(|bind| bind.writable).map(|bind| bind.target.clone());
        let memory = self.tmpfs.iter().map(|tmpfs| tmpfs.target.clone());
        binds.chain(memory).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether it can be right.
    pub(crate) fn validate(&self) -> Result<()> {
        let invalid = |text: String| Err(Error::Invalid(text));
        let is_name = |name: &str| {
            (1..=64).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        for (what, name) in [("name", &self.name), ("user", &self.user), ("hostname", &self.hostname)] {
            if !is_name(name) {
                return invalid(format!("its {what} must be 1 to 64 letters, digits, '-' or '_'"));
            }
        }
        let root = nix::unistd::Uid::effective().is_root();
        match self.identity {
            Identity::Slot { uid: 0, .. } | Identity::Slot { gid: 0, .. } => {
                return invalid("an algorithm never runs as uid or gid 0".into());
            }
            Identity::Slot { .. } if !root => {
                return invalid("only root can give an algorithm another uid than its own".into());
            }
            Identity::Own if root => {
                return invalid("root must give the algorithm a uid of a slot, not its own".into());
            }
            Identity::Slot { .. } | Identity::Own => {}
        }
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return invalid("there is no program in argv".into());
        }
        let strings = self.argv.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        if strings.into_iter().any(|text| text.as_bytes().contains(&0)) {
            return invalid("an argument or environment variable has a NUL in it".into());
        }
        if self.env.iter().any(|(name, _)| name.is_empty() || name.as_bytes().contains(&b'=')) {
            return invalid("an environment variable has no name, or '=' in it".into());
        }
        let targets = self.binds.iter().map(|bind| &bind.target);
        let targets = targets.chain(self.links.iter().map(|link| &link.path));
        let targets = targets.chain(self.tmpfs.iter().map(|tmpfs| &tmpfs.target));
        for path in targets {
            if !is_plain(path) || path.parent().is_none() {
                return invalid(format!("{} must be absolute, below /, without '.' and '..'", path.display()));
            }
        }
        for path in [&self.cwd, &self.home] {
            if !is_plain(path) {
                return invalid(format!("{} must be absolute, without '.' and '..'", path.display()));
            }
        }
        if let Some(bind) = self.binds.iter().find(|bind| !bind.source.is_absolute()) {
            return invalid(format!("the bind source {} must be absolute", bind.source.display()));
        }
        Ok(())
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wall;

    type Spoil = fn(&mut Sandbox);

    fn sandbox() -> Sandbox {
        let root = nix::unistd::Uid::effective().is_root();
        let identity = if root { Identity::Slot { uid: 200_000, gid: 200_000 } } else { Identity::Own };
        Sandbox::new("a", identity, ["/bin/true"])
    }

    #[test]
    fn nothing_that_is_read_takes_a_wall_away() {
        let mut open = sandbox();
        open.walls = Walls::demanded().without(Wall::Seccomp);
        let text = serde_json::to_string(&open).unwrap();
        assert!(!text.contains("seccomp"), "{text}");
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["walls"] = serde_json::json!({ "removed": ["seccomp"] });
        let read: Sandbox = serde_json::from_value(value).unwrap();
        assert!(read.walls.has(Wall::Seccomp));
    }

    #[test]
    fn what_can_not_be_is_refused_before_anything_is_built() {
        sandbox().validate().unwrap();
        let cases: [(&str, Spoil); 7] = [
            ("below /", |s| *s = s.clone().runtime_root("/")),
            ("name", |s| s.name = "../x".into()),
            ("program", |s| s.argv.clear()),
            ("absolute", |s| s.cwd = "data".into()),
            ("'..'", |s| s.links.push(Link { path: "/a/../b".into(), target: "x".into() })),
            ("NUL", |s| s.env.push(("A".into(), "b\0c".into()))),
            ("gid 0", |s| s.identity = Identity::Slot { uid: 7, gid: 0 }),
        ];
        for (word, spoil) in cases {
            let mut wrong = sandbox();
            spoil(&mut wrong);
            let error = wrong.validate().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
