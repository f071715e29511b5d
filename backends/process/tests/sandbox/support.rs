use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brizo_backend::{
    Algorithm, AlgorithmKind, Backend, Dataset, Deadlines, Image, Input, Job, JobId, JobSpec, Limits, LogOptions,
    LogStream, Quotas, RequestDigest, Result, SPEC_VERSION, Secrets, Source, now,
};
use brizo_journal::Keys;
use brizo_process::{ProcessBackend, ProcessConfig, Settings};
use futures::StreamExt as _;
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A trial that runs in a runtime of its own.
pub(crate) fn trial<F: Future<Output = ()> + 'static>(name: &'static str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(())
    })
}

/// A state folder, removed at the end.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) async fn gateway(&self) -> Gateway {
        Gateway::open(&self.state_dir()).await
    }
}

/// A gateway.
pub(crate) struct Gateway {
    pub(crate) backend: ProcessBackend,
    shutdown: CancellationToken,
    _may_sweep: watch::Sender<bool>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        provider: "0xprovider".to_owned(),
        quotas: Quotas { disk_reserve_bytes: 1 << 20, ..Quotas::default() },
        keep: Duration::from_hours(1),
        keys: Keys::new(&[7; 32], &[]),
    }
}

impl Gateway {
    /// One that drives nothing.
    pub(crate) async fn idle(state_dir: &Path) -> Self {
        let config = ProcessConfig { state_dir: state_dir.to_owned(), ..ProcessConfig::default() };
        let backend = ProcessBackend::open(config, settings()).await.unwrap();
        Self { backend, shutdown: CancellationToken::new(), _may_sweep: watch::channel(true).0 }
    }

    /// One that drives.
    pub(crate) async fn open(state_dir: &Path) -> Self {
        Self::with(ProcessConfig { state_dir: state_dir.to_owned(), ..ProcessConfig::default() }).await
    }

    /// One that drives, configured so.
    pub(crate) async fn with(config: ProcessConfig) -> Self {
        let backend = ProcessBackend::open(config, settings()).await.unwrap();
        let shutdown = CancellationToken::new();
        let (may_sweep, receiver) = watch::channel(true);
        let (driven, cancelled) = (backend.clone(), shutdown.clone());
        tokio::spawn(async move { driven.drive(receiver, cancelled).await });
        Self { backend, shutdown, _may_sweep: may_sweep }
    }

    pub(crate) async fn until(&self, id: &JobId, what: &str, is: impl Fn(&Job) -> bool) -> Job {
        let limit = Instant::now() + PATIENCE;
        loop {
            let job = self.backend.get(id).await.unwrap();
            if is(&job) {
                return job;
            }
            assert!(Instant::now() < limit, "no {what}: {job:#?}");
            assert!(!job.phase.is_end(), "no {what}, and it has ended: {job:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn run(&self, spec: &JobSpec) -> Job {
        self.backend.submit(spec).await.unwrap();
        self.until(&spec.id, "end", |job| job.phase.is_end()).await
    }

    pub(crate) async fn log(&self, id: &JobId, stream: Option<LogStream>, follow: bool) -> String {
        let options = LogOptions { stream, offset: 0, follow };
        let chunks: Vec<_> = self.backend.logs(id, &options).await.unwrap().collect().await;
        let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.unwrap().bytes.to_vec()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has printed this.
    pub(crate) async fn until_printed(&self, id: &JobId, text: &str) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let log = self.log(id, None, false).await;
            if log.contains(text) {
                return;
            }
            assert!(Instant::now() < limit, "{text} was not printed, but {log:?}: {:#?}", self.backend.get(id).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs it, and returns what it printed.
    pub(crate) async fn printed(&self, spec: &JobSpec) -> String {
        let job = self.run(spec).await;
        let log = self.log(&spec.id, None, false).await;
        assert_eq!(job.reason, None, "{log}");
        log
    }

    pub(crate) async fn output(&self, id: &JobId, path: &str) -> Result<Vec<u8>> {
        let mut stream = self.backend.read_output(id, &path.parse().unwrap(), None).await?.stream;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }
}

/// Bytes of their own.
pub(crate) fn inline(code: &str) -> Input {
    Input { source: Source::Inline { code: code.to_owned() }, sha256: None, max_bytes: None }
}

/// A job that runs `code` in `image` by `entrypoint`, with one dataset of one file.
pub(crate) fn job(image: &str, entrypoint: &str, code: &str) -> JobSpec {
    JobSpec {
        version: SPEC_VERSION,
        id: JobId::random(),
        owner: "0xconsumer".parse().unwrap(),
        request: RequestDigest("1:aa".to_owned()),
        created_at: now(),
        datasets: vec![Dataset { did: "did:op:abc".to_owned(), agreement: "0xagreement".parse().unwrap(), files: 1 }],
        algorithm: Algorithm {
            kind: AlgorithmKind::Raw,
            did: None,
            sha256: None,
            image: Image { name: image.to_owned(), tag: "1".to_owned(), checksum: None },
            entrypoint: entrypoint.to_owned(),
        },
        limits: Limits {
            cpu_millis: 1000,
            memory_bytes: 512 << 20,
            disk_bytes: 256 << 20,
            outputs_bytes: 256 << 20,
            wall_time_s: 60,
            gpu: 0,
        },
        deadlines: Deadlines { queue_s: 600, provisioning_s: 60, publishing_s: 60 },
        network: false,
        secrets: Secrets { inputs: vec![vec![inline("the data")]], algorithm: Some(inline(code)) },
    }
}

/// A shell script.
pub(crate) fn sh(code: &str) -> JobSpec {
    job("sh", "sh $ALGO", code)
}

/// A Python program.
pub(crate) fn python(code: &str) -> JobSpec {
    job("python", "python3 $ALGO", code)
}
