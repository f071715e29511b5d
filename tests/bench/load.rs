//! A load generator that does as little as an HTTP/1.1 client can, so that what is measured is the server.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Makes the bytes of the n-th request.
pub(crate) type Requests = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// What a stretch of load showed.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Answers a second, over all connections.
    pub(crate) rate: f64,
    /// The time of each answer, sorted.
    pub(crate) times: Vec<Duration>,
}

impl Load {
    /// The time that this share of the answers kept within.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        self.times[((self.times.len() - 1) as f64 * share).round() as usize]
    }
}

/// A request with keep-alive; `body` is JSON if it is not empty.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text += "\r\n";
    text += body;
    text.into_bytes()
}

/// One connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the whole answer: its status, and its body until the next exchange.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        let status = self.line.get(9..12).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, self.line.clone()))?;
        let mut length = None;
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).await?;
            let Some((name, value)) = self.line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        let length = length.ok_or_else(|| Error::new(ErrorKind::InvalidData, "an answer without content-length"))?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok((status, &self.body))
    }
}

/// Keeps `connections` busy for `stretch`, after a tenth of it to warm up. Any status but `expected` is an error.
pub(crate) async fn load(
    address: SocketAddr,
    connections: u64,
    stretch: Duration,
    expected: u16,
    requests: Requests,
) -> Result<Load> {
    let begin = Instant::now() + stretch / 10;
    let end = begin + stretch;
    let tasks: Vec<_> = (0..connections)
        .map(|lane| {
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut times = Vec::new();
                let mut n = lane;
                loop {
                    let request = requests(n);
                    n += connections;
                    let sent = Instant::now();
                    let (status, body) = connection.exchange(&request).await?;
                    if status != expected {
                        let body = String::from_utf8_lossy(body).into_owned();
                        return Err(Error::other(format!("status {status} instead of {expected}: {body}")));
                    }
                    let now = Instant::now();
                    if now >= end {
                        return Ok(times);
                    }
                    if sent >= begin {
                        times.push(now - sent);
                    }
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.map_err(Error::other)??);
    }
    times.sort_unstable();
    if times.is_empty() {
        return Err(Error::other("nothing was answered within the stretch"));
    }
    Ok(Load { rate: times.len() as f64 / stretch.as_secs_f64(), times })
}
