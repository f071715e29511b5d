//! The algorithm's process, from its fork to its exec: the walls that are a thread's own.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{chdir, execve, setsid};

use super::{Program, c_string, check};
use crate::error::{Failure, Step};
use crate::report::{Report, say};
use crate::seccomp::Sockets;
use crate::{Network, Sandbox, Wall, WallReport, WallState, landlock, limits, root, seccomp, sys};

/// Where a bare program name is looked up if the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Never returns: executes the program, or says what failed and exits.
pub(super) fn become_it(sandbox: &Sandbox, program: Program, stdio: [RawFd; 3], boot: &OwnedFd) -> ! {
    let Err(failure) = run(sandbox, program, stdio, boot);
    say(boot, &Report::Failed(failure));
    sys::exit(127)
}

fn run(
    sandbox: &Sandbox,
    program: Program,
    stdio: [RawFd; 3],
    boot: &OwnedFd,
) -> Result<std::convert::Infallible, Failure> {
    let fork = |errno| Failure::new(Step::Fork, errno, "stdio");
    setsid().map_err(fork)?;
    // Out of the way first: one of them may stand where another must go.
    let boot_fd = sys::duplicate_above(boot.as_raw_fd(), 10).map_err(fork)?;
    // SAFETY: duplicate_above has just made it.
    let boot = unsafe { sys::inherited(boot_fd) };
    let mut high = [0; 3];
    for (at, descriptor) in high.iter_mut().zip(stdio) {
        *at = sys::duplicate_above(descriptor, 10).map_err(fork)?;
    }
    sys::place(&high, 0).map_err(fork)?;
    sys::close_range(3, RawFd::MAX, true).map_err(fork)?;

    // All that is looked up in the root is looked up before Landlock narrows what can be.
    let (path, argv, env) = command(sandbox, program)?;
    let cwd = |errno| Failure::new(Step::WorkingDirectory, errno, sandbox.cwd.display().to_string());
    chdir(&sandbox.cwd).map_err(cwd)?;
    limits::apply(&sandbox.limits, sandbox.identity)?;
    let mut walls = landlock::restrict(&landlock::Rules {
        readable: vec![PathBuf::from("/")],
        writable: sandbox.writable_targets(),
        devices: root::DEVICES.iter().map(|name| Path::new("/dev").join(name)).collect(),
        tcp: sandbox.network == Network::Host,
        walls: &sandbox.walls,
    })?;
    let seccomp = sandbox.walls.has(Wall::Seccomp);
    // Abstract names belong to the network namespace: in the host's, only Landlock keeps the algorithm from them.
    let scoped = walls.iter().any(|report| report.wall == Wall::LandlockScope && report.state == WallState::Standing);
    let sockets =
        Sockets { unix: sandbox.network == Network::None || scoped, internet: sandbox.network == Network::Host };
    walls.push(WallReport::new(Wall::Seccomp, seccomp));
    let filters = if seccomp { seccomp::filters(sockets).map_err(|error| said(&error))?.to_vec() } else { Vec::new() };
    say(&boot, &Report::Standing(walls));
    sys::reset_signals();
    seccomp::install(&filters).map_err(|error| said(&error))?;
    if program == Program::Check {
        return match check::walls(sandbox) {
            Ok(()) => sys::exit(0),
            Err(text) => Err(Failure::said(Step::SelfCheck, text)),
        };
    }
    let errno = execve(&path, &argv, &env).unwrap_err();
    Err(Failure::new(Step::Exec, errno, path.to_string_lossy()))
}

fn said(error: &seccompiler::Error) -> Failure {
    Failure::said(Step::Seccomp, error.to_string())
}

/// Path, arguments and environment of the program.
fn command(sandbox: &Sandbox, program: Program) -> Result<(CString, Vec<CString>, Vec<CString>), Failure> {
    let argv = sandbox.argv.iter().map(|argument| c_string(argument)).collect::<Result<Vec<_>, _>>()?;
    let pair = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
        let mut both = name.clone();
        both.push("=");
        both.push(value);
        c_string(&both)
    };
    let env = sandbox.env.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let path = match program {
        Program::Execute => find(&sandbox.argv[0], &sandbox.env)?,
        Program::Check => PathBuf::from("/"),
    };
    Ok((c_string(path.as_os_str())?, argv, env))
}

/// The path of `program` inside.
fn find(program: &OsStr, env: &[(std::ffi::OsString, std::ffi::OsString)]) -> Result<PathBuf, Failure> {
    if program.as_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|path| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file())
        .ok_or_else(|| Failure::new(Step::Exec, Errno::ENOENT, program.to_string_lossy()))
}
