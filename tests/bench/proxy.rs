//! A proxy before the chain's node that counts the round trips, and keeps the last request it saw.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Counts each HTTP request that goes by.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: AtomicU64,
    last: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Listens on a port of its own; every connection gets one to `upstream`.
    pub(crate) async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(relay(client, upstream, seen.clone()));
                }
            }
        });
        Ok(Self { address, seen })
    }

    /// How many requests went by since the last call.
    pub(crate) fn take_count(&self) -> u64 {
        self.seen.requests.swap(0, Ordering::Relaxed)
    }

    /// The last request's body.
    pub(crate) fn last_body(&self) -> Vec<u8> {
        self.seen.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Requests are never pipelined by an HTTP client, so what is read between two answers is one request.
async fn relay(mut client: TcpStream, upstream: SocketAddr, seen: Arc<Seen>) -> Result<()> {
    let mut node = TcpStream::connect(upstream).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    let requests = async {
        let mut piece = vec![0; 64 * 1024];
        let mut request = Vec::new();
        loop {
            let read = from_client.read(&mut piece).await?;
            if read == 0 {
                return Ok::<(), std::io::Error>(());
            }
            request.extend_from_slice(&piece[..read]);
            to_node.write_all(&piece[..read]).await?;
            if let Some(body) = whole_body(&request) {
                seen.requests.fetch_add(1, Ordering::Relaxed);
                *seen.last.lock().unwrap_or_else(PoisonError::into_inner) = body.to_vec();
                request.clear();
            }
        }
    };
    let answers = tokio::io::copy(&mut from_node, &mut to_client);
    tokio::select! {
        done = requests => done,
        done = answers => done.map(|_| ()),
    }
}

/// The body, once all that content-length promises is there.
fn whole_body(request: &[u8]) -> Option<&[u8]> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&request[..end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (request.len() == end + length).then(|| &request[end..])
}
