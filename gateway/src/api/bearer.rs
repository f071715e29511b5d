//! The bearer of a request, as an extractor that documents its security scheme and refuses nothing by itself.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

/// What came after `Authorization: Bearer`.
#[derive(Debug)]
pub(crate) struct Bearer(pub(crate) Option<String>);

/// A bearer that may be missing: what it opens, a link of its own opens too.
#[derive(Debug)]
pub(crate) struct BearerOrLink(pub(crate) Bearer);

const NAME: &str = "bearer";

fn register(registry: &mut Registry) {
    registry.create_security_scheme(
        NAME,
        MetaSecurityScheme {
            ty: "http",
            description: Some(
                "base64url(JSON claims).0x-signature: an EIP-712 signature by the consumer's key, valid for at most a \
                 day. `brizo token` prints one.",
            ),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("base64url(claims).signature"),
            flows: None,
            openid_connect_url: None,
        },
    );
}

fn read(request: &Request) -> Bearer {
    let token = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    Bearer(token)
}

impl<'a> ApiExtractor<'a> for Bearer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![NAME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(read(request))
    }
}

impl<'a> ApiExtractor<'a> for BearerOrLink {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![NAME]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(read(request)))
    }
}
