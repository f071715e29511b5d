use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brizo_backend::facts::{Deleted, Ended, Facts, Started, Stop};
use brizo_backend::{Error, ErrorKind, JobId, JobSpec, Owner, Result, SPEC_VERSION, Secrets};
use jiff::Timestamp;
use object_store::ObjectStore;

use crate::cache::{Cache, Fact, Known};
use crate::decide::{Decided, Desk, FACT_BYTES, not_found, unreadable};
use crate::files::Files;
use crate::keys::Keys;
use crate::local;
use crate::paths::{ENDED, Entry, FACTS, Index, Paths, STARTED, STOP, SUBMITTED};
use crate::record;
use crate::store::Store;

/// So much of a fact is read first; the line of a specification is seldom longer.
const HEAD: u64 = 8 << 10;

/// Tells the time; whole milliseconds of it count.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The facts of one provider's jobs. A clone is the same journal.
///
/// Any number of journals may be open over one store at once, in this process and in others: every fact is a create-only
/// write, and who loses the race gets the winner's.
#[derive(Clone)]
pub struct Journal {
    pub(crate) desk: Desk,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    cache: Arc<Cache>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("provider", &self.desk.paths.provider()).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal of `provider` in `root`, an absolute folder of a local disk. It is made if it is missing, open
    /// to this user alone. `provider` becomes a folder's name: 1 to 64 letters, digits, `-` and `_`.
    pub fn local(root: &Path, provider: &str, keys: Keys) -> Result<Self> {
        Ok(Self::new(local_desk(root, provider)?, keys))
    }

    /// Opens the journal of `provider` in an object store, which must honour `PutMode::Create` and list in the order of
    /// names, as S3, Google Cloud Storage, Azure and object_store's in-memory store do, and its `LocalFileSystem` does
    /// not: there is [`Journal::local`] for that.
    pub fn over(store: Arc<dyn ObjectStore>, provider: &str, keys: Keys) -> Result<Self> {
        Ok(Self::new(Desk { store: Store::Objects(store), paths: paths(provider)? }, keys))
    }

    fn new(desk: Desk, keys: Keys) -> Self {
        Self { desk, keys, clock: Arc::new(brizo_backend::now), cache: Arc::default() }
    }

    /// With another clock than the host's.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The time by which this journal goes, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// The folder of a job in a journal on a local disk. The backend may keep folders of its own in it; a tombstone stays
    /// while there is one.
    pub fn folder(&self, id: &JobId) -> Option<PathBuf> {
        match &self.desk.store {
            Store::Files(files) => Some(local::folder(files, &self.desk, id)),
            Store::Objects(_) => None,
        }
    }

    /// Whether the store answers, and (a local one) takes files.
    pub async fn health(&self) -> Result<()> {
        self.desk.store.probe(self.desk.paths.provider()).await.map_err(|error| error.during("health"))
    }

    /// The facts of a job; `None` if it was never submitted, or nothing of it but a tombstone is left. While it is being
    /// deleted, `deleted` is among them: for everybody but the one who deletes, it is no more.
    ///
    /// The secrets are not among them: [`Journal::secrets`].
    pub async fn facts(&self, id: &JobId) -> Result<Option<Facts>> {
        let known = self.read(id).await?;
        facts(id, &known)
    }

    /// Reads a job's facts, from the cache where it has them.
    pub(crate) async fn read(&self, id: &JobId) -> Result<Known> {
        let mut cached = self.cache.get(id);
        let tags = std::array::from_fn(|n| cached[n].as_ref().map(|(tag, _)| tag.clone()));
        let folder = self.desk.paths.folder(id);
        let found =
            self.desk.store.read_folder(&folder, FACTS, tags, HEAD).await.map_err(|error| error.during("get"))?;
        let mut known = Known::default();
        for object in found {
            let Some(n) = FACTS.iter().position(|name| *name == object.name) else { continue };
            known[n] = match object.bytes {
                None => cached[n].take(),
                Some(mut bytes) => {
                    if !record::is_whole(&bytes) {
                        let path = self.desk.paths.fact(id, object.name);
                        let all = self.desk.store.read(&path, FACT_BYTES).await.map_err(|error| error.during("get"))?;
                        // Removed meanwhile.
                        let Some(all) = all else { continue };
                        bytes = all;
                    }
                    let fact = parse(object.name, &bytes).ok_or_else(|| unreadable("get", id, object.name))?;
                    Some((object.tag, fact))
                }
            };
        }
        if submitted(&known).is_some() {
            self.cache.put(*id, known.clone());
        }
        Ok(known)
    }

