//! A consumer who speaks HTTP to a gateway, as a program of his own would.

use std::time::{Duration, Instant};

use alloy_signer_local::PrivateKeySigner;
use brizo::identity::{Scopes, issue_token};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// How long a job may take on a busy machine.
const JOB: Duration = Duration::from_secs(90);

/// A consumer with a key, at one gateway.
#[derive(Debug, Clone)]
pub struct Consumer {
    http: Client,
    base: String,
    token: String,
}

impl Consumer {
    /// The consumer with this key, at the gateway that answers at `base`.
    pub fn new(key: &PrivateKeySigner, chain_id: u64, base: &str) -> Self {
        let token = issue_token(key, chain_id, base, Scopes::ALL, Timestamp::now(), SignedDuration::from_hours(1))
            .unwrap_or_else(|error| panic!("no token can be signed: {error}"));
        let http = Client::builder().build().unwrap_or_else(|error| panic!("no HTTP client: {error}"));
        Self { http, base: base.to_owned(), token }
    }

    /// The same consumer at another gateway that takes his token.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// His bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request with his token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// An answer's status and JSON (null where it is none).
    pub async fn send(request: RequestBuilder) -> (StatusCode, Value) {
        let response = request.send().await.unwrap_or_else(|error| panic!("the gateway does not answer: {error}"));
        let status = response.status();
        let bytes = response.bytes().await.unwrap_or_default();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Posts a job.
    pub async fn post(&self, body: &Value, key: Option<&str>) -> (StatusCode, Value) {
        let mut request = self.request(Method::POST, "/api/v1/jobs").json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Self::send(request).await
    }

    /// Posts a job that must be accepted, and returns its id.
    pub async fn start(&self, body: &Value) -> String {
        let (status, job) = self.post(body, None).await;
        assert_eq!(status, StatusCode::CREATED, "{job}");
        job["id"].as_str().unwrap_or_default().to_owned()
    }

    /// A job.
    pub async fn job(&self, id: &str) -> (StatusCode, Value) {
        Self::send(self.request(Method::GET, &format!("/api/v1/jobs/{id}"))).await
    }

    /// Waits until `met` is true of a job, and returns it.
    pub async fn wait(&self, id: &str, what: &str, met: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + JOB;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let (status, job) = self.job(id).await;
            assert_eq!(status, StatusCode::OK, "{job}");
            if met(&job) {
                return job;
            }
            assert!(Instant::now() < until, "job {id} is not {what} in time: {job:#}");
        }
    }

    /// Waits for the end of a job.
    pub async fn end(&self, id: &str) -> Value {
        self.wait(id, "ended", |job| matches!(job["phase"].as_str(), Some("succeeded" | "failed" | "stopped"))).await
    }

    /// The text of a stream of a job's log.
    pub async fn log(&self, id: &str, stream: &str) -> String {
        let path = format!("/api/v1/jobs/{id}/logs?stream={stream}");
        let response = self.request(Method::GET, &path).send().await;
        let response = response.unwrap_or_else(|error| panic!("the gateway does not answer: {error}"));
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap_or_default()
    }

    /// The bytes of an output.
    pub async fn output(&self, id: &str, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, &format!("/api/v1/jobs/{id}/outputs/{path}")).send().await;
        let response = response.unwrap_or_else(|error| panic!("the gateway does not answer: {error}"));
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.unwrap_or_default().to_vec()
    }
}

/// The body of a job that runs raw code.
pub fn raw(agreement: &str, image: &str, entrypoint: &str, code: &str) -> Value {
    json!({
        "agreements": [agreement],
        "algorithm": {
            "type": "raw",
            "code": code,
            "container": { "image": image, "tag": "latest", "entrypoint": entrypoint },
        },
    })
}
