//! The document of the API: the families that it is made of, its text, and Swagger UI over it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::{Response, handler};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};

use super::State;
use super::jobs::Jobs;
use super::legacy::Legacy;
use super::meta::Meta;
use super::outputs::Outputs;
use super::streams::Streams;

/// What the document groups operations by.
#[derive(Tags)]
pub(crate) enum Tag {
    /// Run an algorithm next to the data, and get what it wrote.
    #[oai(rename = "jobs")]
    Jobs,
    /// The gateway itself.
    #[oai(rename = "gateway")]
    Gateway,
    /// The documents of what is sold here.
    #[oai(rename = "assets")]
    Assets,
    /// What clients of the first Brizo speak; served only with `server.legacy = true`.
    #[oai(rename = "old clients")]
    OldClients,
}

/// All families. A new one is added here, and is then served and documented.
type Families = (Jobs, Streams, Outputs, Meta, Legacy);

const DESCRIPTION: &str = "Brizo is a compute-to-data gateway: algorithms go to the data, and only what they write comes \
    back. A consumer who holds a paid Service Agreement on the Keeper contracts starts a job; the gateway checks the \
    agreement on chain, and runs the algorithm in a sandbox next to the data.\n\nMost operations need a bearer: \
    `brizo token` prints one, for the Authorize button here or for curl. Errors are application/problem+json with a \
    stable `code` and a `detail` that says what would be right.";

/// The families over `state`.
pub(crate) fn service(state: &Arc<State>) -> OpenApiService<Families, ()> {
    of((
        Jobs(Arc::clone(state)),
        Streams(Arc::clone(state)),
        Outputs(Arc::clone(state)),
        Meta(Arc::clone(state)),
        Legacy::new(Arc::clone(state)),
    ))
}

fn of<T>(families: T) -> OpenApiService<T, ()> {
    OpenApiService::new(families, "Brizo", env!("CARGO_PKG_VERSION")).description(DESCRIPTION).server("/")
}

static TEXT: LazyLock<Bytes> = LazyLock::new(|| openapi().into());

/// The OpenAPI document: what `brizo openapi` prints, what `/spec` serves, and what openapi/brizo.json holds.
pub fn openapi() -> String {
    tidy(&raw_document().0)
}

/// poem-openapi's text, and its page.
fn raw_document() -> (String, String) {
    let service = of(Documented);
    (service.spec(), service.swagger_ui_html())
}

/// What poem-openapi can't say: a path of several segments, and a content type without its parameter.
fn tidy(text: &str) -> String {
    let mut text = text
        .replace("/*param1", "/{path}")
        .replace("\"LOCATION\"", "\"Location\"")
        .replace("application/json; charset=utf-8", "application/json")
        .replace("text/plain; charset=utf-8", "text/plain");
    text.push('\n');
    text
}

#[handler]
pub(crate) fn serve_document() -> Response {
    Response::builder().content_type("application/json").body(TEXT.clone())
}

/// The page is made for each request: it is a megabyte and a half, and nobody looks at it often.
#[handler]
pub(crate) fn serve_swagger_ui() -> Response {
    let (text, page) = raw_document();
    let page = page
        .replace(&text, tidy(&text).trim_end())
        .replace("<title>Swagger UI</title>", "<title>Brizo</title>")
        .replace("deepLinking: true,", "deepLinking: true, persistAuthorization: true,");
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header("content-security-policy", "frame-ancestors 'none'")
        .body(page)
}

/// The families as far as they are documented: without anything behind them.
struct Documented;

impl OpenApi for Documented {
    fn meta() -> Vec<MetaApi> {
        Families::meta()
    }

    fn register(registry: &mut Registry) {
        Families::register(registry);
    }

    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}
