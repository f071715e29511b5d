//! What happens on the other side of the clone: the first process of the pid namespace builds the sandbox around
//! itself, starts the algorithm, and stays as its init.

mod algorithm;
mod check;
mod init;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Gid, Uid, fork, pipe2, read};

use crate::error::{Failure, Step};
use crate::report::{Report, say};
use crate::spawn::enter_cgroup;
use crate::{Identity, Network, Sandbox, Wall, WallReport, identity, root, sys};

/// What the algorithm's process does once the walls stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Program {
    /// Executes `argv`.
    Execute,
    /// Looks whether the walls do what they should, and exits.
    Check,
}

/// All that the inside is given. The descriptors are its own.
pub(crate) struct Given<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) program: Program,
    /// What it writes to, to enter its cgroups.
    pub(crate) cgroup: &'a [PathBuf],
    /// Says a byte once this process is in the other ones.
    pub(crate) entered: OwnedFd,
    /// Walls of cgroups that stand once they are entered.
    pub(crate) cgroup_walls: &'a [WallReport],
    pub(crate) stdio: [RawFd; 3],
    pub(crate) status: OwnedFd,
    pub(crate) control: OwnedFd,
    /// Held until the sandbox is gone, never seen by the algorithm.
    pub(crate) held: Vec<RawFd>,
}

/// The namespaces to make with the clone.
pub(crate) fn namespaces(sandbox: &Sandbox) -> CloneFlags {
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    if sandbox.identity == Identity::Own {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    for (wall, flag) in [
        (Wall::NetworkNamespace, CloneFlags::CLONE_NEWNET),
        (Wall::IpcNamespace, CloneFlags::CLONE_NEWIPC),
        (Wall::UtsNamespace, CloneFlags::CLONE_NEWUTS),
    ] {
        let wanted = wall != Wall::NetworkNamespace || sandbox.network == Network::None;
        flags.set(flag, wanted && sandbox.walls.has(wall));
    }
    flags
}

/// Who the algorithm is outside: (uid, gid).
pub(crate) fn ids(identity: Identity) -> (u32, u32) {
    match identity {
        Identity::Slot { uid, gid } => (uid, gid),
        Identity::Own => (Uid::effective().as_raw(), Gid::effective().as_raw()),
    }
}

/// Never returns. `ids` are what [`ids`] said before the clone: inside of an unmapped user namespace nobody has any.
pub(crate) fn enter(given: &Given<'_>, ids: (u32, u32)) -> ! {
    match build(given, ids) {
        Ok(ready) => init::supervise(ready),
        Err(failure) => {
            say(&given.status, &Report::Failed(failure));
            sys::exit(1)
        }
    }
}

/// What init needs, once all is built and the algorithm's process is made.
struct Ready {
    algorithm: libc::pid_t,
    /// Reports of the algorithm's process until it executes.
    boot: OwnedFd,
    status: OwnedFd,
    control: OwnedFd,
    walls: Vec<WallReport>,
}

fn build(given: &Given<'_>, (uid, gid): (u32, u32)) -> Result<Ready, Failure> {
    let sandbox = given.sandbox;
    // First of all: it dies with its parent. What an undumpable parent left would keep us from our own uid_map.
    die_with_parent()?;
    dumpable(true)?;
    // Signals wait until init asks for them.
    SigSet::all().thread_set_mask().map_err(|errno| Failure::new(Step::Fork, errno, "sigmask"))?;
    if sandbox.identity == Identity::Own {
        identity::map_own(uid, gid)?;
    }
    if sandbox.walls.has(Wall::UtsNamespace) {
        nix::unistd::sethostname(&sandbox.hostname).map_err(|errno| Failure::new(Step::Hostname, errno, ""))?;
    }
    // Kernels without keys have nothing to leave.
    let _ = sys::leave_keyring();
    let oom = OomScore::take()?;
    given.cgroup.iter().try_for_each(|file| enter_cgroup(file, "0"))?;
    root::build(sandbox, uid, gid)?;
    show_memory_folders(sandbox, &given.control)?;
    wait_for_cgroups(&given.entered)?;
    // After the cgroup was entered, since what is entered last is the root that is shown.
    let cgroup_namespace =
        sandbox.walls.has(Wall::CgroupNamespace) && nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).is_ok();

    if sandbox.walls.has(Wall::Capabilities) {
        identity::empty_bounding_set()?;
    }
    if let Identity::Slot { uid, gid } = sandbox.identity {
        identity::become_slot(uid, gid)?;
    }
    if sandbox.walls.has(Wall::Capabilities) {
        identity::drop_capabilities()?;
    }
    if sandbox.walls.has(Wall::NoNewPrivileges) {
        identity::no_new_privileges()?;
    }
    // Another uid forgets both.
    die_with_parent()?;
    dumpable(false)?;

    let failure = |errno| Failure::new(Step::Fork, errno, "pipe");
    let (boot, boot_end) = pipe2(OFlag::O_CLOEXEC).map_err(failure)?;
    oom.algorithm()?;
    // SAFETY: this process is the copy of a single thread. The child either executes or exits.
    let forked = unsafe { fork() }.map_err(|errno| Failure::new(Step::Fork, errno, ""))?;
    let algorithm = match forked {
        ForkResult::Parent { child } => child.as_raw(),
        ForkResult::Child => algorithm::become_it(sandbox, given.program, given.stdio, &boot_end),
    };
    oom.init();
    drop(boot_end);
    let status = given.status.try_clone().map_err(|error| Failure::io(Step::Fork, &error, "dup"))?;
    let control = given.control.try_clone().map_err(|error| Failure::io(Step::Fork, &error, "dup"))?;
    let kept = [boot.as_raw_fd(), status.as_raw_fd(), control.as_raw_fd()];
    close_all_but(kept.into_iter().chain(given.held.iter().copied()))?;
    Ok(Ready { algorithm, boot, status, control, walls: walls(given, cgroup_namespace) })
}

