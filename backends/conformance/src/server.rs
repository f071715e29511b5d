//! The publisher's web server, and what is wrong with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a path answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes, with their length.
    Bytes(Vec<u8>),
    /// 503 so many times, and then these bytes.
    Later(usize, Vec<u8>),
    /// Always this status.
    Status(u16),
    /// A body without length and without end.
    Endless,
}

/// Runs until it is dropped.
pub(crate) struct Server {
    host: String,
    port: u16,
    requests: Requests,
    serving: JoinHandle<()>,
}

type Requests = Arc<Mutex<HashMap<String, usize>>>;

impl Server {
    /// On a free port of all addresses; `host` is the name by which jobs reach this machine.
    pub(crate) async fn start(host: String, answers: Vec<(&str, Answer)>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("0.0.0.0", 0)).await?;
        let port = listener.local_addr()?.port();
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        let answers: HashMap<_, _> = answers.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        let answers = Arc::new(answers);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                // An answer that nobody waits for any more is no fault of this server's.
                tokio::spawn(async move { drop(serve(connection, &answers, &seen).await) });
            }
        });
        Ok(Self { host, port, requests, serving })
    }

    /// Where a path is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}:{}/{path}", self.host, self.port)
    }

    /// How often a path was asked for.
    pub(crate) fn requests(&self, path: &str) -> usize {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied().unwrap_or_default()
    }

    /// `address:port` of this server for a guard's list, where its host is an address.
    pub(crate) fn address(&self) -> Option<std::net::SocketAddr> {
        format!("{}:{}", self.host, self.port).parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(connection: TcpStream, answers: &HashMap<String, Answer>, seen: &Requests) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    connection.read_line(&mut request).await?;
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut header = String::new();
    while connection.read_line(&mut header).await? > 2 {
        header.clear();
    }
    let before = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(path.clone()).or_default();
        *count += 1;
        *count - 1
    };
    let connection = connection.get_mut();
    match answers.get(&path).cloned().unwrap_or(Answer::Status(404)) {
        Answer::Later(times, _) if before < times => status(connection, 503).await,
        Answer::Bytes(bytes) | Answer::Later(_, bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(&bytes).await
        }
        Answer::Status(code) => status(connection, code).await,
        Answer::Endless => {
            connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                connection.write_all(&[b'x'; 4096]).await?;
            }
        }
    }
}

async fn status(connection: &mut TcpStream, code: u16) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {code} Status\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).await
}
