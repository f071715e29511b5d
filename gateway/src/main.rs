//! The `brizo` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a shim, a fetcher and a sandbox are this program executed again, before any thread exists.
    #[cfg(feature = "process")]
    brizo_process::dispatch();
    // One TLS stack; a second call can't come.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    brizo::cli::main()
}
