//! The whole system on real parts, in one binary: `cargo test -p brizo-tests --test system [FILTER]`.
//!
//! Each module gives its trials; to add one is a `mod` line and a line in `all`. All run on one tokio runtime.

mod assets;
mod command_line;
mod grants;
mod jobs;
mod keeper;
mod legacy;
mod serve;
mod support;
mod swagger;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn all() -> Vec<Trial> {
    let modules = [
        keeper::trials(),
        grants::trials(),
        assets::trials(),
        jobs::trials(),
        legacy::trials(),
        command_line::trials(),
        swagger::trials(),
        serve::trials(),
    ];
    modules.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, all()).exit_code()
}
