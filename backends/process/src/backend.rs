use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use brizo_backend::facts::{Facts, Seen, Started, VoidCause, waiting_for_slot};
use brizo_backend::{
    Backend, ByteRange, ByteStream, Capability, Job, JobFilter, JobId, JobPage, JobSpec, LogChunk, LogOptions,
    OutputPage, OutputPath, Owner, Page, Phase, Plan, Quotas, Result, Schemes,
};
use brizo_confine::Wall;
use brizo_journal::{Journal, Keys, Submitted};
use brizo_runner::run::enforcement;
use futures::stream::BoxStream;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::admission::Kept;
use crate::config::{NetworkConfig, ProcessConfig};
use crate::drive::{self, Attempts};
use crate::error::{blocking, not_found};
use crate::folder::Folder;
use crate::probe::{self, Probe};

/// What a backend is told besides its own configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose jobs these are: a name for a folder, such as the provider's address.
    pub provider: String,
    /// How many jobs, and how much of them.
    pub quotas: Quotas,
    /// How long an ended job is kept.
    pub keep: Duration,
    /// Under which the secrets of jobs are sealed.
    pub keys: Keys,
}

/// Whether this process has made itself a place among the cgroups.
static PREPARED: Once = Once::new();

/// Runs each algorithm as a sandboxed process of this host. A clone is the same backend.
#[derive(Clone)]
pub struct ProcessBackend(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: ProcessConfig,
    pub(crate) provider: String,
    pub(crate) quotas: Quotas,
    pub(crate) keep: Duration,
    pub(crate) journal: Journal,
    /// What the sandbox of this host is like, or why there is none.
    pub(crate) probe: Result<Probe, String>,
    /// Something was submitted, stopped or deleted here, or a shim of ours ended.
    pub(crate) wake: Notify,
    /// What was changed here, for those who watch here.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) attempts: Mutex<Attempts>,
    pub(crate) kept: Mutex<Option<Kept>>,
}

impl std::fmt::Debug for ProcessBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessBackend")
            .field("provider", &self.0.provider)
            .field("state_dir", &self.0.config.state_dir)
            .finish_non_exhaustive()
    }
}

impl ProcessBackend {
    /// Opens it, and tries once whether this host can build a sandbox. Where it can't, jobs can still be read, and
    /// [`health`](Backend::health) says why none runs.
    pub async fn open(config: ProcessConfig, settings: Settings) -> Result<Self> {
        let Settings { provider, quotas, keep, keys } = settings;
        let (state_dir, named) = (config.state_dir.clone(), provider.clone());
        PREPARED.call_once(brizo_confine::prepare_cgroups);
        let journal = blocking("open", move || Journal::local(&state_dir, &named, keys)).await??;
        let probed = config.clone();
        let probe = blocking("open", move || Probe::of(&probed)).await?;
        if let Err(line) = &probe {
            tracing::error!(%line, "No algorithm can run on this host.");
        }
        let config =
            ProcessConfig { state_dir: std::path::absolute(&config.state_dir).unwrap_or(config.state_dir), ..config };
        Ok(Self(Arc::new(Inner {
            config,
            provider,
            quotas,
            keep,
            journal,
            probe,
            wake: Notify::new(),
            changed: watch::Sender::new(()),
            attempts: Mutex::new(HashMap::new()),
            kept: Mutex::new(None),
        })))
    }

    /// What is wrong with this configuration on this host: a line each, with its remedy. Tries the sandbox.
    pub async fn check(config: &ProcessConfig) -> Vec<String> {
        let config = config.clone();
        blocking("check", move || probe::check(&config)).await.unwrap_or_else(|error| vec![error.to_string()])
    }
}

impl Inner {
    /// Where the steps of a job leave their marks.
    pub(crate) fn folder(&self, id: &JobId) -> Folder {
        Folder::of(self.journal.folder(id).unwrap_or_default())
    }

    /// The facts of a job that has not been deleted.
    pub(crate) async fn living(&self, operation: &'static str, id: &JobId) -> Result<Facts> {
        let facts = self.journal.facts(id).await?.filter(|facts| facts.deleted.is_none());
        facts.ok_or_else(|| not_found(operation, id))
    }

    /// The job as it is shown.
    pub(crate) async fn view(&self, facts: Facts) -> Result<Job> {
        if facts.ended.is_some() {
            return Ok(facts.job(&Seen::default()));
        }
        let folder = self.folder(&facts.submitted.id);
        let mut seen = blocking("get", move || folder.seen()).await?;
        if seen.provisioning.is_none() && seen.waiting.is_none() && facts.started.is_none() {
            seen.waiting = Some(waiting_for_slot(&facts.submitted));
        }
        Ok(facts.job(&seen))
    }

    pub(crate) async fn job(&self, operation: &'static str, id: &JobId) -> Result<Job> {
        let facts = self.living(operation, id).await?;
        self.view(facts).await
    }

