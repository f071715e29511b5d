//! A job's log and its events.

use std::sync::Arc;

use brizo_backend::{JobId, LogChunk, LogOptions, LogStream};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::{Data, RemoteAddr};
use poem::{Body, Response};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::registry::{MetaResponse, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{Enum, OpenApi};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::bearer::{Bearer, BearerOrLink};
use super::cut::cut_on_error;
use super::document::Tag;
use super::frame::RequestId;
use super::links::Linked;
use super::refusal::{Described, ProblemView, Refusal, Statuses, Written, described, text_schema};
use super::sse::{self, Event};
use super::wire::{JobView, TransitionView};
use super::{State, hide};
use crate::identity::Scope;
use crate::problem::Problem;

pub(crate) struct Streams(pub(crate) Arc<State>);

pub(crate) struct StreamRefusals;
impl Statuses for StreamRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 414, 429, 500, 501, 503];
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "LogStream", rename_all = "snake_case")]
pub(crate) enum LogStreamView {
    Stdout,
    Stderr,
    All,
}

fn zero() -> u64 {
    0
}

pub(crate) struct LogAnswer;
impl Described for LogAnswer {
    fn responses() -> Vec<MetaResponse> {
        let content = [("text/plain", text_schema()), ("text/event-stream", text_schema())];
        vec![described(200, "The log: any bytes, as they were written; or events, by Accept.", &content)]
    }
}

pub(crate) struct EventsAnswer;
impl Described for EventsAnswer {
    fn responses() -> Vec<MetaResponse> {
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("Server-sent events, each with a Transition or, at last, the Job as its data."),
            ..MetaSchema::new("string")
        }));
        vec![
            described(
                200,
                "The job's transitions as they come, and the job at its end.",
                &[("text/event-stream", schema)],
            ),
            described(204, "The end was told before (Last-Event-ID was its id); nothing will come any more.", &[]),
        ]
    }
    fn register(registry: &mut Registry) {
        TransitionView::register(registry);
        JobView::register(registry);
    }
}

/// The id of the last event, which comes after every transition's.
const END_ID: u32 = 7;

#[OpenApi(tag = "Tag::Jobs")]
impl Streams {
    /// Read a job's log
    ///
    /// By default what there is, at once, as text. With `Accept: text/event-stream` each piece is an event `log` with
    /// `{"stream", "offset", "at", "text"}` and the offset after it as its id, which `Last-Event-ID` resumes from; bytes
    /// that are no UTF-8 are replaced there, and nowhere else. Swagger UI shows nothing of a followed log before its end:
    ///
    /// ```text
    /// curl -N -H "Authorization: Bearer $TOKEN" "$GATEWAY/api/v1/jobs/$JOB/logs?follow=true"
    /// ```
    #[oai(path = "/api/v1/jobs/:id/logs", method = "get", operation_id = "read_log")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter that the document declares")]
    async fn logs(
        &self,
        bearer: BearerOrLink,
        /// The job's id: 32 hex digits.
        id: Path<String>,
        /// One stream, or all (the default) in the order in which they were written.
        stream: Query<Option<LogStreamView>>,
        /// The first byte to read, counted within what `stream` selects.
        #[oai(default = "zero")]
        offset: Query<u64>,
        /// Go on until the job has ended.
        #[oai(default)]
        follow: Query<bool>,
        /// Resumes a stream of events after the event of this id; takes the place of `offset`.
        #[oai(name = "Last-Event-ID")]
        last: Header<Option<String>>,
        /// The end of the link, in Unix seconds.
        expires: Query<Option<i64>>,
        /// The link's signature.
        mac: Query<Option<String>>,
        request: Data<&RequestId>,
        peer: &RemoteAddr,
        headers: &HeaderMap,
    ) -> Result<Written<LogAnswer>, Refusal<StreamRefusals>> {
        let id = self.0.opened_job(&bearer, &id.0, Linked::Log, expires.0, mac.0.as_deref()).await?;
        let events = wants_events(headers);
        let offset = match (&last.0, events) {
            (Some(last), true) => last.parse().map_err(|_| {
                Problem::invalid_at(
                    "Last-Event-ID",
                    "A log's event ids are byte offsets; take the last one as it came.",
                )
            })?,
            _ => offset.0,
        };
        let stream = match stream.0 {
            Some(LogStreamView::Stdout) => Some(LogStream::Stdout),
            Some(LogStreamView::Stderr) => Some(LogStream::Stderr),
            Some(LogStreamView::All) | None => None,
        };
        if follow.0 && !self.0.backend().capability().logs_follow {
            return Err(Problem::new(crate::problem::Code::NotSupported, "This backend can't follow a log.").into());
        }
        let place = self.0.stream_place()?;
        let options = LogOptions { stream, offset, follow: follow.0 };
        let chunks = self.0.backend().logs(&id, &options).await.map_err(|error| hide(error, &id))?;
        let shutdown = self.0.setup.shutdown.clone();
        let response = if events {
            sse::respond(hold(log_events(chunks, offset, request.0.clone()), place), shutdown)
        } else {
            // A log that the gateway's own end cuts must not look whole.
            let cut = shutdown.clone();
            let broken = futures::stream::once(async move { cut.is_cancelled() }).filter_map(|cut| {
                futures::future::ready(cut.then(|| Err(std::io::Error::other("the gateway shuts down"))))
            });
            let bytes = chunks.map(|chunk| chunk.map(|chunk| chunk.bytes).map_err(std::io::Error::other));
            let bytes = bytes.take_until(shutdown.cancelled_owned()).chain(broken);
            let mut response = Response::builder()
                .content_type("text/plain; charset=utf-8")
                .body(Body::from_bytes_stream(cut_on_error(hold(bytes, place), peer)));
            sse::unbuffered(&mut response);
            response
        };
        Ok(Written::new(response))
    }

