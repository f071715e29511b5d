//! Problems on the wire: application/problem+json, and what of them each operation declares.

use std::marker::PhantomData;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use crate::problem::{Code, Problem};

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What was wrong, in words that help.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem", skip_serializing_if_is_none, skip_serializing_if_is_empty)]
pub(crate) struct ProblemView {
    /// `urn:brizo:problem:` and the code.
    #[oai(rename = "type")]
    kind: String,
    /// A few words, the same for every problem of this code.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable word for it: invalid_request, unauthenticated, not_authorized, price_changed, lock_unpaid, not_granted,
    /// escrow_unreleased, algorithm_not_allowed, image_not_allowed, not_found, key_reused, job_deleted, not_supported,
    /// too_large, range, quota_exceeded, rate_limited, storage_full, unavailable, internal.
    code: String,
    /// What was wrong here, and what would be right.
    detail: String,
    /// The request's id; the gateway's log has more under it.
    request_id: String,
    /// Seconds after which another try makes sense.
    retry_after_s: Option<u64>,
    /// The parts of the request that were wrong.
    errors: Option<Vec<ProblemPart>>,
}

/// One part of a request that was wrong.
#[derive(Debug, Clone, Object)]
pub(crate) struct ProblemPart {
    /// JSON pointer into the body, or the name of a parameter or header.
    pointer: String,
    /// What was wrong with it.
    detail: String,
}

impl ProblemView {
    pub(crate) fn new(problem: &Problem, request_id: &str) -> Self {
        let parts: Vec<_> = problem
            .parts()
            .iter()
            .map(|part| ProblemPart { pointer: part.pointer.clone(), detail: part.detail.clone() })
            .collect();
        Self {
            kind: format!("urn:brizo:problem:{}", problem.code().as_str()),
            title: problem.code().title().to_owned(),
            status: problem.status(),
            code: problem.code().as_str().to_owned(),
            detail: problem.detail().to_owned(),
            request_id: request_id.to_owned(),
            retry_after_s: problem.wait().map(|wait| wait.as_secs().max(1)),
            errors: (!parts.is_empty()).then_some(parts),
        }
    }
}

/// The response that tells `problem`.
pub(crate) fn respond(problem: &Problem, request_id: &str) -> Response {
    let view = ProblemView::new(problem, request_id);
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder().status(status).content_type(PROBLEM_JSON).body(view.to_json_string());
    let headers = response.headers_mut();
    if let Some(seconds) = view.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // RFC 9110: a 416 tells the size in the header that a 206 tells its range in.
    if problem.code() == Code::Range
        && let Some(size) = problem.parts().first().and_then(|part| HeaderValue::from_str(&part.detail).ok())
    {
        headers.insert(header::CONTENT_RANGE, size);
    }
    if status == StatusCode::UNAUTHORIZED && problem.code() == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"brizo\""));
    }
    response
}

/// A problem on its way out of a handler. Its response is made by `frame`, which knows the request's id.
impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(problem, status)
    }
}

/// The statuses that an operation may refuse with.
pub(crate) trait Statuses: Send + Sync + 'static {
    /// In ascending order.
    const LIST: &'static [u16];
}

/// A refusal of an operation that declares `L`.
pub(crate) struct Refusal<L>(Problem, PhantomData<fn() -> L>);

impl<L> From<Problem> for Refusal<L> {
    fn from(problem: Problem) -> Self {
        Self(problem, PhantomData)
    }
}

impl<L> From<brizo_backend::Error> for Refusal<L> {
    fn from(error: brizo_backend::Error) -> Self {
        Problem::from(error).into()
    }
}

impl<L> From<Refusal<L>> for poem::Error {
    fn from(refusal: Refusal<L>) -> Self {
        refusal.0.into()
    }
}

impl<L: Statuses> ApiResponse for Refusal<L> {
    fn meta() -> MetaResponses {
        let content =
            || vec![MetaMediaType { content_type: PROBLEM_JSON, schema: <ProblemView as Type>::schema_ref() }];
        let responses = L::LIST.iter().map(|status| MetaResponse {
            description: describe(*status),
            status: Some(*status),
            status_range: None,
            content: content(),
            headers: match status {
                409 | 429 | 503 => vec![header_of("Retry-After", "Seconds after which another try makes sense.")],
                416 => vec![header_of("Content-Range", "bytes */ and the size that a range would have to lie in.")],
                _ => vec![],
            },
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemView::register(registry);
    }
}

/// What a status means, whichever operation refuses with it.
const fn describe(status: u16) -> &'static str {
    match status {
        400 => "The request is not valid; `errors` says which part of it.",
        401 => "No bearer, not a good one, or the signer may not do this; `code` tells them apart.",
        404 => "There is no such thing, or it is not yours to see.",
        405 => "The path knows other methods.",
        409 => "Not now: `code` and `detail` say what is missing, or that the job was deleted.",
        413 => "The body is too large.",
        414 => "The request target is longer than 60 KiB; send a body.",
        415 => "The body is not application/json.",
        416 => "The range can't be satisfied.",
        422 => "The Idempotency-Key belongs to another request.",
        429 => "Too many requests or jobs; Retry-After says when to try again.",
        500 => "A fault of the gateway.",
        501 => "This gateway or its backend does not do that.",
        503 => "The chain, a store or the backend does not answer; Retry-After says when to try again.",
        507 => "No room for more outputs of yours, or on the disk.",
        _ => "",
    }
}

/// A response that is written by hand, with what the document says of it.
pub(crate) struct Written<D>(pub(crate) Response, pub(crate) PhantomData<fn() -> D>);

impl<D> Written<D> {
    pub(crate) fn new(response: Response) -> Self {
        Self(response, PhantomData)
    }
}

impl<D: Send> IntoResponse for Written<D> {
    fn into_response(self) -> Response {
        self.0
    }
}

/// What the document says of a hand-written response.
pub(crate) trait Described: Send + 'static {
    /// Its statuses, contents and headers.
    fn responses() -> Vec<MetaResponse>;
    /// Schemas that they refer to.
    fn register(_registry: &mut Registry) {}
}

impl<D: Described> ApiResponse for Written<D> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: D::responses() }
    }

    fn register(registry: &mut Registry) {
        D::register(registry);
    }
}

/// A response of one status with contents.
pub(crate) fn described(
    status: u16,
    description: &'static str,
    content: &[(&'static str, MetaSchemaRef)],
) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: content
            .iter()
            .map(|(content_type, schema)| MetaMediaType { content_type, schema: schema.clone() })
            .collect(),
        headers: vec![],
    }
}

/// A header that may be there.
pub(crate) fn header_of(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: text_schema(),
    }
}

/// The schema of any text.
pub(crate) fn text_schema() -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
}

/// The schema of any bytes.
pub(crate) fn bytes_schema() -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")))
}
