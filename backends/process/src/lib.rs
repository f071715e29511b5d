//! The process backend: the embedded default, for trying it, for tests, and for a small publisher with one machine and no
//! daemon. Each algorithm runs as a sandboxed process of this host.
//!
//! Jobs are a journal in a folder of a local disk; several gateways may share it. Each running job has one small shim,
//! which is this program executed again ([`dispatch`]) and outlives the gateway.
//!
//! Its honest limits: images are names of runtimes of this host, and a container's checksum is refused. Disk is counted,
//! not limited by the kernel, so that an algorithm may pass its limit for a moment; so is memory where no cgroup can be
//! written. Nothing runs where the kernel gives no namespaces. A job whose shim is killed is Failed(Interrupted).

mod admission;
mod backend;
mod config;
mod drive;
mod end;
mod error;
mod folder;
mod logs;
mod outputs;
mod probe;
mod runtime;
mod sandbox;
mod shim;
mod slot;
mod spec;
mod watch;

pub use backend::{ProcessBackend, Settings};
pub use brizo_journal::Keys;
pub use config::{NetworkConfig, ProcessConfig, RuntimeConfig};

/// To be called first of all in `main` of every program that opens a [`ProcessBackend`], before any thread, runtime or
/// TLS exists: in a shim, a fetcher or a sandbox, which are this program executed again, it never returns.
pub fn dispatch() {
    brizo_confine::dispatch();
    let name = std::env::args_os().next().unwrap_or_default();
    let code = match name.to_str() {
        Some(shim::SHIM) => shim::main(),
        Some(shim::STAGE) => shim::stage_main(),
        _ => return,
    };
    #[expect(clippy::disallowed_methods, reason = "a shim holds nothing that a destructor would have to save")]
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}
