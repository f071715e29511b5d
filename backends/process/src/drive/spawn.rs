use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use brizo_backend::facts::Facts;
use brizo_backend::{Error, ErrorKind, JobId, JobSpec, Result};
use jiff::{SignedDuration, Timestamp};
use tokio::process::Command;

use super::attempts;
use crate::backend::Inner;
use crate::error::{blocking, folder};
use crate::folder::{Folder, Mark};
use crate::runtime::Runtime;
use crate::shim::SHIM;
use crate::slot;
use crate::spec::{ShimSpec, sealed};

/// What of the gateway's environment a shim gets, for what it fetches from the publisher's stores: how to reach them.
const KEPT: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Makes a shim for a job, unless it has one, or the last one failed just now.
pub(super) async fn shim(inner: &Arc<Inner>, facts: &Facts, work: Folder) -> Result<()> {
    let spec = facts.submitted.clone();
    let id = spec.id;
    let left = work.clone();
    let Some(lock) = lock(inner, id, work).await? else { return Ok(()) };
    let due = inner.attempts.lock().is_ok_and(|mut attempts| attempts::is_due(&mut attempts, id, Instant::now()));
    if !due {
        return Ok(());
    }
    let prepared = prepare(inner, spec).await?;
    let child = blocking("drive", move || start(lock, prepared)).await?;
    let mut child = child.map_err(|error| folder("drive", &id, error))?;
    inner.changed.send_replace(());
    let inner = inner.clone();
    // Reaps it, and looks at once what became of the job. Ended here or not, the shim goes on without us.
    tokio::spawn(async move {
        let status = child.wait().await;
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            tracing::warn!(job = %id, ?status, trouble = left.trouble(), "The shim of a job ended before the job.");
        }
        inner.notify();
    });
    Ok(())
}

/// The lock of a job that is to be run, marked as taken out of the queue; `None` if somebody is at it, or it is over.
async fn lock(inner: &Inner, id: JobId, work: Folder) -> Result<Option<File>> {
    let now = inner.journal.now();
    let lock = move || -> io::Result<Option<File>> {
        if work.has_fact("deleted") || work.has_fact("ended") {
            return Ok(None);
        }
        work.create()?;
        let Some(lock) = work.lock()? else { return Ok(None) };
        if work.has_fact("deleted") {
            // It came between: what was just made would be left behind.
            work.remove()?;
            return Ok(None);
        }
        if work.has_fact("ended") {
            return Ok(None);
        }
        work.mark(Mark::Provisioning, now)?;
        Ok(Some(lock))
    };
    match blocking("drive", lock).await? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        lock => lock.map_err(|error| folder("drive", &id, error)),
    }
}

/// All that the shim is told, but the uid.
async fn prepare(inner: &Inner, job: JobSpec) -> Result<(ShimSpec, Option<u32>)> {
    if let Err(line) = &inner.probe {
        return Err(Error::new(ErrorKind::Unavailable, "drive", line.clone()));
    }
    let runtime = Runtime::of(&inner.config.runtimes, &job.algorithm.image, "drive")?;
    let secrets = inner.journal.secrets(&job.id).await?;
    let provisioning = SignedDuration::from_secs(i64::try_from(job.deadlines.provisioning_s).unwrap_or(i64::MAX));
    let (work, now) = (inner.folder(&job.id), inner.journal.now());
    let since = blocking("drive", move || work.seen().provisioning).await?.unwrap_or(now);
    let deadline = since.checked_add(provisioning).unwrap_or(Timestamp::MAX);
    let network = job.network && inner.config.network == crate::NetworkConfig::Host;
    let spec = ShimSpec {
        state_dir: inner.config.state_dir.clone(),
        provider: inner.provider.clone(),
        job,
        secrets,
        runtime,
        uid: None,
        network,
        deadline,
    };
    let first_uid = nix::unistd::Uid::effective().is_root().then_some(inner.config.first_uid);
    Ok((spec, first_uid))
}

/// Executes this program again, with the lock, the specification and the uid's holder in the places of the three
/// standard streams: no other child can inherit them by accident.
fn start(lock: File, (mut spec, first_uid): (ShimSpec, Option<u32>)) -> io::Result<tokio::process::Child> {
    let slot = first_uid.map(slot::take).transpose()?;
    spec.uid = slot.as_ref().map(|slot| slot.uid);
    let held = match slot {
        Some(slot) => slot.held,
        None => OwnedFd::from(File::open("/dev/null")?),
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg0(SHIM).env_clear().current_dir("/");
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::from(lock)).stdout(Stdio::from(sealed(&spec)?)).stderr(Stdio::from(held));
    command.spawn()
}
