//! Starting a sandbox.

use std::fs::{File, read_dir};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, write};

use crate::cgroup::Cgroup;
use crate::child::Child;
use crate::inside::{self, Given, Program};
use crate::report::{Report, say};
use crate::sys::{self, Side};
use crate::{Error, Failure, Result, Sandbox, Step, reexec};

/// The descriptors of a sandbox. They are moved into it: the caller's copies are closed.
#[derive(Debug)]
pub struct Stdio {
    /// The algorithm's standard input.
    pub stdin: OwnedFd,
    /// Its standard output, such as the writing end of a pipe: that ends when everything in the sandbox has.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
    /// Descriptors that the sandbox's init holds open, and the algorithm never sees: a lock, which is held then as long
    /// as anything of the sandbox is.
    pub held: Vec<OwnedFd>,
}

impl Stdio {
    /// All three are `/dev/null`.
    pub fn null() -> Result<Self> {
        let open = |write: bool| {
            let file = File::options().read(!write).write(write).open("/dev/null");
            file.map(OwnedFd::from).map_err(Error::io("open /dev/null"))
        };
        Ok(Self { stdin: open(false)?, stdout: open(true)?, stderr: open(true)?, held: Vec::new() })
    }
}

/// Builds the sandbox and executes the program in it; returns once the program is being executed, or with the step that
/// failed, and then nothing of it is left.
///
/// A process of one thread clones itself (about 2 ms). One with more can't: it executes itself first, which needs
/// [`dispatch`](crate::dispatch) at the top of its `main`. The sandbox dies with the process that called this, and, in a
/// process of one thread, with nothing else; it does not outlive its [`Child`].
pub fn spawn(sandbox: &Sandbox, stdio: Stdio) -> Result<Child> {
    start(sandbox, Program::Execute, stdio)
}

pub(crate) fn start(sandbox: &Sandbox, program: Program, stdio: Stdio) -> Result<Child> {
    sandbox.validate()?;
    let cgroup = Cgroup::make(&sandbox.name, &sandbox.limits, &sandbox.walls);
    let (status, status_end) = pipe2(OFlag::O_CLOEXEC).map_err(Error::errno("make a pipe"))?;
    let (control, control_end) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(Error::errno("make a socket pair"))?;
    let request = Request { sandbox, program, cgroup: &cgroup, stdio, status: status_end, control: control_end };
    let (pid, init) = if is_single_threaded().map_err(Error::io("count the own threads"))? {
        let pid = clone_into(request)?;
        (pid, Some(pid))
    } else {
        (reexec::start(request)?, None)
    };
    Child::new(pid, init, status, control, cgroup).standing()
}

/// What is asked of the other side.
pub(crate) struct Request<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) program: Program,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) stdio: Stdio,
    pub(crate) status: OwnedFd,
    pub(crate) control: OwnedFd,
}

fn is_single_threaded() -> io::Result<bool> {
    Ok(read_dir("/proc/self/task")?.count() == 1)
}

/// Clones this process, which has one thread, into the sandbox; returns the pid of its init.
fn clone_into(request: Request<'_>) -> Result<libc::pid_t> {
    let Request { sandbox, program, cgroup, stdio, status, control } = request;
    let ids = inside::ids(sandbox.identity);
    let flags = inside::namespaces(sandbox).bits();
    let report = status.try_clone().map_err(Error::io("duplicate a descriptor"))?;
    let (entered, entering) = pipe2(OFlag::O_CLOEXEC).map_err(Error::errno("make a pipe"))?;
    // SAFETY: the caller has looked that there is one thread. The child goes to `enter`, which never returns.
    match unsafe { sys::clone_process(flags) } {
        Ok(Side::Parent(pid)) => {
            say(&report, &Report::Init(pid));
            // From here, while it furnishes its root: the kernel takes its time for entering a cgroup.
            match enter_cgroups(pid, cgroup).and_then(|()| go_on(&entering)) {
                Ok(()) => Ok(pid),
                Err(failure) => {
                    let _ = sys::kill(pid, libc::SIGKILL);
                    let _ = waitpid(Pid::from_raw(pid), None);
                    Err(Error::Failed(failure))
                }
            }
        }
        Ok(Side::Child) => {
            drop(entering);
            let Stdio { stdin, stdout, stderr, held } = stdio;
            let held: Vec<RawFd> = held.iter().map(AsRawFd::as_raw_fd).collect();
            let given = Given {
                sandbox,
                program,
                entered,
                cgroup: &cgroup.own_entries(),
                cgroup_walls: &cgroup.walls(),
                stdio: [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()],
                status,
                control,
                held,
            };
            inside::enter(&given, ids)
        }
        Err(errno) => Err(Error::Failed(Failure::new(Step::Namespaces, errno, "clone"))),
    }
}

/// Tells the inside that it is in its cgroups.
fn go_on(entering: &OwnedFd) -> Result<(), Failure> {
    write(entering, &[1]).map(drop).map_err(|errno| Failure::new(Step::Cgroup, errno, "pipe"))
}

/// Puts the process into those cgroups of its sandbox that it does not enter itself.
fn enter_cgroups(pid: libc::pid_t, cgroup: &Cgroup) -> Result<(), Failure> {
    cgroup.entries().iter().try_for_each(|file| enter_cgroup(file, &pid.to_string()))
}

/// Puts a process, or 0 for the calling one, into one.
pub(crate) fn enter_cgroup(file: &Path, pid: &str) -> Result<(), Failure> {
    std::fs::write(file, pid).map_err(|error| Failure::io(Step::Cgroup, &error, file.display().to_string()))
}

/// [`clone_into`] for the process that [`reexec`] executed.
pub(crate) fn clone_into_here(request: Request<'_>) -> Result<libc::pid_t> {
    clone_into(request)
}
