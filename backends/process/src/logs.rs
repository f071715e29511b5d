//! A job's log, read from the runner's files in constant memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use brizo_backend::{Error, JobId, LogChunk, LogOptions, Result};
use brizo_runner::log::LogReader;
use futures::stream::{self, BoxStream, StreamExt as _};

use crate::backend::Inner;
use crate::error::{blocking, folder};

/// How long a follower waits before it looks again.
const LOOK: Duration = Duration::from_millis(100);
/// So much is read at once.
const AT_ONCE: usize = 256 * 1024;

struct Reading {
    inner: Arc<Inner>,
    id: JobId,
    options: LogOptions,
    reader: Option<LogReader>,
    ready: VecDeque<LogChunk>,
    done: bool,
}

/// The log of `id`: as it is, or followed until the job has ended.
pub(crate) fn stream(inner: Arc<Inner>, id: JobId, options: LogOptions) -> BoxStream<'static, Result<LogChunk>> {
    let reading = Reading { inner, id, options, reader: None, ready: VecDeque::new(), done: false };
    stream::try_unfold(reading, |mut reading| async move { Ok(reading.next().await?.map(|chunk| (chunk, reading))) })
        .boxed()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<LogChunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.done {
                return Ok(None);
            }
            // Asked before the last look at the files, so that nothing that came before the end is missed.
            let over = !self.options.follow || self.is_over().await?;
            self.read().await?;
            if self.ready.is_empty() {
                if over {
                    self.done = true;
                } else {
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Whether nothing more will be written; so too if it was deleted meanwhile.
    async fn is_over(&self) -> Result<bool> {
        let facts = self.inner.journal.facts(&self.id).await?;
        Ok(facts.is_none_or(|facts| facts.ended.is_some() || facts.deleted.is_some()))
    }

    async fn read(&mut self) -> Result<()> {
        let at = self.inner.folder(&self.id).layout().log();
        let LogOptions { stream, offset, .. } = self.options;
        let reader = self.reader.take();
        let work = move || -> std::io::Result<(Option<LogReader>, VecDeque<LogChunk>)> {
            let mut ready = VecDeque::new();
            let Some(mut reader) =
                reader.map_or_else(|| LogReader::open(&at, stream, offset), |reader| Ok(Some(reader)))?
            else {
                return Ok((None, ready));
            };
            let mut bytes = 0;
            while bytes < AT_ONCE
                && let Some(chunk) = reader.next_chunk()?
            {
                bytes += chunk.bytes.len();
                ready.push_back(chunk);
            }
            Ok((Some(reader), ready))
        };
        let read: std::io::Result<_> = blocking("logs", work).await?;
        (self.reader, self.ready) = read.map_err(|error| -> Error { folder("logs", &self.id, error) })?;
        Ok(())
    }
}
