use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt as _;

use super::FileFault;
use super::sink::Sink;
use crate::guard::{self, FetchError, Guard};

/// The first pause before another try.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Fetches from http and https. A store that does not answer is tried again until the deadline; what is definite (404,
/// too large) is not.
pub struct HttpFetch {
    runtime: tokio::runtime::Runtime,
    deadline: Instant,
    waiting: Box<dyn FnMut(&str)>,
}

impl std::fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFetch").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// Why one try failed.
enum Failed {
    Fetch(FetchError),
    File(FileFault),
}

impl HttpFetch {
    /// One that gives up at `deadline`, and tells `waiting` each time what it waits for.
    pub fn new(deadline: Instant, waiting: impl FnMut(&str) + 'static) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, deadline, waiting: Box::new(waiting) })
    }

    /// From a URL of the publisher's: where it is, down to the host, is his secret.
    pub(super) fn publisher(&mut self, url: &str, sink: &mut Sink) -> Result<(), FileFault> {
        self.fetch(None, url, sink, |error| match error {
            FetchError::Url => "has a URL that is not one of http or https".to_owned(),
            FetchError::Private { .. } => "has an address that is refused".to_owned(),
            FetchError::Resolve { .. } => "can't be fetched: its store's name does not resolve".to_owned(),
            FetchError::Redirect { .. } => "can't be fetched: its store redirects too often".to_owned(),
            FetchError::Status { status, .. } => format!("can't be fetched: its store answered {status}"),
            FetchError::TooLarge { limit } => format!("is larger than the {limit} bytes that it may have"),
            FetchError::Transport(words) => format!("can't be fetched: {words}"),
        })
    }

    /// From a URL that a consumer named, behind the guard.
    pub(super) fn guarded(&mut self, url: &str, allow: &[SocketAddr], sink: &mut Sink) -> Result<(), FileFault> {
        let guard = Guard { allow: allow.to_vec() };
        self.fetch(Some(&guard), url, sink, |error| format!("can't be fetched: {error}"))
    }

    fn fetch(
        &mut self,
        guard: Option<&Guard>,
        url: &str,
        sink: &mut Sink,
        words: fn(&FetchError) -> String,
    ) -> Result<(), FileFault> {
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let attempt = self.runtime.block_on(async {
                let late = |_| Err(Failed::Fetch(FetchError::Transport("the answer did not end in time".to_owned())));
                tokio::time::timeout(left, once(guard, url, sink)).await.unwrap_or_else(late)
            });
            let error = match attempt {
                Ok(()) => return Ok(()),
                Err(Failed::File(fault)) => return Err(fault),
                Err(Failed::Fetch(error)) => error,
            };
            if !error.is_retryable() {
                return Err(FileFault::Definite(words(&error)));
            }
            if Instant::now() + pause >= self.deadline {
                return Err(FileFault::Unreachable(words(&error)));
            }
            (self.waiting)(&words(&error));
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            sink.restart()?;
        }
    }
}

async fn once(guard: Option<&Guard>, url: &str, sink: &mut Sink) -> Result<(), Failed> {
    let response = guard::get(guard, url).await.map_err(Failed::Fetch)?;
    let mut body = std::pin::pin!(guard::limited(response, sink.most()));
    while let Some(piece) = body.next().await {
        sink.write(&piece.map_err(Failed::Fetch)?).map_err(Failed::File)?;
    }
    Ok(())
}
