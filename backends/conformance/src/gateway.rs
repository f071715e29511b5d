use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use brizo_backend::{
    Backend, ByteRange, ErrorKind, Job, JobFilter, JobId, JobSpec, LogChunk, LogOptions, LogStream, Output, OutputPage,
    Page, Phase, Result as BackendResult, Transition,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::failure::ensure;

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A backend as a running gateway holds it: opened, and driven unless it is idle.
pub(crate) struct Gateway {
    backend: Arc<dyn Backend>,
    may_sweep: watch::Sender<bool>,
    shutdown: CancellationToken,
    driver: Option<JoinHandle<BackendResult<()>>>,
    patience: Duration,
}

impl Gateway {
    /// Over an opened backend; `drive` runs unless `idle`.
    pub(crate) fn new(backend: Arc<dyn Backend>, patience: Duration, idle: bool, may_sweep: bool) -> Self {
        let (may_sweep, receiver) = watch::channel(may_sweep);
        let shutdown = CancellationToken::new();
        let driver = (!idle).then(|| {
            let (backend, shutdown) = (Arc::clone(&backend), shutdown.clone());
            tokio::spawn(async move { backend.drive(receiver, shutdown).await })
        });
        Self { backend, may_sweep, shutdown, driver, patience }
    }

    /// The backend itself, for tasks.
    pub(crate) fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.backend)
    }

    /// The chain and the clock agree, or no longer.
    pub(crate) fn may_sweep(&self, may: bool) {
        self.may_sweep.send_replace(may);
    }

    /// Ends as a process that is killed does: nothing is told, nothing is finished.
    pub(crate) async fn kill(mut self) {
        if let Some(driver) = self.driver.take() {
            driver.abort();
            let _ = driver.await;
        }
    }

    /// Ends in order.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        if let Some(driver) = self.driver.take() {
            let ended = tokio::time::timeout(self.patience, driver).await;
            let ended = ended.map_err(|_| Failure::new("drive did not return after shutdown was cancelled"))?;
            ended.map_err(|error| Failure::new(format!("drive panicked: {error}")))??;
        }
        Ok(())
    }

    /// Waits for the condition `what` of a job.
    pub(crate) async fn until(&self, id: &JobId, what: &str, is: impl Fn(&Job) -> bool) -> Result<Job, Failure> {
        let limit = Instant::now() + self.patience;
        loop {
            match self.get(id).await {
                Ok(job) if is(&job) => return Ok(job),
                Ok(job) => {
                    ensure!(Instant::now() < limit, "{what} did not come in {:?}: {}", self.patience, sketch(&job));
                    let driven = self.driver.as_ref().is_none_or(|driver| !driver.is_finished());
                    ensure!(driven, "drive returned without being asked while {what} was waited for: {}", sketch(&job));
                }
                Err(error) if error.is_retryable() && Instant::now() < limit => {}
                Err(error) => return Err(Failure::new(format!("while {what} was waited for: {error:?}"))),
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until `get` no longer finds a job.
    pub(crate) async fn until_gone(&self, id: &JobId, within: Duration) -> Result<(), Failure> {
        let what = format!("{id} is still found after {within:?}");
        let gone = async || Ok(matches!(self.get(id).await, Err(error) if error.kind() == ErrorKind::NotFound));
        eventually(within, &what, gone).await
    }

    /// Waits for the end, which must be in this phase.
    pub(crate) async fn end(&self, id: &JobId, phase: Phase) -> Result<Job, Failure> {
        let job = self.until(id, "the end", |job| job.phase.is_end()).await?;
        ensure!(job.phase == phase, "it should have ended as {phase}: {}", sketch(&job));
        ensure!(
            (job.phase == Phase::Failed) == job.reason.is_some(),
            "a reason belongs to Failed only: {}",
            sketch(&job)
        );
        ensure!(job.ended_at.is_some(), "an ended job says when it ended: {}", sketch(&job));
        Ok(job)
    }

    /// Submits it, and waits for its end in this phase.
    pub(crate) async fn run(&self, spec: &JobSpec, phase: Phase) -> Result<Job, Failure> {
        self.submit(spec).await?;
        self.end(&spec.id, phase).await
    }

    /// Reads what `options` select of a log to its end, and checks that the pieces join.
    pub(crate) async fn log(&self, id: &JobId, options: LogOptions) -> Result<Vec<u8>, Failure> {
        let mut next = options.offset;
        let mut bytes = Vec::new();
        for chunk in self.chunks(id, options).await? {
            ensure!(chunk.offset == next, "a piece of the log begins at {} where {next} was due", chunk.offset);
            next += chunk.bytes.len() as u64;
            bytes.extend_from_slice(&chunk.bytes);
        }
        Ok(bytes)
    }

    /// Reads one stream of a log, as it is now.
    pub(crate) async fn stream(&self, id: &JobId, stream: LogStream) -> Result<Vec<u8>, Failure> {
        self.log(id, LogOptions { stream: Some(stream), ..LogOptions::default() }).await
    }

    /// The standard output, as text.
    pub(crate) async fn stdout(&self, id: &JobId) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.stream(id, LogStream::Stdout).await?).into_owned())
    }

    /// Waits until the standard output has this text.
    pub(crate) async fn until_printed(&self, id: &JobId, text: &str) -> Result<(), Failure> {
        let what = format!("the log did not show {text:?} within {:?}", self.patience);
        let shown = eventually(self.patience, &what, async || Ok(self.stdout(id).await?.contains(text))).await;
        if let Err(failure) = shown {
            let job = self.get(id).await?;
            return Err(Failure::new(format!("{failure}: {}", sketch(&job))));
        }
        Ok(())
    }

    /// The pieces of a log.
    pub(crate) async fn chunks(&self, id: &JobId, options: LogOptions) -> Result<Vec<LogChunk>, Failure> {
        let stream = self.logs(id, &options).await?;
        let chunks = to_the_end(&format!("the log of {options:?}"), self.patience, stream).await?;
        let chunks = chunks.into_iter().collect::<BackendResult<Vec<_>>>()?;
        for chunk in &chunks {
            let right = options.stream.is_none_or(|stream| stream == chunk.stream);
            ensure!(right, "{:?} was asked for and {:?} came", options.stream, chunk.stream);
            ensure!(chunk.bytes.len() <= 64 << 10, "a piece of the log is of {} bytes", chunk.bytes.len());
        }
        Ok(chunks)
    }

    /// The first page of outputs, which is expected to be all.
    pub(crate) async fn first_outputs(&self, id: &JobId) -> Result<OutputPage, Failure> {
        Ok(self.outputs(id, &Page { limit: 1000, cursor: None }).await?)
    }

    /// The outputs' paths.
    pub(crate) async fn output_paths(&self, id: &JobId) -> Result<Vec<String>, Failure> {
        let page = self.first_outputs(id).await?;
        Ok(page.items.iter().map(|output| output.path.as_str().to_owned()).collect())
    }

    /// All that `watch` yields, to its end.
    pub(crate) async fn watched(&self, id: &JobId) -> Result<Vec<BackendResult<Job>>, Failure> {
        to_the_end("watch", self.patience, self.watch(id)).await
    }

    /// One output, or a range of it.
    pub(crate) async fn read(
        &self,
        id: &JobId,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<(Output, Vec<u8>), Failure> {
        let path = path.parse().map_err(|error| Failure::new(format!("{path}: {error}")))?;
        let stream = self.read_output(id, &path, range).await?;
        let due = stream.range.end - stream.range.start;
        let mut bytes = Vec::new();
        let mut pieces = stream.stream;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            ensure!(piece.len() <= 1 << 20, "a piece of {path} is of {} bytes", piece.len());
            bytes.extend_from_slice(&piece);
            ensure!(bytes.len() as u64 <= due, "{due} bytes of {path} were promised and more came");
        }
        ensure!(bytes.len() as u64 == due, "{due} bytes of {path} were promised and {} came", bytes.len());
        Ok((stream.output, bytes))
    }

    /// The lines that executions of a job left: in its output `token`, of which each is one execution.
    pub(crate) async fn executions(&self, id: &JobId) -> Result<Vec<String>, Failure> {
        let (_, bytes) = self.read(id, "token", None).await?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    /// Every job of a filter, by pages of `limit`.
    pub(crate) async fn all(&self, filter: &JobFilter, limit: u32) -> Result<Vec<Job>, Failure> {
        let mut jobs = Vec::new();
        let mut cursor = None;
        for _ in 0..1000 {
            let page = self.list(filter, &Page { limit, cursor }).await?;
            ensure!(page.jobs.len() <= limit as usize, "a page of {limit} holds {} jobs", page.jobs.len());
            jobs.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(jobs);
            }
        }
        Err(Failure::new("the pages of a list do not end"))
    }
}

