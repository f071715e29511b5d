use std::num::NonZeroU32;

use brizo_backend::ErrorKind;
use poem::http::Method;

use super::*;
use crate::api::Rate;
use crate::problem::Code;

#[tokio::test]
async fn bad_bodies_have_their_status_and_a_text_that_helps() {
    let gateway = Gateway::new();
    let post = |kind: &str, body: String| gateway.ask(Method::POST, "/api/v1/jobs").body(kind, body);
    gateway.send(post("application/json", "{".into())).await.problem(400, "invalid_request").await;
    gateway.send(post("application/json", String::new())).await.problem(400, "invalid_request").await;
    gateway.send(post("application/json", "{}".into())).await.problem(400, "invalid_request").await;
    let problem =
        gateway.send(post("text/plain", start_body().to_string())).await.problem(415, "invalid_request").await;
    assert!(problem["detail"].as_str().unwrap().contains("application/json"));
    let ask = post("x", start_body().to_string()).without("content-type");
    gateway.send(ask).await.problem(415, "invalid_request").await;
    let ask = post("application/json; charset=utf-8", start_body().to_string());
    assert_eq!(gateway.send(ask).await.status(), 201);
    let huge = format!("{{\"agreements\":\"{}\"}}", "x".repeat(4 << 20));
    gateway.send(post("application/json", huge)).await.problem(413, "too_large").await;
    let mut body = start_body();
    body["algorithm"]["code"] = json!("x".repeat(512 * 1024 + 1));
    gateway.send(gateway.post("/api/v1/jobs", &body)).await.problem(413, "too_large").await;
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let gateway = Gateway::new();
    let id = gateway.started().await;
    for (path, name) in [
        ("/api/v1/jobs?limit=0", "limit"),
        ("/api/v1/jobs?limit=101", "limit"),
        ("/api/v1/jobs?limit=x", "limit"),
        ("/api/v1/jobs?cursor=garbage", "cursor"),
        ("/api/v1/jobs?phase=cooking", "phase"),
        ("/api/v1/jobs?agreement=0x12", "agreement"),
        ("/api/v1/jobs?created_after=yesterday", "created_after"),
        (&format!("/api/v1/jobs/{id}/outputs?limit=1001"), "limit"),
        (&format!("/api/v1/jobs/{id}/outputs?cursor=%00"), "cursor"),
        (&format!("/api/v1/jobs/{id}/logs?stream=both"), "stream"),
        (&format!("/api/v1/jobs/{id}/logs?offset=-1"), "offset"),
        (&format!("/api/v1/jobs/{id}/logs?follow=perhaps"), "follow"),
    ] {
        let problem = gateway.send(gateway.get(path)).await.problem(400, "invalid_request").await;
        assert_eq!(problem["errors"][0]["pointer"], name, "{path}: {problem}");
    }
    let ask = gateway.get(&format!("/api/v1/jobs/{id}/events")).header("last-event-id", "x");
    gateway.send(ask).await.problem(400, "invalid_request").await;
}

#[tokio::test]
async fn the_routers_own_answers_are_problems_too() {
    let gateway = Gateway::new();
    gateway.send(gateway.get("/nowhere")).await.problem(404, "not_found").await;
    gateway.send(gateway.ask(Method::PATCH, "/api/v1/jobs")).await.problem(405, "invalid_request").await;
    let problem = gateway.send(gateway.get("/api/v1/jobs/NOT-AN-ID")).await.problem(404, "not_found").await;
    assert!(problem["detail"].as_str().unwrap().contains("32 hex"));
    for path in ["/", "/api/v1/brizo/services/compute"] {
        let problem = gateway.send(gateway.get(path)).await.problem(404, "not_found").await;
        assert!(problem["detail"].as_str().unwrap().contains("server.legacy"), "{path}");
    }
    let long = format!("/api/v1/jobs?x={}", "y".repeat(60 * 1024));
    gateway.send(gateway.get(&long)).await.problem(414, "too_large").await;
    let fits = format!("/api/v1/jobs?x={}", "y".repeat(59 * 1024));
    assert_eq!(gateway.send(gateway.get(&fits)).await.status(), 200);
}

