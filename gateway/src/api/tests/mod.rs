//! The API over a backend and a desk in memory, through the whole of the app: what a client of each operation sees.

mod double;
mod errors;
mod jobs;
mod legacy;
mod outputs;
mod streams;

use std::sync::Arc;

use alloy_signer_local::PrivateKeySigner;
use brizo_backend::{Deadlines, Limits};
use jiff::SignedDuration;
use poem::http::{Method, StatusCode};
use poem::{Body, Endpoint, Request, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::double::{Desk, Memory};
use super::{Audit, LinkKey, Rates, Setup, State, app};
use crate::identity::{Audiences, Scopes, issue_token};

const URL: &str = "http://gw:8030";

/// A gateway in memory, and a consumer.
struct Gateway {
    backend: Arc<Memory>,
    desk: Arc<Desk>,
    state: Arc<State>,
    key: PrivateKeySigner,
}

impl Gateway {
    fn new() -> Self {
        Self::with_rates(Rates::default())
    }

    /// One that serves the old clients too.
    fn old() -> Self {
        Self::with(Rates::default(), true)
    }

    fn with_rates(rates: Rates) -> Self {
        Self::with(rates, false)
    }

    fn with(rates: Rates, legacy: bool) -> Self {
        let backend = Arc::new(Memory::default());
        let desk = Arc::new(Desk::default());
        let state = State::new(Setup {
            backend: Arc::clone(&backend) as _,
            backend_type: "memory".to_owned(),
            desk: Arc::clone(&desk) as _,
            audiences: Audiences::new([URL.to_owned()]),
            provider: crate::types::Address::repeat_byte(7),
            links: LinkKey::derive(b"seal"),
            rates,
            limits: LIMITS,
            deadlines: Deadlines { queue_s: 1, provisioning_s: 2, publishing_s: 3 },
            legacy,
            behind_proxy: false,
            audit: Audit::to_log(),
            shutdown: CancellationToken::new(),
        });
        Self { backend, desk, state, key: PrivateKeySigner::random() }
    }

    fn bearer(&self, scopes: &str) -> String {
        bearer_of(&self.key, scopes)
    }

    /// A request as this gateway's consumer.
    fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(method, path).header("authorization", &format!("Bearer {}", self.bearer("read run delete")))
    }

    fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    fn post(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::POST, path).json(body)
    }

    async fn send(&self, ask: Ask) -> Answer {
        let response = app(&self.state).get_response(ask.0.unwrap()).await;
        Answer(response)
    }

    /// Starts a job, and gives its id.
    async fn started(&self) -> String {
        let answer = self.send(self.post("/api/v1/jobs", &start_body())).await;
        assert_eq!(answer.status(), 201);
        answer.json().await["id"].as_str().unwrap().to_owned()
    }
}

const LIMITS: Limits = Limits {
    cpu_millis: 1_000,
    memory_bytes: 512 << 20,
    disk_bytes: 1 << 30,
    outputs_bytes: 1 << 30,
    wall_time_s: 3_600,
    gpu: 0,
};

fn bearer_of(key: &PrivateKeySigner, scopes: &str) -> String {
    let scopes = Scopes::parse(scopes).unwrap();
    issue_token(key, double::CHAIN_ID, URL, scopes, brizo_backend::now(), SignedDuration::from_hours(1)).unwrap()
}

fn start_body() -> Value {
    json!({
        "agreements": [format!("0x{}", "ab".repeat(32))],
        "algorithm": {"type": "raw", "code": "print(1)",
            "container": {"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"}},
    })
}

struct Ask(Option<Request>);

impl Ask {
    fn new(method: Method, path: &str) -> Self {
        Self(Some(Request::builder().method(method).uri(path.parse().unwrap()).finish()))
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        let headers = self.0.as_mut().unwrap().headers_mut();
        headers.insert(name, poem::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.0.as_mut().unwrap().headers_mut().remove(name);
        self
    }

    fn body(mut self, kind: &str, body: impl Into<Body>) -> Self {
        self.0.as_mut().unwrap().set_body(body.into());
        self.header("content-type", kind)
    }

    fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }
}

struct Answer(Response);

impl Answer {
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.0.header(name).unwrap_or_default()
    }

    async fn bytes(self) -> Vec<u8> {
        self.0.into_body().into_vec().await.unwrap()
    }

    async fn text(self) -> String {
        String::from_utf8(self.bytes().await).unwrap()
    }

    async fn json(self) -> Value {
        serde_json::from_slice(&self.bytes().await).unwrap()
    }

    /// That it is this problem, with a text; gives it.
    async fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{status} {code}");
        let id = self.header("x-request-id").to_owned();
        let seen = self.status();
        let problem = self.json().await;
        assert_eq!((seen, problem["code"].as_str().unwrap()), (status, code), "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:brizo:problem:{code}"));
        assert_eq!(problem["request_id"], id);
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
        problem
    }
}

