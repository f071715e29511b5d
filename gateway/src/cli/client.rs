//! The consumer's HTTP client of a gateway: bearer tokens, problems told in words, bounded retries.

use std::fmt::Write as _;
use std::time::Duration;

use alloy_signer_local::PrivateKeySigner;
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use super::failure::{Exit, Failure};
use super::wire::{Gateway, Problem};
use crate::identity::{Scopes, issue_token};

/// How long an answer that is no stream may take.
const ANSWER: Duration = Duration::from_mins(1);
/// The life of a token made for one command.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// A gateway, as one consumer sees it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: PrivateKeySigner,
    gateway: OnceCell<Gateway>,
    token: OnceCell<String>,
}

impl Client {
    /// A client of the gateway at `base` for the consumer with this key.
    pub(super) fn new(base: &str, key: PrivateKeySigner) -> Result<Self, Failure> {
        let base: Url = base
            .parse()
            .ok()
            .filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
            .ok_or_else(|| Failure::usage(format!("--gateway: {base:?} is no http or https URL")))?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("brizo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(30))
            .build()
            .map_err(|error| Failure::internal(format!("No HTTP client can be made: {error}")))?;
        Ok(Self { http, base, key, gateway: OnceCell::new(), token: OnceCell::new() })
    }

    /// The consumer's key.
    pub(super) fn key(&self) -> &PrivateKeySigner {
        &self.key
    }

    /// The gateway's URL as the user named it, without a slash at its end: the audience of tokens. Never what the gateway
    /// says of itself, or a gateway could have a token made for another one.
    pub(super) fn audience(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The URL of `path` (parts are percent-encoded) at this gateway.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        url
    }

    /// What the gateway says of itself.
    pub(super) async fn gateway(&self) -> Result<&Gateway, Failure> {
        self.gateway
            .get_or_try_init(|| async {
                let url = self.url(&["api", "v1", "backend"]);
                json(self.send(|| self.http.get(url.clone()).timeout(ANSWER)).await?).await
            })
            .await
    }

    /// A bearer token of this consumer for this gateway.
    pub(super) async fn token(&self, scopes: Scopes, life: SignedDuration) -> Result<String, Failure> {
        let chain_id = self.gateway().await?.chain_id;
        issue_token(&self.key, chain_id, self.audience(), scopes, Timestamp::now(), life)
            .map_err(|error| Failure::internal(format!("The token can't be signed: {error}")))
    }

    async fn own_token(&self) -> Result<&str, Failure> {
        self.token.get_or_try_init(|| self.token(Scopes::ALL, TOKEN_LIFE)).await.map(String::as_str)
    }

    /// A request with this consumer's token, tried again while the gateway can't be reached or is busy. Any answer but a
    /// success is a [`Failure`].
    pub(super) async fn request(
        &self,
        method: Method,
        url: Url,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Failure> {
        let token = self.own_token().await?;
        self.send(|| build(self.http.request(method.clone(), url.clone())).bearer_auth(token)).await
    }

    /// As [`Self::request`], and reads the answer's JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Failure> {
        json(self.request(method, url, |request| build(request).timeout(ANSWER)).await?).await
    }

    /// A document that anybody may read, as its bytes.
    pub(super) async fn public(&self, url: Url) -> Result<Bytes, Failure> {
        bytes(self.send(|| self.http.get(url.clone()).timeout(ANSWER)).await?).await
    }

    async fn send(&self, build: impl Fn() -> RequestBuilder) -> Result<Response, Failure> {
        let attempt = || async {
            match build().send().await {
                Err(error) => Err(self.unreachable(&error)),
                Ok(response) if response.status().is_success() => Ok(response),
                Ok(response) => Err(problem(response).await),
            }
        };
        attempt
            .retry(ExponentialBuilder::default().with_min_delay(Duration::from_millis(300)).with_max_times(3))
            .when(|failure| failure.exit == Exit::Unavailable)
            .await
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::new(Exit::Unavailable, format!("The gateway at {} does not answer: {cause}", self.audience()))
            .next("check --gateway, and that `brizo serve` runs there")
    }
}

async fn bytes(response: Response) -> Result<Bytes, Failure> {
    response
        .bytes()
        .await
        .map_err(|error| Failure::new(Exit::Unavailable, format!("The gateway's answer broke off: {error}")))
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let bytes = bytes(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::internal(format!("The gateway's answer can't be read: {error}"))
            .next("check that --gateway is a Brizo")
    })
}

/// The failure that an answer stands for.
async fn problem(response: Response) -> Failure {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let body = response.bytes().await.unwrap_or_default();
    let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
        return Failure::new(exit(status, ""), format!("The gateway answered {status}."));
    };
    let mut message = if problem.detail.is_empty() { problem.title } else { problem.detail };
    for part in &problem.errors {
        let _ = write!(message, "\n  {}: {}", part.pointer, part.detail);
    }
    let failure = Failure::new(exit(status, &problem.code), message);
    match problem.retry_after_s.or(retry_after) {
        Some(seconds) => failure.next(format!("try again in {seconds} s")),
        None => failure,
    }
}

/// The exit code for an answer's status and code.
fn exit(status: StatusCode, code: &str) -> Exit {
    match (status.as_u16(), code) {
        (409, "lock_unpaid" | "not_granted" | "escrow_unreleased") => Exit::NotYet,
        (429 | 503 | 507 | 502 | 504, _) => Exit::Unavailable,
        (500 | 501, _) if status != StatusCode::NOT_IMPLEMENTED => Exit::Internal,
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_not_yet_is_told_from_what_is_refused() {
        assert_eq!(exit(StatusCode::CONFLICT, "not_granted"), Exit::NotYet);
        assert_eq!(exit(StatusCode::CONFLICT, "job_deleted"), Exit::Refused);
        assert_eq!(exit(StatusCode::SERVICE_UNAVAILABLE, "unavailable"), Exit::Unavailable);
        assert_eq!(exit(StatusCode::NOT_IMPLEMENTED, "not_supported"), Exit::Refused);
        assert_eq!(exit(StatusCode::INTERNAL_SERVER_ERROR, "internal"), Exit::Internal);
    }
}