#[tokio::test]
async fn who_has_not_signed_is_told_how_to() {
    let gateway = Gateway::new();
    for authorization in [None, Some("Basic x"), Some("Bearer"), Some("Bearer nonsense")] {
        let ask = Ask::new(Method::GET, "/api/v1/jobs");
        let ask =
            authorization.map_or(Ask::new(Method::GET, "/api/v1/jobs"), |value| ask.header("authorization", value));
        let answer = gateway.send(ask).await;
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        let problem = answer.problem(401, "unauthenticated").await;
        assert!(problem["detail"].as_str().unwrap().contains("brizo token"), "{authorization:?}");
    }
}

#[tokio::test]
async fn refusals_of_chain_and_backend_have_their_status_and_say_when_to_try_again() {
    let gateway = Gateway::new();
    for (code, status) in [
        (Code::NotAuthorized, 401),
        (Code::PriceChanged, 401),
        (Code::LockUnpaid, 409),
        (Code::NotGranted, 409),
        (Code::AlgorithmNotAllowed, 400),
        (Code::NotSupported, 501),
        (Code::Unavailable, 503),
    ] {
        gateway.desk.refuse_with(Some((code, "and this is the reason why")));
        let answer = gateway.send(gateway.post("/api/v1/jobs", &start_body())).await;
        assert_eq!(answer.header("retry-after"), if status == 503 { "5" } else { "" });
        answer.problem(status, code.as_str()).await;
    }
    gateway.desk.refuse_with(None);
    for (kind, status, code) in [
        (ErrorKind::QuotaExceeded, 429, "quota_exceeded"),
        (ErrorKind::StorageFull, 507, "storage_full"),
        (ErrorKind::ImageNotAllowed, 400, "image_not_allowed"),
        (ErrorKind::InvalidSpec, 400, "invalid_request"),
        (ErrorKind::Unsupported, 501, "not_supported"),
        (ErrorKind::Unavailable, 503, "unavailable"),
        (ErrorKind::Internal, 500, "internal"),
    ] {
        *gateway.backend.fail_submit.lock().unwrap() = Some(kind);
        let problem = gateway.send(gateway.post("/api/v1/jobs", &start_body())).await.problem(status, code).await;
        let told = problem["detail"].as_str().unwrap().contains("this is why");
        assert_eq!(told, status != 500, "{problem}");
    }
    assert_eq!(gateway.backend.count(), 0);
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_of_the_inside() {
    let gateway = Gateway::new();
    let mut body = start_body();
    body["algorithm"]["code"] = json!("panic");
    let problem = gateway.send(gateway.post("/api/v1/jobs", &body)).await.problem(500, "internal").await;
    assert!(!problem.to_string().contains("as it was told to"));
    assert_eq!(gateway.send(gateway.get("/api/v1/jobs")).await.status(), 200);
}

#[tokio::test]
async fn who_asks_too_often_gets_429() {
    let gateway = Gateway::with_rates(Rates::new(None, NonZeroU32::new(1).map(Rate)));
    for _ in 0..5 {
        assert_eq!(gateway.send(gateway.get("/api/v1/jobs")).await.status(), 200);
    }
    let answer = gateway.send(gateway.get("/api/v1/jobs")).await;
    assert_ne!(answer.header("retry-after"), "");
    answer.problem(429, "rate_limited").await;
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let gateway = Gateway::new();
    let ask = Ask::new(Method::OPTIONS, "/api/v1/jobs")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let answer = gateway.send(ask).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-headers").contains("Idempotency-Key"));
    let answer = gateway.send(gateway.get("/api/v1/jobs").header("origin", "https://app.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("ETag"));
}
