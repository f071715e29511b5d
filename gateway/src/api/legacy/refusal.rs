//! Refusals as the old clients read them: `{"error": text}`, with the statuses that the first Brizo meant.

use std::marker::PhantomData;

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponses, Registry};
use serde_json::json;

use super::schema;
use crate::api::refusal::{Refusal, Statuses};
use crate::problem::{Code, Problem};

/// Where the old API lies.
const SERVICES: &str = "/api/v1/brizo/services";

/// Whether a path is the old API's.
pub(crate) fn speaks(path: &str) -> bool {
    path.starts_with(SERVICES)
}

/// The text of a 404 for a path of the old API; `on` is whether it is served at all.
pub(crate) fn no_such_path(path: &str, on: bool) -> &'static str {
    if on && speaks(path) {
        return "Of the old API this gateway serves /api/v1/brizo/services/compute and /. What a job wrote is downloaded by \
                the links in its resultsUrls.";
    }
    if !on && (speaks(path) || path == "/") {
        return "There is nothing here. The old clients' API (/api/v1/brizo/services) is off by default, since its \
                signatures have no nonce, its tokens no audience, and one of its reads signs the very text of a start; \
                server.legacy = true serves it. The new API is described at /api/v1/docs.";
    }
    "There is no such path; /api/v1/docs and /spec describe those that there are."
}

/// The response that tells `problem`. Old clients know no 409: what is not yet authorized is not authorized.
pub(crate) fn respond(problem: &Problem) -> Response {
    let status = match problem.code() {
        Code::LockUnpaid | Code::NotGranted | Code::EscrowUnreleased => StatusCode::UNAUTHORIZED,
        _ => StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let body = json!({"error": problem.detail()}).to_string();
    let mut response = Response::builder().status(status).content_type("application/json").body(body);
    if let Some(wait) = problem.wait() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// A refusal of an operation of the old API that declares `L`; [`respond`] makes its response in the frame.
pub(crate) struct Old<L>(Problem, PhantomData<fn() -> L>);

impl<L> From<Problem> for Old<L> {
    fn from(problem: Problem) -> Self {
        Self(problem, PhantomData)
    }
}

impl<L> From<Old<L>> for poem::Error {
    fn from(refusal: Old<L>) -> Self {
        refusal.0.into()
    }
}

impl<L: Statuses> ApiResponse for Old<L> {
    fn meta() -> MetaResponses {
        let mut meta = Refusal::<L>::meta();
        for response in &mut meta.responses {
            let old = MetaMediaType { content_type: "application/json", schema: schema::reference(schema::ERROR) };
            if response.status == Some(404) {
                // While the old API is off, its paths are told as those of the new one are.
                response.content.insert(0, old);
            } else {
                response.content = vec![old];
            }
            match response.status {
                Some(400) => response.description = "The call is not valid; `error` says what is wrong.",
                Some(401) => {
                    response.description = "Not signed by the consumer, or the agreement does not allow it; `error` says whether it may yet.";
                }
                _ => {}
            }
        }
        meta
    }

    fn register(registry: &mut Registry) {
        Refusal::<L>::register(registry);
        schema::register_error(registry);
    }
}
