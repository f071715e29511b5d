//! Process 1 of the pid namespace. It reaps orphans, passes on what the outside asks for, and says precisely how the
//! algorithm's own process ended. When it goes, the kernel ends everything in the namespace.
//!
//! It may have the algorithm's uid, so it is undumpable, and believes no signal that comes from inside (those carry a
//! sender's pid; those from outside carry 0). The kernel protects it from SIGKILL from inside.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::read;

use super::Ready;
use crate::error::{Failure, Step};
use crate::report::{End, Exit, Lines, Report, say};
use crate::sys::{self, Ended};

/// Never returns.
pub(super) fn supervise(ready: Ready) -> ! {
    let Ready { algorithm, boot, status, control, mut walls } = ready;
    // The pipe's other end is closed by the algorithm's exec.
    let mut standing = false;
    for report in all_reports(&boot) {
        match report {
            Report::Standing(more) => {
                walls.extend(more);
                standing = true;
            }
            Report::Failed(failure) => {
                say(&status, &Report::Failed(failure));
                sys::exit(1);
            }
            Report::Init(_) | Report::Ended(_) => {}
        }
    }
    if !standing {
        say(&status, &Report::Failed(Failure::said(Step::Exec, "the process ended before it said anything")));
        sys::exit(1);
    }
    drop(boot);
    say(&status, &Report::Standing(walls));
    let exit = watch(algorithm, &control).unwrap_or(Exit::Killed);
    // Nobody is left behind, and all time that was used is counted.
    let _ = sys::kill(-1, libc::SIGKILL);
    while let Ok(_) | Err(Errno::EINTR) = sys::reap(true) {}
    let (cpu_micros, largest_process_bytes) = sys::children_usage();
    say(&status, &Report::Ended(End { exit, cpu_micros, largest_process_bytes }));
    sys::exit(0)
}

fn all_reports(from: &OwnedFd) -> Vec<Report> {
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    loop {
        match read(from, &mut buffer) {
            Ok(0) => break,
            Ok(count) => lines.push(&buffer[..count]),
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    std::iter::from_fn(|| lines.next()).collect()
}

/// Until the algorithm's process ends, or the outside wants it all ended. If the outside has asked for an end in peace,
/// the others get the time that the outside gives: a shell does not wait for what it started when SIGTERM comes.
fn watch(algorithm: libc::pid_t, control: &OwnedFd) -> nix::Result<Exit> {
    // All signals have been blocked since before the clone returned.
    let signals = SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut ending = false;
    let mut exit = None;
    loop {
        loop {
            match sys::reap(false) {
                Ok(Some((pid, Ended::Code(code)))) if pid == algorithm => exit = Some(Exit::Code(code)),
                Ok(Some((pid, Ended::Signal(signal)))) if pid == algorithm => exit = Some(Exit::Signal(signal)),
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Ok(None) => break,
                Err(Errno::ECHILD) => return Ok(exit.unwrap_or(Exit::Killed)),
                Err(errno) => return Err(errno),
            }
        }
        if let Some(exit) = exit.filter(|_| !ending) {
            return Ok(exit);
        }
        let mut waiting =
            [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let asked = waiting[1].any().unwrap_or(false);
        while let Some(signal) = signals.read_signal()? {
            let from_outside = signal.ssi_pid == 0;
            if from_outside && signal.ssi_signo == libc::SIGTERM.cast_unsigned() {
                ending = true;
                let _ = sys::kill(-algorithm, libc::SIGTERM);
            }
        }
        if asked {
            let mut byte = [0];
            match read(control, &mut byte) {
                // Whoever started the sandbox is gone, or wants it gone.
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(exit.unwrap_or(Exit::Killed)),
                Ok(_) if i32::from(byte[0]) == libc::SIGKILL => return Ok(exit.unwrap_or(Exit::Killed)),
                Ok(_) => {
                    ending |= i32::from(byte[0]) == libc::SIGTERM;
                    let _ = sys::kill(-algorithm, byte[0].into());
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
