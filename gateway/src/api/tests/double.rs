//! A backend and a desk in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use brizo_backend::facts::{Ended, Facts, ManifestFact, Seen, Started, Stop};
use brizo_backend::{
    Algorithm, AlgorithmKind, Backend, ByteRange, ByteStream, Capability, Dataset, Deadlines, Error, ErrorKind, Image,
    Job, JobFilter, JobId, JobPage, JobSpec, LimitFact, LogChunk, LogOptions, LogStream, LogTotals, Output, OutputPage,
    OutputPath, OutputTotals, Owner, Page, Phase, Plan, Reason, RequestDigest, Result, SPEC_VERSION, Secrets,
    SkipReason, Skipped, WallFact, WallState, now,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::LIMITS;
use crate::problem::{Code, Problem};
use crate::service::{self, AlgorithmForm, KeeperView, StartRequest};
use crate::types::{Address, Did, show_address};

pub(super) const CHAIN_ID: u64 = 31_337;

#[derive(Debug, Clone)]
struct Kept {
    facts: Facts,
    seen: Seen,
    log: Vec<(LogStream, Vec<u8>)>,
    outputs: BTreeMap<String, Vec<u8>>,
}

/// Jobs in memory, which go on only when a test says so.
#[derive(Debug)]
pub(super) struct Memory {
    jobs: Mutex<BTreeMap<JobId, Kept>>,
    deleted: Mutex<BTreeMap<JobId, Owner>>,
    changed: watch::Sender<()>,
    pub(super) fail_submit: Mutex<Option<ErrorKind>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            jobs: Mutex::default(),
            deleted: Mutex::default(),
            changed: watch::Sender::new(()),
            fail_submit: Mutex::default(),
        }
    }
}

fn missing(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "there is no such job")
}

impl Memory {
    pub(super) fn count(&self) -> usize {
        self.jobs.lock().unwrap().len()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Kept)) {
        change(self.jobs.lock().unwrap().get_mut(&id.parse().unwrap()).unwrap());
        self.changed.send_replace(());
    }

    pub(super) fn run(&self, id: &str) {
        self.change(id, |job| {
            job.seen.provisioning = Some(now());
            job.seen.configuring = Some(now());
            job.facts.started = Some(Started::Run { at: now(), image_digest: None });
        });
    }

    pub(super) fn say(&self, id: &str, stream: LogStream, bytes: &[u8]) {
        self.change(id, |job| job.log.push((stream, bytes.to_vec())));
    }

    pub(super) fn end(&self, id: &str, reason: Option<Reason>) {
        self.change(id, |job| {
            let phase = match &reason {
                Some(_) => Phase::Failed,
                None if job.facts.stop.is_some() => Phase::Stopped,
                None => Phase::Succeeded,
            };
            let bytes = job.outputs.values().map(|bytes| bytes.len() as u64).sum();
            job.facts.ended = Some(Ended {
                at: now(),
                phase,
                reason,
                transitions: job.facts.transitions_to_end(&job.seen, phase, now()),
                walls: vec![WallFact { name: "seccomp".to_owned(), state: WallState::Standing }],
                limits: limits(),
                usage: None,
                algorithm_sha256: None,
                manifest: Some(ManifestFact {
                    totals: OutputTotals { count: job.outputs.len() as u64, bytes, skipped: 1 },
                    sha256: String::new(),
                }),
                log: LogTotals::default(),
            });
        });
    }

    pub(super) fn publish(&self, id: &str, path: &str, bytes: &[u8]) {
        self.change(id, |job| {
            job.outputs.insert(path.to_owned(), bytes.to_vec());
        });
    }

    fn with<T>(&self, operation: &'static str, id: &JobId, read: impl FnOnce(&mut Kept) -> T) -> Result<T> {
        self.jobs.lock().unwrap().get_mut(id).map(read).ok_or_else(|| missing(operation))
    }
}

fn limits() -> Vec<LimitFact> {
    vec![LimitFact { name: "memory".to_owned(), value: 1, enforced_by: "cgroup".to_owned(), soft: false }]
}

