use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brizo_backend::{Backend, Image, JobId, JobSpec, Quotas, Source};

use crate::Failure;

/// What a backend's test binary brings.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// The backend's type as the configuration names it (`process`, `docker`, …): it selects what it must be capable of.
    fn backend_type(&self) -> &'static str;

    /// How long a condition may take to come true before it counts as failed. Longer than one pass of `drive`.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }

    /// How many trials run at once unless the command line says otherwise.
    fn trials_at_once(&self) -> usize {
        4
    }

    /// A new, empty state: that of a provider of its own. Every trial takes one or more, several at once, and drops
    /// them at its end.
    async fn site(&self, settings: &Settings) -> Result<Arc<dyn Site>, Failure>;
}

/// How a site's gateways are configured; all of them the same.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The backend's quotas.
    pub quotas: Quotas,
    /// How long an ended job is kept. Retention must be looked at well within [`Harness::patience`].
    pub keep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let quotas = Quotas { disk_reserve_bytes: 1 << 20, ..Quotas::default() };
        Self { quotas, keep: Duration::from_hours(30 * 24) }
    }
}

/// The state of one provider's backend, and what is around it.
#[async_trait]
pub trait Site: Send + Sync {
    /// One more gateway's backend over this state: as after a start of `serve`, without memory of those before it.
    /// The suite calls its `drive`, or does not; it drops it as a gateway that is killed would.
    async fn open(&self) -> brizo_backend::Result<Arc<dyn Backend>>;

    /// Puts a file where the publisher's files are; `name` is part of its path or URL and of nothing else.
    async fn publish(&self, name: &str, bytes: &[u8]) -> Result<Source, Failure>;

    /// Where a file of this name would be, if it were there.
    fn absent(&self, name: &str) -> Source;

    /// An image that has `sh`, coreutils (or busybox) and nothing unusual.
    fn image(&self) -> Image;

    /// How many processes carry this tag in their command line, wherever the site's jobs run. See [`tagged_processes`].
    fn running(&self, tag: &str) -> usize {
        tagged_processes(tag)
    }

    /// The name or address by which a job's fetching reaches this machine.
    fn host(&self) -> String {
        "127.0.0.1".to_owned()
    }

    /// Destroys what runs a running job, as a fault of the host would (its runner, container or pod is killed, with all
    /// that it started), and leaves what is stored. Whether it could.
    async fn destroy(&self, id: &JobId) -> Result<bool, Failure>;

    /// What there still is of this job besides its tombstone: files, containers, volumes, index entries, processes,
    /// each in words. Outputs and inputs too.
    async fn remains(&self, id: &JobId) -> Result<Vec<String>, Failure>;

    /// Every durable fact and record of the site in the form in which it is stored, with its name: what somebody who
    /// reads the store sees. Without outputs, logs, staged inputs, and what is sealed under a key of the gateway's.
    async fn facts(&self) -> Result<Vec<(String, Vec<u8>)>, Failure>;

    /// Commits this specification as a gateway of the next version would: `version` is greater than this program's, and
    /// it may have fields that this program does not know.
    async fn plant_newer(&self, spec: &JobSpec) -> Result<(), Failure>;
}

/// How many processes of this host have `tag` in their command line: those of a sandbox too, which the host sees.
pub fn tagged_processes(tag: &str) -> usize {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit())))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.windows(tag.len()).any(|part| part == tag.as_bytes()))
        .count()
}
