//! The sandbox of one job: what it sees of this host, who it is, and what it may use.

use std::collections::BTreeMap;
use std::path::Path;

use brizo_backend::Limits;
use brizo_confine::{Identity, Link, Network, Sandbox, Tmpfs};
use brizo_runner::environment::{EntrypointError, Known, USER, command, environment};
use brizo_runner::layout::{HOME, INPUTS, LOGS, Layout, OUTPUTS, TMP, TRANSFORMATIONS};
use brizo_runner::run::processes_limit;

use crate::runtime::{BIN, Runtime};
use crate::spec::ShimSpec;

/// Open files of one process.
const OPEN_FILES: u64 = 4096;

/// The sandbox of the job that `spec` describes, whose folder is `layout`.
pub(crate) fn of(spec: &ShimSpec, layout: &Layout) -> Result<Sandbox, EntrypointError> {
    let job = &spec.job;
    let known = Known {
        datasets: job.datasets.iter().map(|dataset| dataset.folder().to_owned()).collect(),
        algorithm_did: job.algorithm.did.clone(),
        cpu_millis: job.limits.cpu_millis,
        path: spec.runtime.path(),
    };
    let argv = command(&job.algorithm.entrypoint, spec.runtime.has_shell())?;
    let mut sandbox = bare(&job.id.to_string(), spec.uid, argv, &spec.runtime, &job.limits)
        .read_only(layout.inputs(), INPUTS)
        .read_only(layout.transformations(), TRANSFORMATIONS)
        .writable(layout.outputs(), OUTPUTS)
        .writable(layout.logs(), LOGS);
    if spec.network {
        sandbox.network = Network::Host;
    }
    for (name, value) in environment(&known, &BTreeMap::new()) {
        sandbox = sandbox.env(name, value);
    }
    sandbox.cwd = OUTPUTS.into();
    Ok(sandbox)
}

/// All of a sandbox but the job's own folders: what is tried out before any job is accepted.
pub(crate) fn bare(name: &str, uid: Option<u32>, argv: Vec<String>, runtime: &Runtime, limits: &Limits) -> Sandbox {
    let identity = uid.map_or(Identity::Own, |uid| Identity::Slot { uid, gid: uid });
    let mut sandbox = Sandbox::new(name, identity, argv);
    USER.clone_into(&mut sandbox.user);
    sandbox.home = HOME.into();
    // Memory that is written to counts as memory: no more of it than there may be.
    let memory = |target: &str| Tmpfs { target: target.into(), bytes: limits.memory_bytes, inodes: 65_536 };
    sandbox.tmpfs = [TMP, "/dev/shm", HOME].map(memory).into();
    for root in &runtime.roots {
        sandbox = sandbox.runtime_root(root);
    }
    for name in &runtime.names {
        sandbox.links.push(Link { path: Path::new(BIN).join(name), target: runtime.command.clone() });
    }
    let cores = u32::try_from(limits.cpu_millis.div_ceil(1000)).unwrap_or(u32::MAX);
    sandbox.limits = brizo_confine::Limits {
        memory_bytes: Some(limits.memory_bytes),
        cpu_millis: Some(limits.cpu_millis),
        processes: Some(processes_limit(limits)),
        file_bytes: Some(limits.disk_bytes),
        open_files: Some(OPEN_FILES),
        data_bytes: None,
        cores: Some(cores),
        first_core: uid.unwrap_or(0),
    };
    sandbox
}
