use std::time::{Duration, Instant};

use brizo_backend::{Input, Reason, Source};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Flaw;
use super::world::World;

/// Why something could not be fetched.
pub(crate) enum Fault {
    Definite(String),
    Unreachable(String),
}

impl Fault {
    pub(crate) fn reason(self, what: &str, definite: impl Fn(String) -> Reason) -> Reason {
        match self {
            Self::Definite(why) => definite(format!("{what} {why}.")),
            Self::Unreachable(why) => Reason::ProvisioningDeadline { message: format!("{what} {why}.") },
        }
    }
}

/// Fetches it, again and again until `over` where its store does not answer.
pub(crate) async fn fetch(world: &World, input: &Input, over: Instant) -> Result<Vec<u8>, Fault> {
    let most = input.max_bytes.filter(|_| !world.is(Flaw::TrustsChecksums));
    let bytes = match &input.source {
        Source::Inline { code } => code.clone().into_bytes(),
        Source::File { path, .. } => {
            let told = if world.is(Flaw::TellsSources) { path.as_str() } else { "" };
            let there = world.state().files.get(path).cloned();
            there.ok_or_else(|| Fault::Definite(format!("is not there {told}")))?
        }
        Source::GuardedUrl { allow, .. } if allow.is_empty() && !world.is(Flaw::IgnoresTheGuard) => {
            return Err(Fault::Definite("has an address that is refused".to_owned()));
        }
        Source::PublisherUrl { url } | Source::GuardedUrl { url, .. } => loop {
            match get(url, most.unwrap_or(u64::MAX)).await {
                Err(Fault::Unreachable(_)) if Instant::now() < over && !world.is(Flaw::GivesUpAtOnce) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                answer => break answer?,
            }
        },
    };
    if most.is_some_and(|most| bytes.len() as u64 > most) {
        return Err(Fault::Definite("is too large".to_owned()));
    }
    let right = input.sha256.as_ref().is_none_or(|sha256| *sha256 == hex::encode(Sha256::digest(&bytes)));
    if !right && !world.is(Flaw::TrustsChecksums) {
        return Err(Fault::Definite("has another checksum".to_owned()));
    }
    Ok(bytes)
}

/// As much of http as the suite's server speaks; reads one byte more than `most` at the most.
async fn get(url: &str, most: u64) -> Result<Vec<u8>, Fault> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let unreachable = |error: std::io::Error| Fault::Unreachable(format!("can't be fetched: {}", error.kind()));
    let mut connection = TcpStream::connect(host).await.map_err(unreachable)?;
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut answer = Vec::new();
    // A body without end ends here in any case.
    let room = most.min(8 << 20).saturating_add(1000);
    connection.take(room).read_to_end(&mut answer).await.map_err(unreachable)?;
    let head = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(answer.len().saturating_sub(4));
    let body = answer.split_off(head + 4);
    match String::from_utf8_lossy(&answer).split(' ').nth(1) {
        Some("200") => Ok(body),
        Some("503") => Err(Fault::Unreachable("can't be fetched: its store is down".to_owned())),
        _ => Err(Fault::Definite("is not there".to_owned())),
    }
}