    /// Follow a job's phases
    ///
    /// Each transition is an event `phase`; the last event is `end`, with the whole job (or `problem`, if the job was
    /// deleted meanwhile). Ids are the phases' own numbers,
    /// so a stream that was cut is resumed at any gateway by `Last-Event-ID`. Swagger UI shows nothing before the end:
    ///
    /// ```text
    /// curl -N -H "Authorization: Bearer $TOKEN" "$GATEWAY/api/v1/jobs/$JOB/events"
    /// ```
    #[oai(path = "/api/v1/jobs/:id/events", method = "get", operation_id = "follow_job")]
    async fn events(
        &self,
        bearer: Bearer,
        /// The job's id: 32 hex digits.
        id: Path<String>,
        /// Leaves out the events up to this id.
        #[oai(name = "Last-Event-ID")]
        last: Header<Option<String>>,
        request: Data<&RequestId>,
    ) -> Result<Written<EventsAnswer>, Refusal<StreamRefusals>> {
        let access = self.0.caller(&bearer, Scope::Read).await?;
        let job = self.0.own_job(&access, &id.0).await?;
        let seen: u32 = match &last.0 {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                Problem::invalid_at("Last-Event-ID", "An event's id is a number; take the last one as it came.")
            })?,
        };
        if seen >= END_ID {
            return Ok(Written::new(Response::builder().status(StatusCode::NO_CONTENT).finish()));
        }
        let place = self.0.stream_place()?;
        let events = job_events(self.0.backend().watch(&job.id), job.id, seen, request.0.clone());
        Ok(Written::new(sse::respond(hold(events, place), self.0.setup.shutdown.clone())))
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.to_ascii_lowercase().contains("text/event-stream"))
}

/// Keeps a place among the streams as long as the stream.
fn hold<S: Stream + Send + 'static>(
    stream: S,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = S::Item> + Send + 'static {
    stream.map(move |item| {
        let _held = &place;
        item
    })
}

/// The transitions past `seen` as they come, and the end.
fn job_events(
    jobs: BoxStream<'static, brizo_backend::Result<brizo_backend::Job>>,
    id: JobId,
    seen: u32,
    request: RequestId,
) -> impl Stream<Item = Event> + Send + 'static {
    jobs.scan((seen, false), move |(seen, done), job| {
        let mut events = Vec::new();
        if *done {
            return futures::future::ready(None);
        }
        match job {
            Ok(job) => {
                for transition in job.transitions.iter().filter(|transition| transition.id > *seen) {
                    events.push(Event {
                        id: Some(transition.id.to_string()),
                        name: "phase",
                        data: TransitionView::from(transition).to_json_string(),
                    });
                }
                *seen = job.transitions.last().map_or(*seen, |last| last.id.max(*seen));
                if job.phase.is_end() {
                    *done = true;
                    events.push(Event {
                        id: Some(END_ID.to_string()),
                        name: "end",
                        data: JobView::from(&job).to_json_string(),
                    });
                }
            }
            Err(error) => {
                *done = true;
                let problem = hide(error, &id);
                events.push(Event {
                    id: None,
                    name: "problem",
                    data: ProblemView::new(&problem, &request.0).to_json_string(),
                });
            }
        }
        futures::future::ready(Some(futures::stream::iter(events)))
    })
    .flatten()
}