    /// The secrets of a job, opened. `NotFound` if there is no such job.
    pub async fn secrets(&self, id: &JobId) -> Result<Secrets> {
        let path = self.desk.paths.fact(id, SUBMITTED);
        let bytes = self.desk.store.read(&path, FACT_BYTES).await.map_err(|error| error.during("secrets"))?;
        let bytes = bytes.ok_or_else(|| not_found("secrets", id))?;
        record::read_secrets(&bytes, self.desk.paths.provider(), id, &self.keys).ok_or_else(|| {
            let message = "The secrets of this job can't be opened: they were sealed under another seal key. \
                           List it in assets.previous_seal_key_files.";
            Error::new(ErrorKind::Internal, "secrets", message).with("job", id)
        })
    }

    /// Whose tombstone stands under this id.
    pub async fn tombstone(&self, id: &JobId) -> Result<Option<Owner>> {
        Ok(self.desk.tombstone(id).await?.map(|deleted| deleted.owner))
    }

    /// Writes `stop`, unless the job has ended; the first one's time stays. Returns the facts as they are then.
    /// `NotFound` if there is no such job, or it was deleted.
    pub async fn stop(&self, id: &JobId) -> Result<Facts> {
        let mut facts = self.living("stop", id).await?;
        if facts.ended.is_none() && facts.stop.is_none() {
            let decided = self.desk.stop(id, Stop { at: self.now() }).await;
            facts.stop = Some(decided.map_err(|error| missing("stop", id, error))?.fact);
        }
        Ok(facts)
    }

    /// Writes `started`, or finds the one that stands. `JobDeleted` or `NotFound` if the job is no more.
    pub async fn start(&self, id: &JobId, started: &Started) -> Result<Decided<Started>> {
        self.desk.start(id, started).await
    }

    /// Writes `ended`, or finds the one that stands, and takes the job out of the open ones. `JobDeleted` or `NotFound`
    /// if the job is no more: a late end never brings it back.
    pub async fn end(&self, id: &JobId, ended: &Ended) -> Result<Decided<Ended>> {
        let decided = self.desk.end(id, ended).await?;
        if let Some(facts) = self.facts(id).await? {
            self.close(&facts).await?;
        }
        Ok(decided)
    }

    /// The facts of a job that has not been deleted; else `NotFound`.
    pub(crate) async fn living(&self, operation: &'static str, id: &JobId) -> Result<Facts> {
        let facts = self.facts(id).await?.filter(|facts| facts.deleted.is_none());
        facts.ok_or_else(|| not_found(operation, id))
    }

    /// Moves a job that has ended from the open ones to the closed ones.
    pub(crate) async fn close(&self, facts: &Facts) -> Result<()> {
        let Desk { store, paths } = &self.desk;
        let Some(closed) = closed_entry(facts) else { return Ok(()) };
        let closed = paths.entry(&Index::Closed, &closed);
        store.create(closed.clone(), Vec::new()).await.map_err(|error| error.during("end"))?;
        // A job that was deleted and forgotten meanwhile has nobody any more who would remove what came too late.
        if self.desk.gone("end", &facts.submitted.id).await?.is_some() {
            return store.remove(vec![closed]).await.map_err(|error| error.during("end"));
        }
        let open = paths.entry(&Index::Open, &open_entry(&facts.submitted));
        store.remove(vec![open]).await.map_err(|error| error.during("end"))
    }
}

