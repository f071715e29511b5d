//! Deletion: a tombstone at once, everything else after it, in any number of attempts.

use brizo_backend::facts::{Deleted, Facts, Started, VoidCause};
use brizo_backend::{ErrorKind, JobId, Result};

use crate::decide::{FACT_BYTES, no_randomness};
use crate::journal::{Journal, closed_entry, tombstone};
use crate::paths::{DELETED, ENDED, Entry, Index, STARTED, STOP, SUBMITTED};
use crate::record;

const DELETE: &str = "delete";

impl Journal {
    /// Deletes a job, in whatever phase: `void` if it has not started, then its tombstone. From here on it is gone for
    /// everybody; what runs and lies of it is the caller's to remove, who then calls [`Journal::forget`].
    ///
    /// The facts as they are then, `deleted` among them; `None` if there is no such job, or nothing of it is left.
    pub async fn delete(&self, id: &JobId) -> Result<Option<Facts>> {
        let Some(mut facts) = self.facts(id).await? else { return Ok(None) };
        if facts.deleted.is_some() {
            return Ok(Some(facts));
        }
        let at = self.now();
        if facts.started.is_none() {
            match self.desk.start(id, &Started::Void { at, cause: VoidCause::Delete }).await {
                Ok(decided) => facts.started = Some(decided.fact),
                // Somebody else deleted it meanwhile.
                Err(error) if matches!(error.kind(), ErrorKind::JobDeleted | ErrorKind::NotFound) => {
                    return self.facts(id).await;
                }
                Err(error) => return Err(error),
            }
        }
        let paths = &self.desk.paths;
        let entry = Entry::new(at, *id);
        let entries = vec![paths.entry(&Index::Deleting, &entry), paths.entry(&Index::Graves, &entry)];
        let deleted = Deleted { owner: facts.submitted.owner.clone(), at };
        let bytes =
            record::mark().and_then(|mark| record::write(&deleted, &mark)).ok_or_else(|| no_randomness(DELETE))?;
        let path = paths.fact(id, DELETED);
        if self.desk.store.commit(entries.clone(), path, bytes).await.map_err(|error| error.during(DELETE))? {
            facts.deleted = Some(deleted);
        } else {
            let first = self.desk.tombstone(id).await?;
            if first.as_ref().is_none_or(|first| first.at != at) {
                self.desk.store.remove(entries).await.map_err(|error| error.during(DELETE))?;
            }
            facts.deleted = Some(first.unwrap_or(deleted));
        }
        Ok(Some(facts))
    }

    /// Removes all facts of a deleted job but the tombstone, and its entries. Does nothing for a job without a tombstone.
    pub async fn forget(&self, id: &JobId) -> Result<()> {
        let known = self.read(id).await?;
        let Some(tombstone) = tombstone(&known) else { return Ok(()) };
        let paths = &self.desk.paths;
        let mut remove = Vec::new();
        if let Some(facts) = crate::journal::facts(id, &known)? {
            remove.extend(closed_entry(&facts).map(|closed| paths.entry(&Index::Closed, &closed)));
            let mut entries = self.entries(&facts.submitted);
            entries.reverse();
            remove.extend(entries);
        }
        // The commit last: by it the entries are found if this is not finished.
        remove.extend([ENDED, STARTED, STOP, SUBMITTED].map(|name| paths.fact(id, name)));
        remove.push(paths.entry(&Index::Deleting, &Entry::new(tombstone.at, *id)));
        self.desk.store.remove(remove).await.map_err(|error| error.during(DELETE))
    }

    /// The jobs whose deletion is under way, oldest first; at most `limit`. `drive` finishes them: it removes what runs
    /// and lies of each, then calls [`Journal::forget`].
    pub async fn deleting(&self, limit: usize) -> Result<Vec<JobId>> {
        let mut walk = self.walk(Index::Deleting, String::new(), DELETE);
        let mut ids = Vec::new();
        while ids.len() < limit
            && let Some(entry) = walk.next().await?
        {
            let path = self.desk.paths.fact(&entry.id, DELETED);
            let bytes = self.desk.store.read(&path, FACT_BYTES).await.map_err(|error| error.during(DELETE))?;
            let deleted = bytes.and_then(|bytes| record::read::<Deleted>(&bytes));
            if deleted.is_some_and(|deleted| deleted.at == entry.at) {
                ids.push(entry.id);
            }
        }
        Ok(ids)
    }
}