impl Deref for Gateway {
    type Target = dyn Backend;
    fn deref(&self) -> &Self::Target {
        self.backend.as_ref()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

/// More pieces than any stream of a trial has.
const MANY: usize = 10_000;

/// Reads a stream to its end, which must come: a broken one may yield for ever, without pause.
pub(crate) async fn to_the_end<T>(
    what: &str,
    patience: Duration,
    mut stream: BoxStream<'static, T>,
) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    let reading = async {
        while items.len() < MANY
            && let Some(item) = stream.next().await
        {
            items.push(item);
            // So that the time limit has its turn.
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(patience, reading).await.is_ok();
    ensure!(in_time && items.len() < MANY, "{what} does not end: in {patience:?} it yielded {} times", items.len());
    Ok(items)
}

/// Waits for a condition, with a limit.
pub(crate) async fn eventually<F>(within: Duration, otherwise: &str, mut is: F) -> Result<(), Failure>
where
    F: AsyncFnMut() -> Result<bool, Failure>,
{
    let limit = Instant::now() + within;
    while !is().await? {
        ensure!(Instant::now() < limit, "{otherwise}");
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

/// How long this machine kept the suite itself waiting: what is slower than that is the backend's doing.
pub(crate) struct Stalls {
    pulse: Interval,
    longest: Duration,
}

impl Stalls {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self { pulse: tokio::time::interval(GLANCE), longest: Duration::ZERO }
    }

    /// Waits for something, and notices meanwhile how late this task gets its turn.
    pub(crate) async fn beside<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                biased;
                due = self.pulse.tick() => self.longest = self.longest.max(due.elapsed()),
                result = &mut wait => return result,
            }
        }
    }

    /// The longest so far, in milliseconds.
    pub(crate) fn longest(&self) -> i64 {
        i64::try_from(self.longest.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A job in one line, for texts of failures.
pub(crate) fn sketch(job: &Job) -> String {
    let way: Vec<_> = job.transitions.iter().map(|Transition { phase, .. }| phase.as_str()).collect();
    let reason = job.reason.as_ref().map_or(String::new(), |reason| format!(", {reason:?}"));
    let waiting = job.waiting.as_ref().map_or(String::new(), |waiting| format!(", waits for {}", waiting.message));
    format!("job {} is {} ({}{reason}{waiting})", job.id, job.phase, way.join(" > "))
}
