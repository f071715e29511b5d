//! Server-sent events: their form, a comment when nothing else was said for 15 seconds, and the headers that keep
//! proxies from holding them back.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use poem::http::{HeaderValue, header};
use poem::{Body, Response};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// Shorter than the minute after which proxies cut a silent stream.
const QUIET: Duration = Duration::from_secs(15);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: &'static str,
    /// One line: JSON.
    pub(crate) data: String,
}

impl Event {
    fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 64);
        if let Some(id) = &self.id {
            let _ = writeln!(text, "id: {id}");
        }
        let _ = write!(text, "event: {}\ndata: {}\n\n", self.name, self.data);
        text.into()
    }
}

/// `stream` as a response; it ends with the stream, or when the gateway shuts down.
pub(crate) fn respond(stream: impl Stream<Item = Event> + Send + 'static, shutdown: CancellationToken) -> Response {
    respond_with(stream, shutdown, QUIET)
}

fn respond_with(
    stream: impl Stream<Item = Event> + Send + 'static,
    shutdown: CancellationToken,
    quiet: Duration,
) -> Response {
    let mut interval = interval_at(Instant::now() + quiet, quiet);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let opening = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"retry: 2000\n\n")) });
    let events =
        futures::stream::unfold((stream.boxed(), interval, shutdown), |(mut stream, mut interval, shutdown)| async {
            let bytes = next(&mut stream, &mut interval, &shutdown).await?;
            Some((Ok(bytes), (stream, interval, shutdown)))
        });
    let mut response =
        Response::builder().content_type("text/event-stream").body(Body::from_bytes_stream(opening.chain(events)));
    unbuffered(&mut response);
    response
}

async fn next(
    stream: &mut (impl Stream<Item = Event> + Unpin),
    interval: &mut Interval,
    shutdown: &CancellationToken,
) -> Option<Bytes> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        event = stream.next() => {
            interval.reset();
            event.map(|event| event.encode())
        }
        _ = interval.tick() => Some(Bytes::from_static(b":\n\n")),
    }
}

/// The headers that keep proxies and caches from holding a stream back.
pub(crate) fn unbuffered(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_stream_is_kept_alive_for_proxies_that_cut_after_a_minute() {
        assert!(QUIET < Duration::from_mins(1));
        let quiet = Duration::from_millis(20);
        let response = respond_with(futures::stream::pending(), CancellationToken::new(), quiet);
        assert_eq!(response.header("x-accel-buffering"), Some("no"));
        assert_eq!(response.header("cache-control"), Some("no-store, no-transform"));
        let mut body = response.into_body().into_bytes_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "retry: 2000\n\n");
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
        }
        assert!(start.elapsed() >= quiet * 2);
    }

    #[tokio::test]
    async fn streams_end_with_the_gateway() {
        let shutdown = CancellationToken::new();
        let mut body = respond(futures::stream::pending(), shutdown.clone()).into_body().into_bytes_stream();
        body.next().await;
        shutdown.cancel();
        assert!(body.next().await.is_none());
    }
}
