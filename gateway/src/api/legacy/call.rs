//! The parameters of a call as an extractor: the query string, or the body if there is none. The document shows both.

use std::marker::PhantomData;

use poem::{Request, RequestBody};
use poem_openapi::payload::ParsePayload;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::sync::Semaphore;

use super::params::Params;
use super::schema;
use crate::api::wire::StartBody;
use crate::problem::Problem;

/// The parameters of a call whose body looks as `B` says.
pub(crate) struct Call<B> {
    given: Given,
    of: PhantomData<fn() -> B>,
}

enum Given {
    Query(Params),
    Body(StartBody),
    /// A body that won't be read.
    Refused(Problem),
}

impl<B> Call<B> {
    /// What came. Here the signature stands in the body, so that it must be read before anybody is known to have signed it:
    /// of large ones only so many at once.
    pub(super) async fn params(self, bodies: &Semaphore) -> Result<Params, Problem> {
        match self.given {
            Given::Query(params) => Ok(params),
            Given::Body(body) => {
                let _room = if body.is_small() { None } else { bodies.acquire().await.ok() };
                Params::of_body(&body.bytes().await?).map_err(Problem::invalid)
            }
            Given::Refused(problem) => Err(problem),
        }
    }
}

/// What the document says of a call's body. OpenAPI 3.0 knows no body of GET and DELETE; a call of theirs may have one.
pub(crate) trait Body: Send + 'static {
    /// The component, if the document shows a body.
    const SCHEMA: Option<&'static str>;
}

/// A start.
pub(crate) struct StartCall;
impl Body for StartCall {
    const SCHEMA: Option<&'static str> = Some(schema::START);
}

/// A stop.
pub(crate) struct JobCall;
impl Body for JobCall {
    const SCHEMA: Option<&'static str> = Some(schema::CALL);
}

/// A look or a delete.
pub(crate) struct ReadCall;
impl Body for ReadCall {
    const SCHEMA: Option<&'static str> = None;
}

impl<'a, B: Body> ApiExtractor<'a> for Call<B> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::register_bodies(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        B::SCHEMA.map(|name| MetaRequest {
            description: Some("The parameters, if there is no query string; with one, the body is ignored."),
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: MetaSchemaRef::Reference(name.to_owned()),
            }],
            required: false,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let given = match request.uri().query().filter(|query| !query.is_empty()) {
            Some(query) => Given::Query(Params::of_query(query)),
            None => match <StartBody as ParsePayload>::from_request(request, body).await {
                Ok(body) => Given::Body(body),
                Err(error) => {
                    Given::Refused(error.downcast().unwrap_or_else(|error| Problem::internal(error.to_string())))
                }
            },
        };
        Ok(Self { given, of: PhantomData })
    }
}
