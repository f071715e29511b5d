//! Fetching over http(s): as it stands for a publisher's URL, behind the guard for what a consumer named.
//!
//! Behind the guard only public addresses are reached, and the `address:port` pairs that the publisher allows. The check
//! is made on the address that is connected to, not on the name; a redirect is a new URL and is checked anew. Proxy
//! variables of the environment are not read, and no credentials of this host are sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, header};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// What a URL that a consumer named may reach besides public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// `address:port` pairs that may be reached although they are private.
    #[serde(default)]
    pub allow: Vec<SocketAddr>,
}

/// Why a URL could not be fetched. Its text names hosts and addresses, never the whole URL: that may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not a URL, or not one of http or https.
    #[error("it is not a http or https URL")]
    Url,
    /// The guard refuses the address.
    #[error("{host} is at {address}, which is not a public address; the publisher lists exceptions in guard.allow")]
    Private {
        /// As the URL names it.
        host: String,
        /// What it stands for.
        address: SocketAddr,
    },
    /// The name has no address.
    #[error("the name {host} does not resolve")]
    Resolve {
        /// As the URL names it.
        host: String,
    },
    /// Redirected too often, or to nowhere.
    #[error("{host} redirects too often or to no http or https URL")]
    Redirect {
        /// Who sent the last one.
        host: String,
    },
    /// The other side answered with an error.
    #[error("{host} answered {status}")]
    Status {
        /// Who.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// More bytes than allowed.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The connection failed or was silent for too long.
    #[error("the connection failed: {0}")]
    Transport(String),
}

impl FetchError {
    /// Whether another attempt might end otherwise: no refusal, no definite answer.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Transport(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Url | Self::Private { .. } | Self::Redirect { .. } | Self::TooLarge { .. } => false,
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        let kind = if error.is_timeout() {
            "it took too long"
        } else if error.is_connect() {
            "no connection could be made"
        } else {
            "it broke off"
        };
        Self::Transport(kind.to_owned())
    }
}

impl Guard {
    /// Whether a connection to this address may be made.
    pub fn permits(&self, address: SocketAddr) -> bool {
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        is_public(address.ip())
            || self
                .allow
                .iter()
                .any(|allowed| SocketAddr::new(allowed.ip().to_canonical(), allowed.port()) == canonical)
    }

    /// Refuses a URL that names, in whatever spelling, an address that may not be reached. A name passes here: what it
    /// stands for is checked when it is connected to.
    pub fn check_literal(&self, url: &str) -> Result<Url, FetchError> {
        let url = parse(url)?;
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(url),
        };
        let address = SocketAddr::new(address, port(&url));
        if self.permits(address) { Ok(url) } else { Err(FetchError::Private { host: host(&url), address }) }
    }

    /// The addresses of a URL's host, of which each may be connected to. One that may not refuses them all: a name with a
    /// public and a private address is an attempt.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let port = port(url);
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Domain(name)) => tokio::time::timeout(CONNECT, tokio::net::lookup_host((name, port)))
                .await
                .ok()
                .and_then(Result::ok)
                .map(Iterator::collect)
                .unwrap_or_default(),
            None => return Err(FetchError::Url),
        };
        if addresses.is_empty() {
            return Err(FetchError::Resolve { host: host(url) });
        }
        match addresses.iter().find(|address| !self.permits(**address)) {
            Some(address) => Err(FetchError::Private { host: host(url), address: *address }),
            None => Ok(addresses),
        }
    }
}

/// Whether an address is one of the public internet: none of the ranges that IANA keeps for private, local, shared or
/// special use, and none of the addresses at which clouds serve their metadata. An IPv4 address inside an IPv6 one counts
/// as itself.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // 168.63.129.16 is Azure's host agent, in a range that is otherwise public.
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [168, 63, 129, 16]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inside) = address.to_ipv4_mapped() {
        return is_public_v4(inside);
    }
    match address.segments() {
        // NAT64: what DNS64 answers on hosts that have IPv6 alone.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        // Protocol assignments (Teredo and ORCHID among them), documentation, 6to4.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only 2000::/3 is given out. What is left: compatible, unspecified, loopback, unique local, link-local, multicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn parse(text: &str) -> Result<Url, FetchError> {
    let url = Url::parse(text).map_err(|_| FetchError::Url)?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(FetchError::Url) }
}

fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(0)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().chars().take(80).collect()
}

fn builder() -> ClientBuilder {
    Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).referer(false)
}

/// Answers every name with addresses that were checked before.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A client for a publisher's own URLs: they are fetched as they stand.
pub fn client() -> Result<Client, FetchError> {
    Ok(builder().redirect(Policy::limited(REDIRECTS)).build()?)
}

/// Starts to fetch a URL: behind the guard where there is one, else as it stands. The answer is a success, its body still
/// to be read, best with [`limited`].
pub async fn get(guard: Option<&Guard>, url: &str) -> Result<Response, FetchError> {
    let url = parse(url)?;
    let response = match guard {
        None => client()?.get(url.clone()).send().await?,
        Some(guard) => guarded(guard, url.clone()).await?,
    };
    let status = response.status();
    if status.is_success() {
        Ok(response)
    } else {
        Err(FetchError::Status { host: host(response.url()), status: status.as_u16() })
    }
}

/// One client a hop, whose only addresses are those that were checked for this hop's host and port.
async fn guarded(guard: &Guard, mut url: Url) -> Result<Response, FetchError> {
    for _ in 0..=REDIRECTS {
        let addresses = guard.addresses(&url).await?;
        let client =
            builder().no_proxy().redirect(Policy::none()).dns_resolver(Arc::new(Checked(addresses))).build()?;
        let response = client.get(url.clone()).send().await?;
        if let Some(address) = response.remote_addr().filter(|address| !guard.permits(*address)) {
            return Err(FetchError::Private { host: host(&url), address });
        }
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(response);
        }
        let lost = || FetchError::Redirect { host: host(&url) };
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).ok_or_else(lost)?;
        let to = url.join(to).map_err(|_| lost())?;
        url = parse(to.as_str()).map_err(|_| lost())?;
    }
    Err(FetchError::Redirect { host: host(&url) })
}

/// The body of an answer, ended by an error as soon as it is longer than `limit` bytes. A stated length beyond it is
/// refused before anything is read.
pub fn limited(response: Response, limit: u64) -> impl Stream<Item = Result<Bytes, FetchError>> + Send {
    let stated = response.content_length().is_some_and(|length| length > limit);
    let mut read = 0_u64;
    let chunks = response.bytes_stream().map(move |chunk| {
        let chunk = chunk?;
        read += chunk.len() as u64;
        if read > limit { Err(FetchError::TooLarge { limit }) } else { Ok(chunk) }
    });
    futures::stream::iter(stated.then_some(Err(FetchError::TooLarge { limit }))).chain(chunks)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