#[tokio::test]
async fn the_gateway_says_what_clients_need_to_sign_for_it() {
    let gateway = Gateway::new();
    let answer = gateway.send(Ask::new(Method::GET, "/api/v1/backend")).await;
    assert_eq!(answer.status(), 200);
    let body = answer.json().await;
    assert_eq!(body["audience"], URL);
    assert_eq!(body["chain_id"], double::CHAIN_ID);
    assert_eq!(body["provider"], format!("0x{}", "07".repeat(20)));
    assert_eq!(body["walls"], json!([{"name": "seccomp", "state": "standing"}]));
    assert_eq!(body["limits"]["memory_bytes"], 512 << 20);
}

#[tokio::test]
async fn ready_asks_chain_and_backend_and_live_asks_nobody() {
    let gateway = Gateway::new();
    assert_eq!(gateway.send(Ask::new(Method::GET, "/health/ready")).await.status(), 200);
    gateway.desk.fail_with(Some("the chain's node does not answer"));
    let other = Gateway::new();
    other.desk.fail_with(Some("the chain's node does not answer"));
    let problem = other.send(Ask::new(Method::GET, "/health/ready")).await.problem(503, "unavailable").await;
    assert!(problem["detail"].as_str().unwrap().contains("chain"));
    assert_eq!(gateway.send(Ask::new(Method::GET, "/health/ready")).await.status(), 200, "asked once a second");
    assert_eq!(other.send(Ask::new(Method::GET, "/health/live")).await.status(), 200);
}

#[tokio::test]
async fn documents_are_served_byte_for_byte() {
    let gateway = Gateway::new();
    let did = format!("did:op:{}", "cd".repeat(32));
    gateway.desk.publish(&did, "{ \"id\":  \"Añejo\"}");
    let path = format!("/api/v1/aquarius/assets/ddo/{did}");
    let answer = gateway.send(Ask::new(Method::GET, &path)).await;
    assert_eq!(answer.text().await, "{ \"id\":  \"Añejo\"}");
    for unknown in ["/api/v1/aquarius/assets/ddo/did:op:00", "/api/v1/aquarius/assets/ddo/%00"] {
        let answer = gateway.send(Ask::new(Method::GET, unknown)).await;
        assert_eq!(answer.status(), 404);
        assert!(answer.text().await.contains("asset DID is not in OceanDB"));
    }
}

#[tokio::test]
async fn the_document_is_the_committed_one_and_swagger_ui_shows_it() {
    let committed = include_str!("../../../../openapi/brizo.json");
    let text = super::openapi();
    if std::env::var_os("BRIZO_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/brizo.json"), &text).unwrap();
    } else {
        assert!(committed == text, "the API has changed; `brizo openapi > openapi/brizo.json` tells the clients");
    }
    let gateway = Gateway::new();
    assert_eq!(gateway.send(Ask::new(Method::GET, "/spec")).await.text().await, text);
    for path in ["/api/v1/docs", "/api/v1/docs/"] {
        let page = gateway.send(Ask::new(Method::GET, path)).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        let page = page.text().await;
        assert!(page.contains("/api/v1/jobs/{id}/outputs/{path}") && !page.contains("param1"));
        assert!(!page.contains("https://unpkg.com") && page.len() > 1_000_000, "it works offline");
    }
}

#[test]
fn every_union_has_a_required_tag_and_a_complete_mapping() {
    let document: Value = serde_json::from_str(&super::openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut unions = 0;
    for (name, schema) in schemas {
        let Some(members) = schema["oneOf"].as_array() else { continue };
        unions += 1;
        let tag = schema["discriminator"]["propertyName"].as_str().unwrap();
        let mapping = schema["discriminator"]["mapping"].as_object().unwrap();
        assert_eq!(mapping.len(), members.len(), "{name}");
        for (value, target) in mapping {
            assert!(members.iter().any(|member| &member["$ref"] == target), "{name}: {target}");
            let member = &schemas[target.as_str().unwrap().rsplit('/').next().unwrap()];
            assert!(member["required"].as_array().unwrap().contains(&json!(tag)), "{name}: {target}");
            let shown = &member["properties"][tag];
            let shown = match shown["$ref"].as_str() {
                Some(reference) => &schemas[reference.rsplit('/').next().unwrap()],
                None => shown,
            };
            assert_eq!(shown["enum"], json!([value]), "{name}: {target}");
        }
    }
    assert_eq!(unions, 3, "Reason, Algorithm and JobOrPlan");
    assert!(!document.to_string().contains("anyOf"));
}