fn output(path: &str, bytes: &[u8]) -> Output {
    Output { path: path.parse().unwrap(), bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

fn offset_of(cursor: Option<&str>) -> Result<usize> {
    cursor.map_or(Ok(0), |text| {
        text.parse().map_err(|_| Error::new(ErrorKind::InvalidCursor, "list", "the cursor is none of this gateway's"))
    })
}

#[async_trait]
impl Backend for Memory {
    fn capability(&self) -> Capability {
        Capability { logs_follow: true, seccomp: true, ..Capability::default() }
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    async fn preflight(&self, _spec: &JobSpec) -> Result<Plan> {
        Ok(Plan { image_digest: Some("sha256:00".to_owned()), limits: limits(), walls: Vec::new() })
    }

    async fn submit(&self, spec: &JobSpec) -> Result<Job> {
        if let Some(kind) = *self.fail_submit.lock().unwrap() {
            return Err(Error::new(kind, "submit", "not now, and this is why"));
        }
        let mut jobs = self.jobs.lock().unwrap();
        let kept = jobs.entry(spec.id).or_insert_with(|| Kept {
            facts: Facts { submitted: spec.clone(), stop: None, started: None, ended: None, deleted: None },
            seen: Seen::default(),
            log: Vec::new(),
            outputs: BTreeMap::new(),
        });
        Ok(kept.facts.job(&kept.seen))
    }

    async fn get(&self, id: &JobId) -> Result<Job> {
        self.with("get", id, |kept| kept.facts.job(&kept.seen))
    }

    async fn tombstone(&self, id: &JobId) -> Result<Option<Owner>> {
        Ok(self.deleted.lock().unwrap().get(id).cloned())
    }

    async fn list(&self, filter: &JobFilter, page: &Page) -> Result<JobPage> {
        let offset = offset_of(page.cursor.as_deref())?;
        let mut jobs: Vec<_> = self.jobs.lock().unwrap().values().map(|kept| kept.facts.job(&kept.seen)).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.created_at), job.id));
        jobs.retain(|job| {
            filter.owner.as_ref().is_none_or(|owner| &job.owner == owner)
                && (filter.phases.is_empty() || filter.phases.contains(&job.phase))
                && filter.created_after.is_none_or(|after| job.created_at >= after)
                && filter
                    .agreement
                    .as_ref()
                    .is_none_or(|wanted| job.datasets.iter().any(|set| &set.agreement == wanted))
        });
        let end = (offset + page.limit as usize).min(jobs.len());
        let next = (end < jobs.len()).then(|| end.to_string());
        Ok(JobPage { jobs: jobs.get(offset..end).unwrap_or_default().to_vec(), next })
    }

    async fn stop(&self, id: &JobId) -> Result<Job> {
        let job = self.with("stop", id, |kept| {
            kept.facts.stop.get_or_insert(Stop { at: now() });
            kept.facts.job(&kept.seen)
        });
        self.changed.send_replace(());
        job
    }

    async fn delete(&self, id: &JobId) -> Result<()> {
        if let Some(kept) = self.jobs.lock().unwrap().remove(id) {
            self.deleted.lock().unwrap().insert(*id, kept.facts.submitted.owner);
        }
        self.changed.send_replace(());
        Ok(())
    }

    async fn logs(&self, id: &JobId, options: &LogOptions) -> Result<BoxStream<'static, Result<LogChunk>>> {
        let log = self.with("logs", id, |kept| kept.log.clone())?;
        let wanted = log.into_iter().filter(|(stream, _)| options.stream.is_none_or(|wanted| wanted == *stream));
        let mut offset = 0;
        let mut chunks = Vec::new();
        for (stream, bytes) in wanted {
            let skip = usize::try_from(options.offset.saturating_sub(offset)).unwrap().min(bytes.len());
            let begin = offset + skip as u64;
            offset += bytes.len() as u64;
            if skip < bytes.len() {
                chunks.push(Ok(LogChunk {
                    stream,
                    offset: begin,
                    at: now(),
                    bytes: Bytes::copy_from_slice(&bytes[skip..]),
                }));
            }
        }
        let chunks = futures::stream::iter(chunks);
        Ok(if options.follow { chunks.chain(futures::stream::pending()).boxed() } else { chunks.boxed() })
    }

    async fn outputs(&self, id: &JobId, page: &Page) -> Result<OutputPage> {
        let offset = offset_of(page.cursor.as_deref())?;
        let items = self.with("outputs", id, |kept| {
            kept.outputs.iter().map(|(path, bytes)| output(path, bytes)).collect::<Vec<_>>()
        })?;
        let end = (offset + page.limit as usize).min(items.len());
        let next = (end < items.len()).then(|| end.to_string());
        let skipped = vec![Skipped { path: "x".to_owned(), why: SkipReason::SymbolicLink }];
        Ok(OutputPage { items: items[offset.min(end)..end].to_vec(), skipped, next })
    }

    async fn read_output(&self, id: &JobId, path: &OutputPath, range: Option<ByteRange>) -> Result<ByteStream> {
        let bytes = self
            .with("read_output", id, |kept| kept.outputs.get(path.as_str()).cloned())?
            .ok_or_else(|| missing("read_output"))?;
        let size = bytes.len() as u64;
        let wanted = match range {
            None => 0..size,
            Some(range) => {
                range.resolve(size).ok_or_else(|| Error::new(ErrorKind::Range, "read_output", "no such range"))?
            }
        };
        let part = bytes[usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap()].to_vec();
        let stream = futures::stream::iter([Ok(Bytes::from(part))]).boxed();
        Ok(ByteStream { output: output(path.as_str(), &bytes), range: wanted, stream })
    }

    fn watch(&self, id: &JobId) -> BoxStream<'static, Result<Job>> {
        // Ends with what is there now: the tests of streams ask again to see more, as a client that was cut does.
        let job = self.with("watch", id, |kept| kept.facts.job(&kept.seen));
        let ended = job.as_ref().map_or(true, |job| job.phase.is_end());
        let now = futures::stream::iter([job]);
        if ended { now.boxed() } else { now.chain(futures::stream::pending()).boxed() }
    }

    async fn drive(&self, _may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) -> Result<()> {
        shutdown.cancelled().await;
        Ok(())
    }
}

