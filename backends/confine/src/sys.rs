//! The system calls that have no safe wrapper. Each function is safe to call; each block says why.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

type Result<T> = nix::Result<T>;

/// Which process returned from [`clone_process`].
pub(crate) enum Side {
    /// The caller, with the child's pid.
    Parent(libc::pid_t),
    /// The child, a copy of the caller.
    Child,
}

/// Like fork, with flags of clone.
///
/// # Safety
/// The calling process must have one thread only, since the child is a copy of the calling thread alone: locks that
/// others held (the allocator's among them) would never open. The child must not return to code that does not expect
/// to be two processes.
pub(crate) unsafe fn clone_process(flags: libc::c_int) -> Result<Side> {
    let flags = libc::c_ulong::from((flags | libc::SIGCHLD).cast_unsigned());
    // SAFETY: without CLONE_VM and with a null stack this is fork: the child has a copy of all memory and goes on with
    // its own copy of this stack. No pointer is passed. The caller upholds the rest.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match Errno::result(pid)? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as libc::pid_t)),
    }
}

fn owned(fd: libc::c_long) -> Result<OwnedFd> {
    let fd = Errno::result(fd)? as RawFd;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A detached copy of the mount at `path`, with all mounts below it.
pub(crate) fn open_tree(path: &CStr) -> Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.cast_unsigned();
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the other arguments are integers.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Adds attributes (`MOUNT_ATTR_*`) to a mount, and to those below it if `recursive`.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, `attr` outlives the call and its size is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Attaches a detached mount at `target`.
pub(crate) fn move_mount(mount: BorrowedFd<'_>, target: &CStr) -> Result<()> {
    // SAFETY: both paths are NUL-terminated strings that outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(result).map(drop)
}

/// A detached mount of a new file system of the kind `kind`, with options that are names with values.
pub(crate) fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<OwnedFd> {
    // SAFETY: `kind` is a NUL-terminated string that outlives the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), libc::FSOPEN_CLOEXEC) })?;
    for (name, value) in options {
        // SAFETY: both are NUL-terminated strings that outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                libc::FSCONFIG_SET_STRING,
                name.as_ptr(),
                value.as_ptr(),
                0,
            )
        };
        Errno::result(result)?;
    }
    // SAFETY: this command takes neither name nor value; null pointers are what it demands.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), libc::FSCONFIG_CMD_CREATE, 0_usize, 0_usize, 0)
    };
    Errno::result(result)?;
    // SAFETY: all arguments are integers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes) })
}

/// Closes every descriptor from `first` to `last`, or marks them to be closed by exec.
pub(crate) fn close_range(first: RawFd, last: RawFd, only_mark: bool) -> Result<()> {
    let flags = if only_mark { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: all arguments are integers. What is closed are descriptors that no value of this process still owns, or
    // whose owners are never dropped, since the callers replace the process or exit.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first.cast_unsigned(), last.cast_unsigned(), flags) };
    Errno::result(result).map(drop)
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

/// Reaps one child that has ended; `None` if none has, ECHILD if there are none.
pub(crate) fn reap(wait: bool) -> Result<Option<(libc::pid_t, Ended)>> {
    let flags = libc::WEXITED | if wait { 0 } else { libc::WNOHANG };
    // SAFETY: an all-zero siginfo_t is a valid value of it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable and outlives the call.
    Errno::result(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) })?;
    // SAFETY: waitid filled it for SIGCHLD, or left si_pid 0 because no child had ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some((pid, if info.si_code == libc::CLD_EXITED { Ended::Code(status) } else { Ended::Signal(status) })))
}

/// User and system time of all children that were reaped, in microseconds, and the largest resident size in bytes.
pub(crate) fn children_usage() -> (u64, u64) {
    // SAFETY: an all-zero rusage is a valid value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable and outlives the call.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (micros(usage.ru_utime) + micros(usage.ru_stime), usage.ru_maxrss as u64 * 1024)
}

/// Sends `signal`; a `pid` below -1 is a process group, -1 everybody whom the caller may signal.
pub(crate) fn kill(pid: libc::pid_t, signal: libc::c_int) -> Result<()> {
    // SAFETY: all arguments are integers.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A prctl whose arguments are integers.
pub(crate) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<libc::c_int> {
    // SAFETY: only called with options that take integers; unused arguments are 0, as the kernel demands.
    Errno::result(unsafe { libc::prctl(option, argument, 0_usize, 0_usize, 0_usize) })
}

/// Empties the permitted, effective and inheritable sets of capabilities.
pub(crate) fn drop_capabilities() -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let empty = [0_u32; 6];
    // SAFETY: version 3 reads a header and two times three words of 32 bits; both outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const empty) }).map(drop)
}

/// Leaves the caller's session keyring for an empty one.
pub(crate) fn leave_keyring() -> Result<()> {
    // SAFETY: the command takes a name, and null asks for one without.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0_usize) };
    Errno::result(result).map(drop)
}

/// Every signal to its default, none blocked: what an exec'ed program expects.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition; numbers that can't be set are refused without effect.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Puts copies of `descriptors` at 0, 1, 2 … in that order. They must not lie in that range themselves.
pub(crate) fn place(descriptors: &[RawFd], first: RawFd) -> Result<()> {
    for (at, descriptor) in (first..).zip(descriptors) {
        // SAFETY: integers; what was at `at` is the callers' to give up (they exec or never look at it again).
        Errno::result(unsafe { libc::dup2(*descriptor, at) })?;
    }
    Ok(())
}

/// A copy of `descriptor` with a number of at least `minimum`, closed by exec.
pub(crate) fn duplicate_above(descriptor: RawFd, minimum: RawFd) -> Result<RawFd> {
    // SAFETY: all arguments are integers.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, minimum) })
}

/// Lets an exec keep it. Makes one system call and nothing else, so it may be called between fork and exec.
pub(crate) fn keep_over_exec(descriptor: RawFd) -> Result<()> {
    // SAFETY: all arguments are integers.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }).map(drop)
}

/// Takes over a descriptor that this process inherited by agreement.
///
/// # Safety
/// Nothing else in this process may own it.
pub(crate) unsafe fn inherited(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the caller says so.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A file in memory, closed by exec.
pub(crate) fn memory_file(name: &CStr) -> Result<File> {
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    owned(fd.into()).map(File::from)
}

/// The version of Landlock's ABI that this kernel has; 0 for none.
pub(crate) fn landlock_abi() -> i32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel demands a null pointer and a size of 0, and only answers its version.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0_usize, 0_usize, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// Ends this process at once, without destructors and exit handlers.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: nothing of this process runs after it.
    unsafe { libc::_exit(code) }
}
