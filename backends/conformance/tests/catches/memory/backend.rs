use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brizo_backend::facts::{Facts, Seen};
use brizo_backend::{
    Backend, ByteRange, ByteStream, Capability, Error, ErrorKind, Job, JobFilter, JobId, JobPage, JobSpec, LogChunk,
    LogOptions, OutputPage, OutputPath, Owner, Page, Plan, Result, Schemes,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::world::{Record, World, unknown};
use super::{Flaw, driver};

/// What one gateway holds: nothing but the way to the world.
pub(crate) struct Memory {
    world: Arc<World>,
    /// Of [`Flaw::CommitsLater`].
    pending: Mutex<Vec<(JobId, Record)>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    pub(crate) fn new(world: Arc<World>) -> Self {
        if world.is(Flaw::LosesJobsAtRestart) {
            world.change(|state| state.jobs.retain(|_, record| record.facts.ended.is_some()));
        }
        Self { world, pending: Mutex::default() }
    }

    fn check(&self, operation: &'static str, spec: &JobSpec) -> Result<()> {
        spec.check(operation)?;
        let refuse = |kind, text: &str| Err(Error::new(kind, operation, text.to_owned()));
        if spec.network || spec.limits.gpu > 0 || spec.algorithm.image.checksum.is_some() {
            return refuse(ErrorKind::Unsupported, "neither network, GPU nor images are played here");
        }
        if spec.algorithm.image.name != "sh" {
            return refuse(ErrorKind::ImageNotAllowed, "the only image here is sh");
        }
        let quotas = &self.world.settings.quotas;
        let state = self.world.state();
        let of_owner = |record: &&Record| record.facts.submitted.owner == spec.owner;
        let queued = |record: &&Record| record.facts.ended.is_none() && record.seen.provisioning.is_none();
        let waiting = state.jobs.values().filter(of_owner).filter(queued).count();
        if waiting >= quotas.queued_per_consumer && !self.world.is(Flaw::IgnoresQuotas) {
            return refuse(ErrorKind::QuotaExceeded, "too many of your jobs wait");
        }
        let kept = |record: &Record| {
            let ended = record.facts.ended.as_ref();
            let outputs = ended.and_then(|ended| ended.manifest.as_ref()).map_or(0, |manifest| manifest.totals.bytes);
            outputs + ended.map_or(0, |ended| ended.log.stdout_bytes + ended.log.stderr_bytes)
        };
        let kept: u64 = state.jobs.values().filter(of_owner).map(kept).sum();
        if kept > quotas.kept_per_consumer_bytes || quotas.disk_reserve_bytes == u64::MAX {
            return refuse(ErrorKind::StorageFull, "there is no room; delete jobs that you no longer need");
        }
        Ok(())
    }
}

#[async_trait]
impl Backend for Memory {
    fn capability(&self) -> Capability {
        if self.world.is(Flaw::DeclaresNothing) {
            return Capability::default();
        }
        let file = Schemes { file: true, ..Schemes::default() };
        let inputs = Schemes { http: true, ..file };
        Capability { logs_follow: true, stop_grace: true, inputs, results: file, ..Capability::default() }
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    async fn preflight(&self, spec: &JobSpec) -> Result<Plan> {
        self.check("preflight", spec)?;
        Ok(Plan { limits: driver::limits(spec), ..Plan::default() })
    }

    async fn submit(&self, spec: &JobSpec) -> Result<Job> {
        let known = |state: &super::world::State| {
            if state.tombstones.contains_key(&spec.id) {
                return Err(Error::new(ErrorKind::JobDeleted, "submit", "the job was deleted"));
            }
            match state.jobs.get(&spec.id) {
                Some(record)
                    if record.facts.submitted.request != spec.request && !self.world.is(Flaw::AnswersAnyRequest) =>
                {
                    Err(Error::new(ErrorKind::KeyReused, "submit", "the key was used for another request"))
                }
                Some(record) => Ok(Some(record.facts.job(&record.seen))),
                None => Ok(None),
            }
        };
        let existing = known(&self.world.state())?;
        if let Some(job) = existing {
            if self.world.is(Flaw::RunsRetriesAgain) {
                tokio::spawn(driver::execute(Arc::clone(&self.world), spec.id));
            }
            return Ok(job);
        }
        self.check("submit", spec)?;
        let mut submitted = spec.clone();
        submitted.created_at = brizo_backend::now();
        let record = record(submitted);
        let job = record.facts.job(&record.seen);
        if self.world.is(Flaw::CommitsLater) {
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).push((spec.id, record));
            return Ok(job);
        }
        self.world.change(|state| {
            if let Some(other) = known(state)? {
                return Ok(other);
            }
            state.jobs.insert(spec.id, record);
            Ok(job)
        })
    }

    async fn get(&self, id: &JobId) -> Result<Job> {
        self.world.shown("get", id)
    }

    async fn tombstone(&self, id: &JobId) -> Result<Option<Owner>> {
        Ok(self.world.state().tombstones.get(id).map(|deleted| deleted.owner.clone()))
    }

    async fn list(&self, filter: &JobFilter, page: &Page) -> Result<JobPage> {
        let after = page.cursor.as_deref().map(cursor).transpose()?;
        let mut jobs: Vec<_> = {
            let state = self.world.state();
            state.jobs.values().map(|record| record.facts.job(&record.seen)).collect()
        };
        jobs.retain(|job| {
            filter.owner.as_ref().is_none_or(|owner| *owner == job.owner)
                && filter.agreement.as_ref().is_none_or(|a| job.datasets.iter().any(|dataset| dataset.agreement == *a))
                && (filter.phases.is_empty() || filter.phases.contains(&job.phase))
                && filter.created_after.is_none_or(|at| job.created_at >= at)
                && after.is_none_or(|after| (job.created_at.as_millisecond(), job.id) < after)
        });
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
        if after.is_some() && self.world.is(Flaw::MissesPageEdges) && !jobs.is_empty() {
            jobs.remove(0);
        }
        let more = jobs.len() > page.limit as usize;
        jobs.truncate(page.limit as usize);
        let last = jobs.last().filter(|_| more);
        let next = last.map(|job| format!("{}-{}", job.created_at.as_millisecond(), job.id));
        Ok(JobPage { jobs, next })
    }

    async fn stop(&self, id: &JobId) -> Result<Job> {
        driver::stop(&self.world, id).ok_or_else(|| unknown("stop"))?;
        self.world.shown("stop", id)
    }

    async fn delete(&self, id: &JobId) -> Result<()> {
        self.world.remove(id);
        Ok(())
    }

    async fn logs(&self, id: &JobId, options: &LogOptions) -> Result<BoxStream<'static, Result<LogChunk>>> {
        self.world.shown("logs", id)?;
        let (world, id, mut options) = (Arc::clone(&self.world), *id, *options);
        if options.offset > 0 && world.is(Flaw::LosesALogByte) {
            options.offset += 1;
        }
        let changes = world.changes();
        let batches = stream::unfold((options, changes, false), move |(mut options, mut changes, done)| {
            let world = Arc::clone(&world);
            async move {
                loop {
                    if done {
                        return None;
                    }
                    changes.mark_unchanged();
                    let job = world.shown("logs", &id);
                    let pieces = world.state().log_from(&id, &options);
                    let over = job.map_or(true, |job| job.phase.is_end());
                    let last = !options.follow || over && !world.is(Flaw::FollowNeverEnds);
                    if pieces.is_empty() && !last {
                        changes.changed().await.ok()?;
                        continue;
                    }
                    let chunks: Vec<_> = pieces
                        .into_iter()
                        .map(|(offset, piece)| {
                            Ok(LogChunk { stream: piece.stream, offset, at: piece.at, bytes: piece.bytes })
                        })
                        .collect();
                    if let Some(Ok(chunk)) = chunks.last() {
                        options.offset = chunk.offset + chunk.bytes.len() as u64;
                    }
                    return Some((stream::iter(chunks), (options, changes, last)));
                }
            }
        });
        Ok(batches.flatten().boxed())
    }

    async fn outputs(&self, id: &JobId, page: &Page) -> Result<OutputPage> {
        self.world.shown("outputs", id)?;
        let begin: usize = match page.cursor.as_deref() {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| garbled("outputs"))?,
        };
        let state = self.world.state();
        let Some((manifest, _)) = state.published.get(id) else { return Ok(OutputPage::default()) };
        let items: Vec<_> = manifest.outputs.iter().skip(begin).take(page.limit as usize).cloned().collect();
        let end = begin + items.len();
        let skipped = if begin == 0 { manifest.skipped.clone() } else { Vec::new() };
        let next = (end < manifest.outputs.len()).then(|| end.to_string());
        Ok(OutputPage { items, skipped, next })
    }

    async fn read_output(&self, id: &JobId, path: &OutputPath, range: Option<ByteRange>) -> Result<ByteStream> {
        self.world.shown("read_output", id)?;
        let none = || Error::new(ErrorKind::NotFound, "read_output", "there is no such output");
        let state = self.world.state();
        let (manifest, files) = state.published.get(id).ok_or_else(none)?;
        let output = manifest.outputs.iter().find(|output| output.path == *path).ok_or_else(none)?;
        let mut selected = 0..output.bytes;
        if let Some(range) = range {
            let unsatisfiable = || Error::new(ErrorKind::Range, "read_output", "the range can't be satisfied");
            selected = range.resolve(output.bytes).ok_or_else(unsatisfiable)?;
            if self.world.is(Flaw::WrongRange) {
                selected.end -= 1;
            }
        }
        let bytes = files[path.as_str()].slice(selected.start as usize..selected.end as usize);
        let pieces: Vec<_> = bytes.chunks(1 << 20).map(|piece| Ok(bytes.slice_ref(piece))).collect();
        Ok(ByteStream { output: output.clone(), range: selected, stream: stream::iter(pieces).boxed() })
    }

    fn watch(&self, id: &JobId) -> BoxStream<'static, Result<Job>> {
        let (world, id) = (Arc::clone(&self.world), *id);
        let changes = world.changes();
        let jobs = stream::unfold((None, changes, false), move |(last, mut changes, done)| {
            let world = Arc::clone(&world);
            async move {
                loop {
                    if done {
                        return None;
                    }
                    changes.mark_unchanged();
                    match world.shown("watch", &id) {
                        Ok(job) if last.as_ref() == Some(&job) => changes.changed().await.ok()?,
                        Ok(job) => {
                            let over = job.phase.is_end() || world.is(Flaw::WatchesOnce);
                            return Some((Ok(job.clone()), (Some(job), changes, over)));
                        }
                        Err(error) => return Some((Err(error), (last, changes, true))),
                    }
                }
            }
        });
        jobs.boxed()
    }

    async fn drive(&self, may_sweep: watch::Receiver<bool>, shutdown: CancellationToken) -> Result<()> {
        let mut started = Vec::new();
        loop {
            for (id, record) in self.pending.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                self.world.change(|state| drop(state.jobs.insert(id, record)));
            }
            let may = *may_sweep.borrow();
            driver::pass(&self.world, may, &mut started);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }
}

/// A job that has just been committed.
pub(crate) fn record(submitted: JobSpec) -> Record {
    Record {
        facts: Facts { submitted, stop: None, started: None, ended: None, deleted: None },
        seen: Seen::default(),
        term: CancellationToken::new(),
        kill: CancellationToken::new(),
        crash: CancellationToken::new(),
    }
}

fn garbled(operation: &'static str) -> Error {
    Error::new(ErrorKind::InvalidCursor, operation, "the cursor is none of this backend's; begin without one")
}

fn cursor(text: &str) -> Result<(i64, JobId)> {
    let parsed = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    parsed.ok_or_else(|| garbled("list"))
}
