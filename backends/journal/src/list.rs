//! Pages of jobs, newest first.

use brizo_backend::facts::Facts;
use brizo_backend::{Job, JobFilter, JobPage, Owner, Page, Result};
use futures::future::try_join_all;

use crate::cursor;
use crate::journal::Journal;
use crate::paths::{Entry, Index};
use crate::store::AT_ONCE;
use crate::walk::Walk;

const LIST: &str = "list";

/// So many entries are looked at for one page. A filter that few jobs pass gives short pages then, with a cursor.
const LOOKED_AT: usize = 2000;

impl Journal {
    /// A page of the jobs that have not been deleted, newest first by (commit time, id). `view` makes a job of its facts,
    /// with what the backend sees of it; the filter's phases go by that.
    ///
    /// What a page costs depends on its size, not on how many jobs there are. A page may be short, or even empty, and yet
    /// have a cursor, when the phases that were asked for are rare among many jobs.
    pub async fn list<V, F>(&self, filter: &JobFilter, page: &Page, view: V) -> Result<JobPage>
    where
        V: Fn(Facts) -> F + Send + Sync,
        F: Future<Output = Result<Job>> + Send,
    {
        let index = index(filter);
        let provider = self.desk.paths.provider();
        let after = match &page.cursor {
            // `z` lies behind what an open entry's name adds to the id.
            Some(cursor) => format!("{}z", cursor::read(cursor, provider, &self.keys)?.name(&index)),
            None => String::new(),
        };
        let mut walk = self.walk(index, after, LIST);
        let limit = page.limit.max(1) as usize;
        let mut jobs: Vec<(Entry, Job)> = Vec::new();
        let mut looked_at = 0;
        let mut last = None;
        // One more than asked for shows whether there is another page.
        while jobs.len() <= limit && looked_at < LOOKED_AT {
            let wanted = (limit + 1 - jobs.len()).clamp(AT_ONCE, LOOKED_AT);
            let mut entries = walk.some(wanted).await?;
            let at_end = entries.len() < wanted;
            let too_old = |entry: &Entry| filter.created_after.is_some_and(|after| entry.at < after);
            let young = entries.iter().position(too_old).unwrap_or(entries.len());
            let at_end = at_end || young < entries.len();
            entries.truncate(young);
            looked_at += entries.len();
            last = entries.last().cloned().filter(|_| !at_end);
            for entries in entries.chunks(AT_ONCE) {
                let found = try_join_all(entries.iter().map(|entry| self.listed(entry, filter, &view))).await?;
                let found = entries.iter().zip(found);
                jobs.extend(found.filter_map(|(entry, job)| Some((entry.clone(), job?))));
            }
            if at_end {
                break;
            }
        }
        let next = if jobs.len() > limit {
            jobs.truncate(limit);
            jobs.last().map(|(entry, _)| entry.clone())
        } else {
            last
        };
        Ok(JobPage {
            jobs: jobs.into_iter().map(|(_, job)| job).collect(),
            next: next.map(|entry| cursor::write(&entry, provider, &self.keys)),
        })
    }

    /// The job of an entry, if it counts and passes the filter.
    async fn listed<V, F>(&self, entry: &Entry, filter: &JobFilter, view: &V) -> Result<Option<Job>>
    where
        V: Fn(Facts) -> F,
        F: Future<Output = Result<Job>>,
    {
        let facts = match self.readable(entry).await? {
            Some(facts) if facts.deleted.is_none() && passes(&facts, filter) => facts,
            _ => return Ok(None),
        };
        let job = view(facts).await?;
        Ok((filter.phases.is_empty() || filter.phases.contains(&job.phase)).then_some(job))
    }

    /// The facts of an entry's job, if the entry counts: its time is the commit's.
    pub(crate) async fn counting(&self, entry: &Entry) -> Result<Option<Facts>> {
        Ok(self.facts(&entry.id).await?.filter(|facts| facts.submitted.created_at == entry.at))
    }

    /// As [`Journal::counting`], but nothing for a job that can't be read: it must not hide the others.
    async fn readable(&self, entry: &Entry) -> Result<Option<Facts>> {
        match self.counting(entry).await {
            Err(error) if !error.is_retryable() => {
                tracing::error!(job = %entry.id, ?error, "What is recorded of a job can't be read.");
                Ok(None)
            }
            facts => facts,
        }
    }

    /// The jobs that have been submitted and neither ended nor deleted, oldest first by (commit time, id).
    ///
    /// Those that the process of a job has ended meanwhile are moved to the closed ones by the way.
    pub async fn open_jobs(&self) -> Result<Vec<Facts>> {
        let mut walk = self.walk(Index::Open, String::new(), LIST);
        let mut open = Vec::new();
        loop {
            let entries = walk.some(256).await?;
            if entries.is_empty() {
                break;
            }
            let mut found = Vec::new();
            for entries in entries.chunks(AT_ONCE) {
                found.extend(try_join_all(entries.iter().map(|entry| self.readable(entry))).await?);
            }
            for facts in found.into_iter().flatten().filter(|facts| facts.deleted.is_none()) {
                if facts.ended.is_some() {
                    self.close(&facts).await?;
                } else {
                    open.push(facts);
                }
            }
        }
        open.sort_by_key(|facts| (facts.submitted.created_at, facts.submitted.id));
        Ok(open)
    }

    /// How many jobs of an owner are open, without reading any: for quotas. Submits that never came to their commit count
    /// for the ten minutes until they are swept.
    pub async fn count_open(&self, owner: &Owner) -> Result<usize> {
        let label = owner.label();
        let mut walk = self.walk(Index::Open, String::new(), "submit");
        let mut count = 0;
        while let Some(entry) = walk.next().await? {
            count += usize::from(entry.words().next() == Some(label.as_str()));
        }
        Ok(count)
    }

    pub(crate) fn walk(&self, index: Index, after: String, operation: &'static str) -> Walk {
        Walk::new(&self.desk.store, &self.desk.paths, index, after, operation)
    }
}

/// The smallest index that has all that the filter lets pass.
fn index(filter: &JobFilter) -> Index {
    if !filter.phases.is_empty() && !filter.phases.iter().any(|phase| phase.is_end()) {
        return Index::Open;
    }
    match (&filter.agreement, &filter.owner) {
        (Some(agreement), _) => Index::Agreement(agreement.label()),
        (None, Some(owner)) => Index::Owner(owner.label()),
        (None, None) => Index::All,
    }
}

fn passes(facts: &Facts, filter: &JobFilter) -> bool {
    let spec = &facts.submitted;
    filter.owner.as_ref().is_none_or(|owner| *owner == spec.owner)
        && filter.agreement.as_ref().is_none_or(|agreement| spec.agreements().any(|of_job| of_job == agreement))
        && filter.created_after.is_none_or(|after| spec.created_at >= after)
}
