//! The sandbox on the real kernel: as root, and once more as an ordinary user.
//!
//! A program of its own, since it must call `dispatch` before it has threads, and since some trials need a process of
//! their own that has none (see `helper`).

mod files;
mod harness;
mod helper;
mod life;
mod limits;
mod network;
mod programs;
mod refusals;
mod syscalls;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// Who has neither rights nor files.
const ORDINARY: u32 = 65_534;

fn main() -> ExitCode {
    brizo_confine::dispatch();
    if let Some(code) = helper::dispatch() {
        return code;
    }
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        life::trials(),
        files::trials(),
        network::trials(),
        syscalls::trials(),
        programs::trials(),
        limits::trials(),
        refusals::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut failed = libtest_mimic::run(&arguments, trials).has_failed();
    if harness::is_root() {
        // The same trials as somebody who is not root. The path of this program may lie where he can't go; the link can
        // be followed anyway.
        let mut again = Command::new("/proc/self/exe");
        again.args(std::env::args_os().skip(1)).uid(ORDINARY).gid(ORDINARY);
        failed |= !again.status().expect("it runs itself").success();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