    /// Tells the driver and the watchers of this process.
    pub(crate) fn notify(&self) {
        self.wake.notify_one();
        self.changed.send_replace(());
    }
}

#[async_trait]
impl Backend for ProcessBackend {
    fn capability(&self) -> Capability {
        let probe = self.0.probe.as_ref().ok();
        let stands = |wall| probe.is_some_and(|probe| probe.stands(wall));
        Capability {
            logs_follow: true,
            stop_grace: true,
            gpu: false,
            unix_sockets: true,
            network: self.0.config.network == NetworkConfig::Host,
            container_checksum: false,
            images: false,
            memory_hard: stands(Wall::CgroupMemory),
            disk_hard: false,
            usage: true,
            inputs: Schemes { file: true, http: true, ..Schemes::default() },
            results: Schemes { file: true, ..Schemes::default() },
            network_namespace: stands(Wall::NetworkNamespace),
            network_policy: false,
            seccomp: stands(Wall::Seccomp),
            landlock: stands(Wall::LandlockFiles),
        }
    }

    async fn health(&self) -> Result<()> {
        if let Err(line) = &self.0.probe {
            return Err(probe::refused("health", line));
        }
        self.0.journal.health().await
    }

    async fn preflight(&self, spec: &JobSpec) -> Result<Plan> {
        const OPERATION: &str = "preflight";
        spec.check(OPERATION)?;
        self.0.check_ability(spec, OPERATION)?;
        self.0.check_room(spec, OPERATION).await?;
        let Ok(probe) = &self.0.probe else { return Ok(Plan::default()) };
        let limits = enforcement(&spec.limits, probe.reports());
        Ok(Plan { image_digest: None, limits, walls: probe.walls() })
    }

    async fn submit(&self, spec: &JobSpec) -> Result<Job> {
        const OPERATION: &str = "submit";
        spec.check(OPERATION)?;
        // A retry gets the job that exists, whatever became of the configuration since.
        let known =
            self.0.journal.facts(&spec.id).await?.is_some() || self.0.journal.tombstone(&spec.id).await?.is_some();
        if !known {
            self.0.check_ability(spec, OPERATION)?;
            self.0.check_room(spec, OPERATION).await?;
        }
        match self.0.journal.submit(spec).await? {
            Submitted::New(facts) => {
                self.0.notify();
                let seen = Seen { waiting: Some(waiting_for_slot(&facts.submitted)), ..Seen::default() };
                Ok(facts.job(&seen))
            }
            Submitted::Existing(facts) => self.0.view(facts).await,
        }
    }

    async fn get(&self, id: &JobId) -> Result<Job> {
        self.0.job("get", id).await
    }

    async fn tombstone(&self, id: &JobId) -> Result<Option<Owner>> {
        self.0.journal.tombstone(id).await
    }

    async fn list(&self, filter: &JobFilter, page: &Page) -> Result<JobPage> {
        self.0.journal.list(filter, page, |facts| self.0.view(facts)).await
    }

    async fn stop(&self, id: &JobId) -> Result<Job> {
        let facts = self.0.journal.stop(id).await?;
        if facts.ended.is_none() && facts.started.is_none() && brizo_journal::may_drive(&facts) {
            drive::stop_queued(&self.0, &facts).await?;
        }
        self.0.notify();
        self.0.job("stop", id).await
    }

    async fn delete(&self, id: &JobId) -> Result<()> {
        if self.0.journal.delete(id).await?.is_some() {
            self.0.notify();
            drive::delete_now(&self.0, id).await?;
            self.0.notify();
        }
        Ok(())
    }

    async fn logs(&self, id: &JobId, options: &LogOptions) -> Result<BoxStream<'static, Result<LogChunk>>> {
        self.0.living("logs", id).await?;
        Ok(crate::logs::stream(self.0.clone(), *id, *options))
    }

    async fn outputs(&self, id: &JobId, page: &Page) -> Result<OutputPage> {
        crate::outputs::page(&self.0, id, page).await
    }

    async fn read_output(&self, id: &JobId, path: &OutputPath, range: Option<ByteRange>) -> Result<ByteStream> {
        crate::outputs::read(&self.0, id, path, range).await
    }

    fn watch(&self, id: &JobId) -> BoxStream<'static, Result<Job>> {
        crate::watch::stream(self.0.clone(), *id)
    }

    async fn drive(&self, may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) -> Result<()> {
        drive::drive(self.0.clone(), may_sweep, shutdown).await
    }
}

/// The fact that a job does not run, for this cause, from now on.
pub(crate) fn void(inner: &Inner, cause: VoidCause) -> Started {
    Started::Void { at: inner.journal.now(), cause }
}

/// Whether nothing more will come of it.
pub(crate) fn is_over(job: &Job) -> bool {
    matches!(job.phase, Phase::Succeeded | Phase::Failed | Phase::Stopped)
}