/// What a log looks like as events: text, with what is no UTF-8 replaced. A character that a chunk's end cuts waits for
/// the next chunk.
fn log_events(
    chunks: BoxStream<'static, brizo_backend::Result<LogChunk>>,
    offset: u64,
    request: RequestId,
) -> impl Stream<Item = Event> + Send + 'static {
    let ends = futures::stream::once(async { None });
    chunks
        .map(Some)
        .chain(ends)
        .scan((Cut::default(), offset, false), move |(cut, next, failed), chunk| {
            let mut events = Vec::new();
            match chunk {
                Some(Ok(chunk)) => {
                    *next = chunk.offset + chunk.bytes.len() as u64;
                    events.extend(cut.feed(chunk).into_iter().map(|piece| log_event(&piece)));
                }
                Some(Err(error)) => {
                    *failed = true;
                    let problem = Problem::from(error);
                    events.push(Event {
                        id: None,
                        name: "problem",
                        data: ProblemView::new(&problem, &request.0).to_json_string(),
                    });
                }
                None => {
                    events.extend(cut.rest().map(|piece| log_event(&piece)));
                    if !*failed {
                        events.push(Event {
                            id: Some(next.to_string()),
                            name: "end",
                            data: json!({"offset": *next}).to_string(),
                        });
                    }
                }
            }
            futures::future::ready(Some(futures::stream::iter(events)))
        })
        .flatten()
}

fn log_event(piece: &LogChunk) -> Event {
    let stream = match piece.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let data = json!({
        "stream": stream,
        "offset": piece.offset,
        "at": brizo_backend::rfc3339(piece.at),
        "text": String::from_utf8_lossy(&piece.bytes),
    });
    Event { id: Some((piece.offset + piece.bytes.len() as u64).to_string()), name: "log", data: data.to_string() }
}

/// The end of a chunk that is the beginning of a character.
#[derive(Default)]
struct Cut(Option<LogChunk>);

impl Cut {
    fn feed(&mut self, mut chunk: LogChunk) -> Vec<LogChunk> {
        let mut pieces = Vec::new();
        if let Some(held) = self.0.take() {
            if held.stream == chunk.stream && held.offset + held.bytes.len() as u64 == chunk.offset {
                let mut joined = BytesMut::from(&held.bytes[..]);
                joined.extend_from_slice(&chunk.bytes);
                chunk = LogChunk { offset: held.offset, bytes: joined.freeze(), ..chunk };
            } else {
                pieces.push(held);
            }
        }
        let whole = chunk.bytes.len() - unfinished(&chunk.bytes);
        let rest = chunk.bytes.split_off(whole);
        if !rest.is_empty() {
            self.0 = Some(LogChunk { offset: chunk.offset + whole as u64, bytes: rest, ..chunk.clone() });
        }
        if !chunk.bytes.is_empty() {
            pieces.push(chunk);
        }
        pieces
    }

    fn rest(&mut self) -> Option<LogChunk> {
        self.0.take()
    }
}

/// How many bytes at the end begin a character and do not finish it: 0 to 3.
fn unfinished(bytes: &Bytes) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(start) = tail.iter().rposition(|byte| byte & 0xc0 != 0x80) else { return 0 };
    let needed = match tail[start] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let have = tail.len() - start;
    if have < needed { have } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64, bytes: &'static [u8]) -> LogChunk {
        LogChunk { stream: LogStream::Stdout, offset, at: brizo_backend::now(), bytes: Bytes::from_static(bytes) }
    }

    async fn texts(chunks: Vec<LogChunk>) -> Vec<(String, String)> {
        let chunks = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
        let events: Vec<_> = log_events(chunks, 0, RequestId("r".into())).collect().await;
        events
            .iter()
            .filter(|event| event.name == "log")
            .map(|event| {
                let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                (event.id.clone().unwrap(), data["text"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    #[tokio::test]
    async fn a_character_that_a_chunk_cuts_is_not_broken_and_garbage_hides_nothing() {
        let got = texts(vec![chunk(0, b"a\xe2\x82"), chunk(3, b"\xac!")]).await;
        assert_eq!(got, [("1".into(), "a".into()), ("5".into(), "€!".into())]);
        let got = texts(vec![chunk(0, b"hi\n\x80\xff\0\n\x1b[2Jend\n")]).await;
        assert_eq!(got[0].1, "hi\n\u{fffd}\u{fffd}\0\n\u{1b}[2Jend\n");
        let got = texts(vec![chunk(0, b"x\xf0\x9f")]).await;
        assert_eq!(got.last().unwrap(), &("3".into(), "\u{fffd}".into()), "the log ended within a character");
        let mut other = chunk(1, b"err");
        other.stream = LogStream::Stderr;
        let got = texts(vec![chunk(0, b"\xe2"), other]).await;
        assert_eq!(got.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["\u{fffd}", "err"]);
    }
}
