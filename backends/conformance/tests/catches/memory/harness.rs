use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brizo_backend::{Backend, Image, JobId, JobSpec, Result, Source};
use brizo_conformance::{Failure, Harness, Settings, Site};

use super::Flaw;
use super::backend::{Memory, record};
use super::world::World;

/// A backend in memory, with a flaw or without.
pub(crate) struct MemoryHarness {
    pub(crate) flaw: Option<Flaw>,
}

struct MemorySite(Arc<World>);

const ROOT: &str = "/publisher";

#[async_trait]
impl Harness for MemoryHarness {
    fn backend_type(&self) -> &'static str {
        "memory"
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(if self.flaw.is_some() { 5 } else { 20 })
    }

    fn trials_at_once(&self) -> usize {
        24
    }

    async fn site(&self, settings: &Settings) -> Result<Arc<dyn Site>, Failure> {
        Ok(Arc::new(MemorySite(Arc::new(World::new(settings.clone(), self.flaw)))))
    }
}

#[async_trait]
impl Site for MemorySite {
    async fn open(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Memory::new(Arc::clone(&self.0))))
    }

    async fn publish(&self, name: &str, bytes: &[u8]) -> Result<Source, Failure> {
        self.0.change(|state| state.files.insert(name.to_owned(), bytes.to_vec()));
        Ok(self.absent(name))
    }

    fn absent(&self, name: &str) -> Source {
        Source::File { root: ROOT.to_owned(), path: name.to_owned() }
    }

    fn image(&self) -> Image {
        Image { name: "sh".to_owned(), tag: "latest".to_owned(), checksum: None }
    }

    fn running(&self, tag: &str) -> usize {
        self.0.state().running.get(tag).copied().unwrap_or_default()
    }

    async fn destroy(&self, id: &JobId) -> Result<bool, Failure> {
        Ok(self.0.change_job(id, |record| record.crash.cancel()).is_some())
    }

    async fn remains(&self, id: &JobId) -> Result<Vec<String>, Failure> {
        let state = self.0.state();
        let parts = [
            ("the record", state.jobs.contains_key(id)),
            ("unpublished outputs", state.work.contains_key(id)),
            ("outputs", state.published.contains_key(id)),
            ("the log", state.logs.contains_key(id)),
        ];
        Ok(parts.into_iter().filter(|(_, there)| *there).map(|(what, _)| what.to_owned()).collect())
    }

    async fn facts(&self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let mut facts = Vec::new();
        for (id, record) in &self.0.state().jobs {
            let submitted = &record.facts.submitted;
            let mut stored = serde_json::to_vec(submitted).unwrap_or_default();
            if self.0.is(Flaw::StoresSources) {
                stored.extend(serde_json::to_vec(&submitted.secrets).unwrap_or_default());
            }
            facts.push((format!("submitted of {id}"), stored));
            if let Some(ended) = &record.facts.ended {
                facts.push((format!("ended of {id}"), serde_json::to_vec(ended).unwrap_or_default()));
            }
        }
        Ok(facts)
    }

    async fn plant_newer(&self, spec: &JobSpec) -> Result<(), Failure> {
        self.0.change(|state| state.jobs.insert(spec.id, record(spec.clone())));
        Ok(())
    }
}
