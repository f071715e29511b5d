//! A backend that does nothing, so that what is measured is the gateway before it.

use async_trait::async_trait;
use brizo_backend::facts::{Facts, Seen};
use brizo_backend::{
    Backend, ByteRange, ByteStream, Capability, Error, ErrorKind, Job, JobFilter, JobId, JobPage, JobSpec, LogChunk,
    LogOptions, OutputPage, OutputPath, Owner, Page, Plan, Result,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Accepts every job, and knows none afterwards.
#[derive(Debug)]
pub(crate) struct Noop;

fn absent<T>(operation: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::NotFound, operation, "this backend keeps nothing"))
}

#[async_trait]
impl Backend for Noop {
    fn capability(&self) -> Capability {
        Capability::default()
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    async fn preflight(&self, _: &JobSpec) -> Result<Plan> {
        Ok(Plan::default())
    }

    async fn submit(&self, spec: &JobSpec) -> Result<Job> {
        let facts = Facts { submitted: spec.clone(), stop: None, started: None, ended: None, deleted: None };
        Ok(facts.job(&Seen::default()))
    }

    async fn get(&self, _: &JobId) -> Result<Job> {
        absent("get")
    }

    async fn tombstone(&self, _: &JobId) -> Result<Option<Owner>> {
        Ok(None)
    }

    async fn list(&self, _: &JobFilter, _: &Page) -> Result<JobPage> {
        Ok(JobPage::default())
    }

    async fn stop(&self, _: &JobId) -> Result<Job> {
        absent("stop")
    }

    async fn delete(&self, _: &JobId) -> Result<()> {
        Ok(())
    }

    async fn logs(&self, _: &JobId, _: &LogOptions) -> Result<BoxStream<'static, Result<LogChunk>>> {
        absent("logs")
    }

    async fn outputs(&self, _: &JobId, _: &Page) -> Result<OutputPage> {
        absent("outputs")
    }

    async fn read_output(&self, _: &JobId, _: &OutputPath, _: Option<ByteRange>) -> Result<ByteStream> {
        absent("read_output")
    }

    fn watch(&self, _: &JobId) -> BoxStream<'static, Result<Job>> {
        stream::iter([absent("watch")]).boxed()
    }

    async fn drive(&self, _: watch::Receiver<bool>, shutdown: CancellationToken) -> Result<()> {
        shutdown.cancelled().await;
        Ok(())
    }
}
