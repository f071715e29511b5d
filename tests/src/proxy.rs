//! A JSON-RPC proxy of the tests' own: counts round trips, and stands for nodes that lag, leave fields out or break down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use crate::deploy::Result;

/// What a proxy does to what goes through it. Nothing, by default.
pub trait Tamper: Send + Sync + 'static {
    /// An HTTP status instead of an answer.
    fn status(&self) -> Option<u16> {
        None
    }

    /// Changes a call before the node sees it.
    fn request(&self, _method: &str, _params: &mut Value) {}

    /// Changes all that goes back for one HTTP request, after each answer was changed.
    fn packet(&self, _answers: &mut Value) {}

    /// Changes a result on its way back. An `Err` becomes a JSON-RPC error of that code and text.
    fn response(&self, _method: &str, _params: &Value, _result: &mut Value) -> Result<(), (i64, String)> {
        Ok(())
    }
}

/// Changes nothing: a proxy that only counts.
#[derive(Debug, Clone, Copy)]
pub struct Honest;
impl Tamper for Honest {}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    url: Url,
    round_trips: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts one before `upstream` on a free port.
    pub async fn start(upstream: &Url, tamper: impl Tamper) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let round_trips = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            upstream: upstream.clone(),
            http: reqwest::Client::builder().no_proxy().build()?,
            tamper: Box::new(tamper),
            round_trips: Arc::clone(&round_trips),
        });
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A client that goes away ends its connection; nobody else minds.
                    let _ = serve(socket, &shared).await;
                });
            }
        });
        Ok(Self { url, round_trips, task })
    }

    /// Where it listens.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How many HTTP requests came.
    pub fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

struct Shared {
    upstream: Url,
    http: reqwest::Client,
    tamper: Box<dyn Tamper>,
    round_trips: Arc<AtomicUsize>,
}

async fn serve(socket: TcpStream, shared: &Shared) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        shared.round_trips.fetch_add(1, Ordering::SeqCst);
        let (status, answer) = match shared.tamper.status() {
            Some(status) => (status, Vec::new()),
            None => (200, shared.forward(&body).await?),
        };
        let head = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        socket.write_all(&[head.as_bytes(), &answer].concat()).await?;
        socket.flush().await?;
    }
}

impl Shared {
    async fn forward(&self, body: &[u8]) -> Result<Vec<u8>> {
        let mut calls: Value = serde_json::from_slice(body)?;
        each(&mut calls, |call| {
            let method = call["method"].as_str().unwrap_or_default().to_owned();
            self.tamper.request(&method, &mut call["params"]);
        });
        let answer = self
            .http
            .post(self.upstream.clone())
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&calls)?)
            .send()
            .await?
            .bytes()
            .await?;
        let mut answers: Value = serde_json::from_slice(&answer)?;
        each(&mut answers, |answer| {
            let mut call = None;
            each(&mut calls, |one| {
                if one["id"] == answer["id"] {
                    call = Some(one.clone());
                }
            });
            let Some(call) = call else { return };
            if let Some(result) = answer.get_mut("result") {
                let method = call["method"].as_str().unwrap_or_default();
                if let Err((code, message)) = self.tamper.response(method, &call["params"], result) {
                    *answer = serde_json::json!({
                        "jsonrpc": "2.0",
                        "id": call["id"],
                        "error": {"code": code, "message": message},
                    });
                }
            }
        });
        self.tamper.packet(&mut answers);
        Ok(serde_json::to_vec(&answers)?)
    }
}

/// One object, or each of a batch.
fn each(packet: &mut Value, mut visit: impl FnMut(&mut Value)) {
    match packet {
        Value::Array(many) => many.iter_mut().for_each(visit),
        one => visit(one),
    }
}
