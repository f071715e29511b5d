//! The commit.

use std::time::{Duration, Instant};

use brizo_backend::facts::Facts;
use brizo_backend::{Error, ErrorKind, JobId, JobSpec, Result, Secrets};

use crate::decide::{deleted, no_randomness, unreadable};
use crate::journal::{Journal, agreement_labels, facts, open_entry, submitted, tombstone};
use crate::paths::{DELETED, Entry, Index, SUBMITTED};
use crate::record;

const SUBMIT: &str = "submit";

/// A commit that took longer writes its entries again: whoever sweeps may have taken them for debris.
const LONG: Duration = Duration::from_mins(1);

/// What a submit found or made.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// This call made the job.
    New(Facts),
    /// The job was there, made by the same request.
    Existing(Facts),
}

impl Submitted {
    /// The job's facts, whoever made it.
    pub fn into_facts(self) -> Facts {
        match self {
            Self::New(facts) | Self::Existing(facts) => facts,
        }
    }
}

impl Journal {
    /// Commits a job, durable when it returns; its `created_at` is this journal's time. If the id exists, made by the
    /// same request, that job is returned; `KeyReused` if another request made it, `JobDeleted` while a tombstone stands.
    /// The specification's secrets are sealed.
    pub async fn submit(&self, spec: &JobSpec) -> Result<Submitted> {
        let id = &spec.id;
        if let Some(facts) = self.existing(spec).await? {
            return Ok(Submitted::Existing(facts));
        }
        let began = Instant::now();
        let mut spec = spec.clone();
        spec.created_at = self.now();
        let mark = record::mark().ok_or_else(|| no_randomness(SUBMIT))?;
        let provider = self.desk.paths.provider();
        let bytes = record::write_submitted(&spec, provider, &self.keys, &mark);
        let bytes = bytes.ok_or_else(|| no_randomness(SUBMIT))?;
        spec.secrets = Secrets::default();
        let entries = self.entries(&spec);
        let path = self.desk.paths.fact(id, SUBMITTED);
        let commit = self.desk.store.commit(entries.clone(), path.clone(), bytes).await;
        if !commit.map_err(|error| error.during(SUBMIT))? && !self.is_ours(id, &path, &mark).await? {
            let existing = self.existing(&spec).await;
            self.take_back(id, entries).await?;
            // Whoever was first is being deleted by now.
            return existing?.map(Submitted::Existing).ok_or_else(|| deleted(SUBMIT, id));
        }
        let took = self.now().duration_since(spec.created_at);
        if began.elapsed() > LONG || took.unsigned_abs() > LONG {
            self.write_entries(&spec).await?;
        }
        // A delete of the job that had this id before may have come between.
        if self
            .desk
            .store
            .read(&self.desk.paths.fact(id, DELETED), 1)
            .await
            .map_err(|error| error.during(SUBMIT))?
            .is_some()
        {
            self.desk.store.remove(vec![path]).await.map_err(|error| error.during(SUBMIT))?;
            self.remove_entries(entries).await?;
            return Err(deleted(SUBMIT, id));
        }
        Ok(Submitted::New(Facts { submitted: spec, stop: None, started: None, ended: None, deleted: None }))
    }

    /// The job that a submit of `spec` finds, if there is one.
    async fn existing(&self, spec: &JobSpec) -> Result<Option<Facts>> {
        let id = &spec.id;
        let known = self.read(id).await?;
        // Without a commit, but with a fact: what is left of a job that was deleted.
        if tombstone(&known).is_some() || (submitted(&known).is_none() && known.iter().any(Option::is_some)) {
            return Err(deleted(SUBMIT, id));
        }
        let Some(facts) = facts(id, &known)? else { return Ok(None) };
        if facts.submitted.request != spec.request {
            let message = "This Idempotency-Key was used for another request. Send the same body, or another key.";
            return Err(Error::new(ErrorKind::KeyReused, SUBMIT, message).with("job", id));
        }
        Ok(Some(facts))
    }

    /// Whether the commit that stands is the one with our mark: its answer was lost, and a client beneath tried again.
    async fn is_ours(&self, id: &JobId, path: &str, mark: &str) -> Result<bool> {
        let bytes = self.desk.store.read(path, crate::decide::FACT_BYTES).await;
        let Some(bytes) = bytes.map_err(|error| error.during(SUBMIT))? else { return Ok(false) };
        let writer = record::writer(&bytes).ok_or_else(|| unreadable(SUBMIT, id, SUBMITTED))?;
        Ok(writer == mark)
    }

    /// Removes the entries of a submit that came second, but none that are the first one's too.
    async fn take_back(&self, id: &JobId, mut entries: Vec<String>) -> Result<()> {
        if let Some(first) = self.facts(id).await? {
            let first = self.entries(&first.submitted);
            entries.retain(|entry| !first.contains(entry));
        }
        self.remove_entries(entries).await
    }

    pub(crate) async fn remove_entries(&self, mut entries: Vec<String>) -> Result<()> {
        // The open one last: by it the others are found if this is not finished.
        entries.reverse();
        self.desk.store.remove(entries).await.map_err(|error| error.during(SUBMIT))
    }

    pub(crate) async fn write_entries(&self, spec: &JobSpec) -> Result<()> {
        for entry in self.entries(spec) {
            self.desk.store.create(entry, Vec::new()).await.map_err(|error| error.during(SUBMIT))?;
        }
        Ok(())
    }

    /// The paths of the entries that a job has from its submit on, the open one first.
    pub(crate) fn entries(&self, spec: &JobSpec) -> Vec<String> {
        self.entry_paths(&open_entry(spec), &spec.owner.label(), &agreement_labels(spec))
    }

    pub(crate) fn entry_paths(&self, open: &Entry, owner: &str, agreements: &[String]) -> Vec<String> {
        let paths = &self.desk.paths;
        let plain = Entry::new(open.at, open.id);
        let mut entries = vec![
            paths.entry(&Index::Open, open),
            paths.entry(&Index::All, &plain),
            paths.entry(&Index::Owner(owner.to_owned()), &plain),
        ];
        entries.extend(agreements.iter().map(|label| paths.entry(&Index::Agreement(label.clone()), &plain)));
        entries
    }
}