/// Gives the outside a descriptor of each tmpfs, by which it can see how full that is, whatever goes on inside.
fn show_memory_folders(sandbox: &Sandbox, control: &OwnedFd) -> Result<(), Failure> {
    let open = |tmpfs: &crate::Tmpfs| {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        nix::fcntl::open(&tmpfs.target, flags, Mode::empty())
            .map_err(|errno| Failure::new(Step::Populate, errno, tmpfs.target.display().to_string()))
    };
    let folders = sandbox.tmpfs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let numbers: Vec<RawFd> = folders.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &[] } else { rights.as_slice() };
    sendmsg::<()>(control.as_raw_fd(), &[IoSlice::new(b"m")], rights, MsgFlags::MSG_NOSIGNAL, None)
        .map(drop)
        .map_err(|errno| Failure::new(Step::Populate, errno, "sendmsg"))
}

/// Until the outside has put this process into its cgroups; the algorithm is not made before.
fn wait_for_cgroups(entered: &OwnedFd) -> Result<(), Failure> {
    loop {
        match read(entered, &mut [0]) {
            Ok(0) => return Err(Failure::said(Step::Cgroup, "the outside is gone")),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new(Step::Cgroup, errno, "pipe")),
        }
    }
}

/// The walls that stand before the algorithm's process adds its own.
fn walls(given: &Given<'_>, cgroup_namespace: bool) -> Vec<WallReport> {
    let sandbox = given.sandbox;
    let flags = namespaces(sandbox);
    let user = sandbox.identity == Identity::Own;
    let mut walls = vec![
        WallReport::new(Wall::UserNamespace, user),
        WallReport::new(Wall::Uid, !user),
        WallReport::new(Wall::MountNamespace, true),
        WallReport::new(Wall::PidNamespace, true),
        WallReport::new(Wall::NetworkNamespace, flags.contains(CloneFlags::CLONE_NEWNET)),
        WallReport::new(Wall::IpcNamespace, flags.contains(CloneFlags::CLONE_NEWIPC)),
        WallReport::new(Wall::UtsNamespace, flags.contains(CloneFlags::CLONE_NEWUTS)),
        WallReport::new(Wall::CgroupNamespace, cgroup_namespace),
        // Without it an ordinary process could not have installed seccomp.
        WallReport::new(Wall::NoNewPrivileges, sandbox.walls.has(Wall::NoNewPrivileges)),
        WallReport::new(Wall::Capabilities, sandbox.walls.has(Wall::Capabilities)),
    ];
    walls.extend_from_slice(given.cgroup_walls);
    walls
}

fn die_with_parent() -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
        .map(drop)
        .map_err(|errno| Failure::new(Step::Fork, errno, "PR_SET_PDEATHSIG"))
}

fn dumpable(yes: bool) -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_DUMPABLE, yes.into())
        .map(drop)
        .map_err(|errno| Failure::new(Step::Fork, errno, "PR_SET_DUMPABLE"))
}

/// Closes all descriptors but these, standard ones included. Values that own closed ones are never dropped, since init
/// ends without destructors.
fn close_all_but(kept: impl IntoIterator<Item = RawFd>) -> Result<(), Failure> {
    let mut kept: Vec<RawFd> = kept.into_iter().collect();
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            sys::close_range(first, fd - 1, false).map_err(|errno| Failure::new(Step::Fork, errno, "close_range"))?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Makes the algorithm the first that the kernel ends when memory runs out, and init none of the first. The file is
/// opened while the host's `/proc` is there; it stays init's own.
struct OomScore {
    file: File,
    before: String,
}

impl OomScore {
    fn take() -> Result<Self, Failure> {
        let path = "/proc/self/oom_score_adj";
        let failure = |error: std::io::Error| Failure::io(Step::Limits, &error, path);
        let before = std::fs::read_to_string(path).map_err(failure)?;
        let file = OpenOptions::new().write(true).open(path).map_err(failure)?;
        Ok(Self { file, before: before.trim().to_owned() })
    }

    /// What a fork from here on inherits.
    fn algorithm(&self) -> Result<(), Failure> {
        (&self.file).write_all(b"1000").map_err(|error| Failure::io(Step::Limits, &error, "oom_score_adj"))
    }

    /// Back to what it was. If the kernel refuses, init is as good a victim as the algorithm, and smaller.
    fn init(self) {
        let _ = (&self.file).write_all(self.before.as_bytes());
    }
}

fn c_string(bytes: &std::ffi::OsStr) -> Result<CString, Failure> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(bytes.as_bytes()).map_err(|_| Failure::said(Step::Exec, "NUL in a string"))
}
