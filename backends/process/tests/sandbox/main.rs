//! What runs inside of the process backend, and what it can't do there: as root, and as an ordinary user.
//!
//! Run by root, it runs itself once more as an ordinary user.

#[path = "../as_user/mod.rs"]
mod as_user;
mod fetch;
mod life;
mod support;
mod walls;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion};

fn main() -> ExitCode {
    brizo_process::dispatch();
    if let Some(code) = life::dispatch() {
        return code;
    }
    let arguments = Arguments::from_args();
    let as_user = as_user::again_as_user();
    let trials = [life::trials(), walls::trials(), fetch::trials()].into_iter().flatten().collect();
    let Conclusion { num_failed, .. } = libtest_mimic::run(&arguments, trials);
    if num_failed == 0 && as_user { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
