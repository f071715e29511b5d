//! What surrounds every request: its id, the limits on how often and how long it asks, CORS, the log, and the way from
//! any error, also the router's own and a panic, to a problem.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError, ParsePathError};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Addr, Endpoint, Request, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{ContentTypeError, ParseParamError, ParseRequestPayloadError};
use uuid::Uuid;

use super::State;
use super::legacy;
use super::refusal::respond;
use crate::problem::{Code, Problem};

/// The longest request target that is promised to work; hyper itself takes a little more.
const MOST_TARGET_BYTES: usize = 60 * 1024;
/// How many requests are answered at once; a stream counts until it has begun.
const MOST_REQUESTS: usize = 1_024;

/// The id of a request, for handlers that need it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// The outermost endpoint.
pub(crate) struct Frame<E> {
    inner: E,
    state: Arc<State>,
    running: AtomicUsize,
}

impl<E> Frame<E> {
    pub(crate) fn new(inner: E, state: Arc<State>) -> Self {
        Self { inner, state, running: AtomicUsize::new(0) }
    }

    fn admit(&self, request: &Request) -> Result<(), Problem> {
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > MOST_TARGET_BYTES {
            return Err(Problem::new(
                Code::TooLarge,
                "The request target is longer than 60 KiB; send the parameters as a JSON body.",
            )
            .with_status(414));
        }
        match client(request, self.state.setup.behind_proxy) {
            Some(address) => self.state.setup.rates.address(address),
            None => Ok(()),
        }
    }
}

/// One of the places among the running requests.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(running: &'a AtomicUsize) -> Result<Self, Problem> {
        let place = Self(running);
        if running.fetch_add(1, Ordering::Relaxed) < MOST_REQUESTS {
            Ok(place)
        } else {
            Err(Problem::new(Code::Unavailable, "The gateway answers as many requests as it can.")
                .retry_after(Duration::from_secs(1)))
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Frame<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let begun = Instant::now();
        let id = Uuid::new_v4().simple().to_string();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let cross_origin = request.header(header::ORIGIN).is_some();
        request.set_data(RequestId(id.as_str().into()));
        let mut response = if cross_origin && method == Method::OPTIONS {
            preflight()
        } else {
            match self.answer(request).await {
                Ok(response) => response,
                Err(problem) => {
                    log_problem(&problem, &method, &path, &id);
                    if self.state.setup.legacy && legacy::speaks(&path) {
                        legacy::respond(&problem)
                    } else {
                        respond(&problem, &id)
                    }
                }
            }
        };
        finish(&mut response, &id, cross_origin);
        let operation = response.data::<OperationId>().map_or("none", |operation| operation.0);
        let status = response.status().as_u16();
        let elapsed = begun.elapsed();
        metrics::counter!("brizo_requests_total", "operation" => operation, "status" => status.to_string())
            .increment(1);
        metrics::histogram!("brizo_request_seconds", "operation" => operation).record(elapsed.as_secs_f64());
        tracing::debug!(%method, path, status, request = id, ms = elapsed.as_millis() as u64, "request answered");
        Ok(response)
    }
}

impl<E: Endpoint<Output = Response>> Frame<E> {
    async fn answer(&self, request: Request) -> Result<Response, Problem> {
        let _place = Place::take(&self.running)?;
        self.admit(&request)?;
        let path = request.uri().path().to_owned();
        match AssertUnwindSafe(self.inner.call(request)).catch_unwind().await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(problem_of(error, &path, self.state.setup.legacy)),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("a panic without a text");
                Err(Problem::internal(format!("panic: {text}")))
            }
        }
    }
}

/// What an error of poem's means. `old_served` is whether the old clients' API is served.
fn problem_of(error: poem::Error, path: &str, old_served: bool) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if let Some(param) = error.downcast_ref::<ParseParamError>() {
        return Problem::invalid(format!("The parameter {} is not right: {}.", param.name, words(&param.reason)))
            .at(param.name, words(&param.reason));
    }
    if let Some(body) = error.downcast_ref::<ParseRequestPayloadError>() {
        return Problem::invalid(format!("The body is not right: {}.", words(&body.reason)));
    }
    if error.is::<ContentTypeError>() {
        return Problem::invalid(
            "The body's Content-Type is not one that this takes; application/json would be right.",
        )
        .with_status(415);
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::invalid("This path knows other methods; GET /spec lists them.").with_status(405);
    }
    if error.is::<NotFoundError>() || error.is::<ParsePathError>() || error.status() == StatusCode::NOT_FOUND {
        return Problem::not_found(legacy::no_such_path(path, old_served));
    }
    match error.status().as_u16() {
        status if error.status().is_client_error() => Problem::invalid(format!("{error}")).with_status(status),
        _ => Problem::internal(error.to_string()),
    }
}

/// poem-openapi's reason, without the name of the type that it could not make.
fn words(reason: &str) -> &str {
    reason.trim_end_matches('.').rsplit("\": ").next().unwrap_or(reason).trim()
}

fn log_problem(problem: &Problem, method: &Method, path: &str, id: &str) {
    let (code, status) = (problem.code().as_str(), problem.status());
    let cause = problem.cause().map(|cause| format!("{cause:?}"));
    if status >= 500 {
        tracing::error!(%method, path, status, code, request = id, cause, detail = problem.detail(), "request failed");
    } else {
        tracing::info!(%method, path, status, code, request = id, cause, detail = problem.detail(), "request refused");
    }
}

/// The address of whoever asks: the peer, or what the proxy in front saw last.
fn client(request: &Request, behind_proxy: bool) -> Option<IpAddr> {
    if behind_proxy {
        let last = request.headers().get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        return last.rsplit(',').next()?.trim().parse().ok();
    }
    match &request.remote_addr().0 {
        Addr::SocketAddr(address) => Some(SocketAddr::ip(address)),
        _ => None,
    }
}

const EXPOSED: &str =
    "Location, ETag, Content-Range, Accept-Ranges, Content-Disposition, Retry-After, X-Request-Id, WWW-Authenticate";

fn finish(response: &mut Response, id: &str, cross_origin: bool) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if cross_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Any origin may ask: what opens anything is a bearer or a signature, which no browser adds by itself.
fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, DELETE")
        .header(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Accept, Idempotency-Key, Range, If-Range, If-None-Match, Last-Event-ID",
        )
        .header(header::ACCESS_CONTROL_MAX_AGE, "86400")
        .finish()
}
