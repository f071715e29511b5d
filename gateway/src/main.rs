//! The `brizo` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    brizo::cli::main()
}
