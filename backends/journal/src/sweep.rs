//! What time removes: debris of submits that never came to their commit, tombstones, and (as the backend asks) old jobs.
//! Called only while the backend may sweep.

use std::collections::HashMap;

use brizo_backend::facts::Facts;
use brizo_backend::{JobId, Result};
use jiff::{SignedDuration, Timestamp};

use crate::journal::{Journal, may_drive};
use crate::paths::{DELETED, Entry, FACTS, Index};

const SWEEP: &str = "sweep";

/// What has no commit for so long never gets one.
const DEBRIS: SignedDuration = SignedDuration::from_mins(10);

/// So long a tombstone stands at least.
const TOMBSTONE: SignedDuration = SignedDuration::from_hours(24);

/// What is left of a submit that never came to its commit.
#[derive(Debug, Clone)]
pub struct Debris {
    /// Under this id.
    pub id: JobId,
    /// Whether there is no job of this id at all; else another attempt made one, and only entries are left of this one.
    pub jobless: bool,
    entry: Entry,
}

impl Journal {
    /// Submits that began more than ten minutes ago and have no commit; at most `limit`. The caller removes what it made
    /// for those without a job, and then calls [`Journal::clear`].
    pub async fn debris(&self, limit: usize) -> Result<Vec<Debris>> {
        let before = self.before(DEBRIS);
        let mut walk = self.walk(Index::Open, crate::paths::position(&Index::Open, before), SWEEP);
        let mut debris = Vec::new();
        while debris.len() < limit
            && let Some(entry) = walk.next().await?
        {
            let facts = self.facts(&entry.id).await?;
            let jobless = facts.is_none();
            if facts.is_none_or(|facts| facts.submitted.created_at != entry.at) {
                debris.push(Debris { id: entry.id, jobless, entry });
            }
        }
        Ok(debris)
    }

    /// Removes the journal's part of debris. A commit that comes at the same moment keeps its entries.
    pub async fn clear(&self, debris: &Debris) -> Result<()> {
        let entry = &debris.entry;
        if self.counting(entry).await?.is_some() {
            return Ok(());
        }
        let mut words = entry.words().map(str::to_owned);
        let owner = words.next().unwrap_or_default();
        let agreements: Vec<_> = words.collect();
        self.remove_entries(self.entry_paths(entry, &owner, &agreements)).await?;
        if let Some(facts) = self.counting(entry).await? {
            return self.write_entries(&facts.submitted).await;
        }
        let folder = self.desk.paths.folder(&entry.id);
        self.desk.store.remove_folder(&folder).await.map_err(|error| error.during(SWEEP))
    }

    /// Removes tombstones that are older than a day and alone in their folder, and what crashes have left of single
    /// writes. Returns the jobs whose folder still holds something of the backend's: it removes that, and calls
    /// [`Journal::forget`].
    pub async fn sweep(&self) -> Result<Vec<JobId>> {
        self.desk.store.sweep_staging().await.map_err(|error| error.during(SWEEP))?;
        self.sweep_deleting().await?;
        let before = self.before(TOMBSTONE);
        let mut walk = self.walk(Index::Graves, String::new(), SWEEP);
        let mut unfinished = Vec::new();
        while let Some(entry) = walk.next().await?.filter(|entry| entry.at < before) {
            let folder = self.desk.paths.folder(&entry.id);
            let grave = self.desk.paths.entry(&Index::Graves, &entry);
            let tombstone = self.desk.tombstone(&entry.id).await?.filter(|deleted| deleted.at == entry.at);
            let mut remove = vec![grave];
            if tombstone.is_some() {
                let contents = self.desk.store.contents(&folder).await.map_err(|error| error.during(SWEEP))?;
                let other = |name: &String| name != DELETED;
                if contents.others || contents.files.iter().any(|name| !FACTS.contains(&name.as_str())) {
                    unfinished.push(entry.id);
                    continue;
                }
                if contents.files.iter().any(other) {
                    // Something wrote late. The tombstone goes when it has been alone once.
                    self.forget(&entry.id).await?;
                    continue;
                }
                remove.insert(0, self.desk.paths.fact(&entry.id, DELETED));
            }
            self.desk.store.remove(remove).await.map_err(|error| error.during(SWEEP))?;
        }
        Ok(unfinished)
    }

    /// Removes entries of deletions that never came to their tombstone, or whose job is gone.
    async fn sweep_deleting(&self) -> Result<()> {
        let before = self.before(DEBRIS);
        let mut walk = self.walk(Index::Deleting, String::new(), SWEEP);
        while let Some(entry) = walk.next().await?.filter(|entry| entry.at < before) {
            let tombstone = self.desk.tombstone(&entry.id).await?;
            if tombstone.is_none_or(|deleted| deleted.at != entry.at) {
                let path = self.desk.paths.entry(&Index::Deleting, &entry);
                self.desk.store.remove(vec![path]).await.map_err(|error| error.during(SWEEP))?;
            }
        }
        Ok(())
    }

    /// The jobs that ended before `before`, oldest end first; at most `limit`, none of a newer version's.
    pub async fn ended_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Facts>> {
        let mut walk = self.walk(Index::Closed, String::new(), SWEEP);
        let mut ended = Vec::new();
        while ended.len() < limit
            && let Some(entry) = walk.next().await?.filter(|entry| entry.at < before)
        {
            match self.facts(&entry.id).await? {
                Some(facts) if facts.deleted.is_none() && may_drive(&facts) => ended.push(facts),
                Some(_) => {}
                // Written by a second hand while the first was deleting it.
                None => {
                    let path = self.desk.paths.entry(&Index::Closed, &entry);
                    self.desk.store.remove(vec![path]).await.map_err(|error| error.during(SWEEP))?;
                }
            }
        }
        Ok(ended)
    }

    /// The bytes of outputs and logs that are kept of each owner's ended jobs, by [`Owner::label`](brizo_backend::Owner);
    /// without reading any of them.
    pub async fn kept(&self) -> Result<HashMap<String, u64>> {
        let mut walk = self.walk(Index::Closed, String::new(), SWEEP);
        let mut kept: HashMap<String, u64> = HashMap::new();
        while let Some(entry) = walk.next().await? {
            let mut words = entry.words();
            if let (Some(owner), Some(bytes)) = (words.next(), words.next().and_then(|bytes| bytes.parse::<u64>().ok()))
            {
                let sum = kept.entry(owner.to_owned()).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        Ok(kept)
    }

    fn before(&self, age: SignedDuration) -> Timestamp {
        self.now().checked_sub(age).unwrap_or(Timestamp::MIN)
    }
}