/// A desk that authorizes everybody, and counts how often it was asked.
#[derive(Debug, Default)]
pub(super) struct Desk {
    asked: AtomicUsize,
    refuse: Mutex<Option<(Code, &'static str)>>,
    down: Mutex<Option<&'static str>>,
    documents: Mutex<BTreeMap<Did, Bytes>>,
    last: Mutex<Option<StartRequest>>,
}

impl Desk {
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What it was asked last.
    pub(super) fn last(&self) -> StartRequest {
        self.last.lock().unwrap().clone().unwrap()
    }

    pub(super) fn refuse_with(&self, refusal: Option<(Code, &'static str)>) {
        *self.refuse.lock().unwrap() = refusal;
    }

    pub(super) fn fail_with(&self, text: Option<&'static str>) {
        *self.down.lock().unwrap() = text;
    }

    pub(super) fn publish(&self, did: &str, document: &'static str) {
        self.documents.lock().unwrap().insert(did.parse().unwrap(), Bytes::from_static(document.as_bytes()));
    }
}

#[async_trait]
impl service::Desk for Desk {
    async fn chain_id(&self) -> Result<u64, Problem> {
        Ok(CHAIN_ID)
    }

    fn keeper_view(&self) -> KeeperView {
        KeeperView {
            url: "http://node:8545".to_owned(),
            network: "development".to_owned(),
            contracts: vec![("OceanToken", Address::repeat_byte(0xab))],
        }
    }

    async fn ready(&self) -> Result<(), Problem> {
        self.down.lock().unwrap().map_or(Ok(()), |text| Err(Problem::new(Code::Unavailable, text)))
    }

    async fn prepare(
        &self,
        consumer: Address,
        request: StartRequest,
        id: JobId,
        digest: RequestDigest,
    ) -> Result<JobSpec, Problem> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some((code, text)) = *self.refuse.lock().unwrap() {
            return Err(Problem::new(code, text));
        }
        assert!(
            !matches!(request.algorithm, AlgorithmForm::Raw { ref code, .. } if code == "panic"),
            "as it was told to"
        );
        *self.last.lock().unwrap() = Some(request.clone());
        Ok(JobSpec {
            version: SPEC_VERSION,
            id,
            owner: show_address(&consumer).parse().unwrap(),
            request: digest,
            created_at: now(),
            datasets: request
                .agreements
                .iter()
                .map(|agreement| Dataset {
                    did: format!("did:op:{}", "cd".repeat(32)),
                    agreement: agreement.to_string().parse().unwrap(),
                    files: 1,
                })
                .collect(),
            algorithm: Algorithm {
                kind: AlgorithmKind::Raw,
                did: None,
                sha256: Some("00".repeat(32)),
                image: Image { name: "python".to_owned(), tag: "3.11".to_owned(), checksum: None },
                entrypoint: "python3 $ALGO".to_owned(),
            },
            limits: LIMITS,
            deadlines: Deadlines { queue_s: 1, provisioning_s: 1, publishing_s: 1 },
            network: false,
            secrets: Secrets::default(),
        })
    }

    async fn document(&self, did: &Did) -> Result<Option<Bytes>, Problem> {
        Ok(self.documents.lock().unwrap().get(did).cloned())
    }
}