/// The facts that were read, if there is a commit among them.
pub(crate) fn facts(id: &JobId, known: &Known) -> Result<Option<Facts>> {
    let Some(submitted) = submitted(known) else { return Ok(None) };
    if submitted.id != *id {
        return Err(unreadable("get", id, SUBMITTED));
    }
    let mut facts = Facts { submitted: submitted.clone(), stop: None, started: None, ended: None, deleted: None };
    for (_, fact) in known.iter().flatten() {
        match fact {
            Fact::Submitted(_) => {}
            Fact::Stop(stop) => facts.stop = Some(*stop),
            Fact::Started(started) => facts.started = Some(started.clone()),
            Fact::Ended(ended) => facts.ended = Some(Ended::clone(ended)),
            Fact::Deleted(deleted) => facts.deleted = Some(deleted.clone()),
        }
    }
    Ok(Some(facts))
}

/// The commit among what was read.
pub(crate) fn submitted(known: &Known) -> Option<&JobSpec> {
    known.iter().flatten().find_map(|(_, fact)| match fact {
        Fact::Submitted(spec) => Some(&**spec),
        _ => None,
    })
}

/// The tombstone among what was read.
pub(crate) fn tombstone(known: &Known) -> Option<&Deleted> {
    known.iter().flatten().find_map(|(_, fact)| match fact {
        Fact::Deleted(deleted) => Some(deleted),
        _ => None,
    })
}

fn parse(name: &str, bytes: &[u8]) -> Option<Fact> {
    Some(match name {
        SUBMITTED => Fact::Submitted(Arc::new(record::read_submitted(bytes)?)),
        STOP => Fact::Stop(record::read(bytes)?),
        STARTED => Fact::Started(record::read_started(bytes)?),
        ENDED => Fact::Ended(Arc::new(record::read_ended(bytes)?)),
        _ => Fact::Deleted(record::read(bytes)?),
    })
}

/// Whether this program may drive a job, fail it or sweep it: not one of a newer version.
pub fn may_drive(facts: &Facts) -> bool {
    facts.submitted.version <= SPEC_VERSION
}

/// The labels of a job's agreements, each once.
pub(crate) fn agreement_labels(spec: &JobSpec) -> Vec<String> {
    let mut labels = Vec::new();
    for agreement in spec.agreements() {
        let label = agreement.label();
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

pub(crate) fn open_entry(spec: &JobSpec) -> Entry {
    Entry::open(spec.created_at, spec.id, &spec.owner, &agreement_labels(spec))
}

/// The entry of a job that has ended.
pub(crate) fn closed_entry(facts: &Facts) -> Option<Entry> {
    let ended = facts.ended.as_ref()?;
    let outputs = ended.manifest.as_ref().map_or(0, |manifest| manifest.totals.bytes);
    let bytes = outputs.saturating_add(ended.log.stdout_bytes).saturating_add(ended.log.stderr_bytes);
    Some(Entry::closed(ended.at, facts.submitted.id, &facts.submitted.owner, bytes))
}

/// `JobDeleted` as the `NotFound` that everybody gets who only wants to see or stop the job.
fn missing(operation: &'static str, id: &JobId, error: Error) -> Error {
    if error.kind() == ErrorKind::JobDeleted { not_found(operation, id) } else { error }
}

fn paths(provider: &str) -> Result<Paths> {
    Paths::new(provider).ok_or_else(|| {
        let message = format!("{provider:?} can't name a provider's jobs: 1 to 64 letters, digits, - and _ can.");
        Error::new(ErrorKind::Internal, "open", message)
    })
}

/// The desk of a journal in a local folder.
pub(crate) fn local_desk(root: &Path, provider: &str) -> Result<Desk> {
    let paths = paths(provider)?;
    let opened = std::path::absolute(root).and_then(|root| Files::open(&root, &paths.staging()));
    let files = opened.map_err(|source| {
        let message = format!("The folder {} can't be used for jobs: {source}.", root.display());
        Error::new(ErrorKind::Internal, "open", message).source(source)
    })?;
    Ok(Desk { store: Store::Files(files), paths })
}
