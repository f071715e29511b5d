//! Journals, specifications and a clock for the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use brizo_backend::facts::{Ended, Facts, Seen};
use brizo_backend::{
    Algorithm, AlgorithmKind, Dataset, Deadlines, Image, Input, Job, JobFilter, JobId, JobPage, JobSpec, Limits,
    LogTotals, Page, Phase, RequestDigest, Result, SPEC_VERSION, Secrets, Source,
};
use brizo_journal::{Journal, Keys};
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;

pub(crate) const PROVIDER: &str = "0x00Bd138aBD70e2F00903268F3Db08f2D25677C9e";
pub(crate) const SECRET: &str = "https://data.example/private?token=t0p";

pub(crate) fn keys() -> Keys {
    Keys::new(&[7; 32], &[])
}

pub(crate) fn id(n: u64) -> JobId {
    format!("{n:032x}").parse().unwrap()
}

pub(crate) fn spec(n: u64, owner: &str) -> JobSpec {
    let source = Source::PublisherUrl { url: SECRET.to_owned() };
    JobSpec {
        version: SPEC_VERSION,
        id: id(n),
        owner: owner.parse().unwrap(),
        request: RequestDigest(format!("1:{n:064x}")),
        created_at: Timestamp::UNIX_EPOCH,
        datasets: vec![Dataset { did: format!("did:op:{n:064x}"), agreement: agreement(n), files: 1 }],
        algorithm: Algorithm {
            kind: AlgorithmKind::Raw,
            did: None,
            sha256: None,
            image: Image { name: "python".to_owned(), tag: "3.11".to_owned(), checksum: None },
            entrypoint: "python $ALGO".to_owned(),
        },
        limits: Limits { cpu_millis: 1000, memory_bytes: 1, disk_bytes: 1, outputs_bytes: 1, wall_time_s: 1, gpu: 0 },
        deadlines: Deadlines { queue_s: 1, provisioning_s: 1, publishing_s: 1 },
        network: false,
        secrets: Secrets {
            inputs: vec![vec![Input { source, sha256: None, max_bytes: None }]],
            algorithm: Some(Input {
                source: Source::Inline { code: "print(1)\n".repeat(10) },
                sha256: None,
                max_bytes: None,
            }),
        },
    }
}

pub(crate) fn agreement(n: u64) -> brizo_backend::Agreement {
    format!("0xagreement{}", n % 3).parse().unwrap()
}

pub(crate) fn ended(facts: &Facts, phase: Phase, at: Timestamp) -> Ended {
    Ended {
        at,
        phase,
        reason: (phase == Phase::Failed).then(|| brizo_backend::Reason::exit_code(3)),
        transitions: facts.transitions_to_end(&Seen::default(), phase, at),
        walls: Vec::new(),
        limits: Vec::new(),
        usage: None,
        algorithm_sha256: None,
        manifest: None,
        log: LogTotals { stdout_bytes: 5, stderr_bytes: 1 },
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_790_000_000_000)))
    }

    pub(crate) fn pass(&self, time: SignedDuration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn on(&self, journal: Journal) -> Journal {
        let hand = self.clone();
        journal.with_clock(Arc::new(move || hand.now()))
    }
}

/// Where a journal of the tests lies. Each test runs on both.
pub(crate) enum Place {
    Folder(tempfile::TempDir),
    Objects(Arc<dyn ObjectStore>),
}

impl Place {
    pub(crate) fn both() -> [Self; 2] {
        [Self::Folder(tempfile::tempdir().unwrap()), Self::Objects(Arc::new(object_store::memory::InMemory::new()))]
    }

    /// A journal as another gateway would open it.
    pub(crate) fn journal(&self) -> Journal {
        match self {
            Self::Folder(folder) => Journal::local(folder.path(), PROVIDER, keys()).unwrap(),
            Self::Objects(objects) => Journal::over(objects.clone(), PROVIDER, keys()).unwrap(),
        }
    }

    /// The paths of all files, without the staging folder, which must be empty.
    pub(crate) async fn files(&self) -> Vec<String> {
        use futures::TryStreamExt;
        let listed = match self {
            Self::Folder(folder) => {
                object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap().list(None)
            }
            Self::Objects(objects) => objects.list(None),
        };
        let mut files: Vec<_> = listed.map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
        files.sort();
        files
    }
}

pub(crate) async fn list(journal: &Journal, filter: &JobFilter, limit: u32, cursor: Option<String>) -> Result<JobPage> {
    let page = Page { limit, cursor };
    journal.list(filter, &page, |facts| async move { Ok(facts.job(&Seen::default())) }).await
}

/// All pages, one after the other.
pub(crate) async fn pages(journal: &Journal, filter: &JobFilter, limit: u32) -> Vec<Vec<Job>> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(journal, filter, limit, cursor).await.unwrap();
        pages.push(page.jobs);
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
    }
}
