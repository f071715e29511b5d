use brizo_backend::LogStream;
use futures::StreamExt;

use super::*;

/// The events of a stream up to and with the one of this name.
async fn events_until(answer: Answer, last: &str) -> Vec<(String, String, Value)> {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    let mut body = answer.0.into_body().into_bytes_stream();
    let mut events = Vec::new();
    let limit = std::time::Duration::from_secs(10);
    while let Some(piece) = tokio::time::timeout(limit, body.next()).await.expect("an event within the limit") {
        let text = String::from_utf8(piece.unwrap().to_vec()).unwrap();
        let field = |name: &str| {
            let prefix = format!("{name}: ");
            text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
        };
        if field("event").is_empty() {
            continue;
        }
        let event = (field("id"), field("event"), serde_json::from_str(&field("data")).unwrap());
        let done = event.1 == last;
        events.push(event);
        if done {
            break;
        }
    }
    events
}

#[tokio::test]
async fn events_tell_each_transition_once_and_resume_where_they_were_cut() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    let path = format!("/api/v1/jobs/{id}/events");
    let seen = events_until(gateway.send(gateway.get(&path)).await, "phase").await;
    assert_eq!((seen[0].0.as_str(), seen[0].2["phase"].as_str()), ("1", Some("queued")));

    gateway.backend.run(&id);
    gateway.backend.end(&id, None);
    let cut = gateway.get(&path).header("last-event-id", "1");
    let rest = events_until(gateway.send(cut).await, "end").await;
    let ids: Vec<_> = rest.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(ids, ["2", "3", "4", "6", "7"]);
    let (_, name, job) = rest.last().unwrap();
    assert_eq!((name.as_str(), job["id"].as_str().unwrap(), &job["phase"]), ("end", id.as_str(), &json!("succeeded")));

    let cut = gateway.get(&path).header("last-event-id", "6");
    assert_eq!(events_until(gateway.send(cut).await, "end").await.len(), 1);
    let done = gateway.get(&path).header("last-event-id", "7");
    assert_eq!(gateway.send(done).await.status(), 204, "a browser stops asking");
}

#[tokio::test]
async fn logs_return_at_once_byte_for_byte_and_resume_from_an_offset() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    let path = format!("/api/v1/jobs/{id}/logs");
    assert_eq!(gateway.send(gateway.get(&path)).await.bytes().await, b"");
    gateway.backend.run(&id);
    gateway.backend.say(&id, LogStream::Stdout, b"hi\n\x80\xff\0");
    gateway.backend.say(&id, LogStream::Stderr, b"oh");
    let read = async |query: &str| gateway.send(gateway.get(&format!("{path}{query}"))).await.bytes().await;
    assert_eq!(read("").await, b"hi\n\x80\xff\0oh");
    assert_eq!(read("?stream=stdout").await, b"hi\n\x80\xff\0");
    assert_eq!(read("?stream=stderr&offset=1").await, b"h");
    assert_eq!(read("?offset=6").await, b"oh");
    assert_eq!(read("?offset=99").await, b"");
    let answer = gateway.send(gateway.get(&path)).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");

    let link = gateway.state.log_link(&id.parse().unwrap());
    let answer = gateway.send(Ask::new(Method::GET, link.strip_prefix(URL).unwrap())).await;
    assert_eq!((answer.status(), answer.bytes().await.len()), (200, 8));
}

#[tokio::test]
async fn logs_as_events_replace_what_is_no_text_and_resume_by_id() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    gateway.backend.run(&id);
    gateway.backend.say(&id, LogStream::Stdout, b"one\n");
    gateway.backend.say(&id, LogStream::Stderr, b"\xff\n");
    let path = format!("/api/v1/jobs/{id}/logs");
    let ask = |path: &str| gateway.get(path).header("accept", "text/event-stream");
    let events = events_until(gateway.send(ask(&path)).await, "end").await;
    assert_eq!(events[0].0, "4");
    assert_eq!(events[0].2["text"], "one\n");
    assert_eq!((&events[1].2["stream"], &events[1].2["text"]), (&json!("stderr"), &json!("\u{fffd}\n")));
    assert_eq!(events[2].2["offset"], 6);
    let events = events_until(gateway.send(ask(&path).header("last-event-id", "4")).await, "end").await;
    assert_eq!(events[0].2["offset"], 4);
    let followed = events_until(gateway.send(ask(&format!("{path}?follow=true"))).await, "log").await;
    assert_eq!(followed.len(), 1, "the first event comes while the job runs");
}

#[tokio::test]
async fn a_followed_log_that_the_gateways_end_cuts_does_not_look_whole() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    gateway.backend.say(&id, LogStream::Stdout, b"x");
    let answer = gateway.send(gateway.get(&format!("/api/v1/jobs/{id}/logs?follow=true"))).await;
    let mut body = answer.0.into_body().into_bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "x");
    gateway.state.setup.shutdown.cancel();
    assert!(body.next().await.unwrap().is_err());
}
