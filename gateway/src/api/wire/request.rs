//! The body of a start: read as bytes, hashed as it was sent, then parsed with a text for each way to get it wrong.

use std::collections::HashSet;
use std::time::Duration;

use brizo_backend::RequestDigest;
use bytes::Bytes;
use poem::{Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::tagged::{Member, plain, register};
use crate::problem::{Code, Problem};
use crate::service::{AlgorithmForm, AskedLimits, Container, StartRequest};
use crate::types::{AgreementId, Did};

/// The most of raw code.
pub(crate) const MOST_CODE_BYTES: usize = 512 * 1024;
/// The most of a body: raw code in which each byte is escaped, and room for the rest, is refused only past six times.
const MOST_BODY_BYTES: usize = 6 * MOST_CODE_BYTES + 64 * 1024;
/// More datasets than anybody joins.
const MOST_AGREEMENTS: usize = 32;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// A body up to here is small: any number of them is read at once.
const SMALL_BYTES: usize = 64 * 1024;

/// The body of a start, not read yet: nobody who has not signed makes the gateway hold one.
pub(crate) struct StartBody {
    body: poem::Body,
    small: bool,
}

/// A request, and the digest of its body.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) request: StartRequest,
    pub(crate) digest: RequestDigest,
}

impl StartBody {
    /// Whether its length is known, and small.
    pub(crate) fn is_small(&self) -> bool {
        self.small
    }

    /// Reads it and parses it.
    pub(crate) async fn read(self) -> Result<Start, Problem> {
        Start::parse(&self.bytes().await?)
    }

    /// Reads it.
    pub(crate) async fn bytes(self) -> Result<Bytes, Problem> {
        match tokio::time::timeout(PATIENCE, self.body.into_bytes_limit(MOST_BODY_BYTES)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => Err(too_large()),
            Ok(Err(error)) => Err(Problem::invalid("The body broke off.").because(error)),
            Err(_) => Err(Problem::invalid("The body did not arrive within 30 seconds.")),
        }
    }
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("The body is at most {MOST_BODY_BYTES} bytes."))
}

impl Start {
    /// Hashes the body as it was sent, and parses it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::invalid(format!("The body is not JSON: {error}.")))?;
        let canonical = serde_jcs::to_vec(&value).map_err(Problem::internal)?;
        let digest = RequestDigest(format!("1:{}", hex::encode(Sha256::digest(&canonical))));
        let Value::Object(mut fields) = value else {
            return Err(Problem::invalid("The body is not a JSON object with the fields agreements and algorithm."));
        };
        let agreements = agreements(&required(&mut fields, "agreements")?)?;
        let algorithm = algorithm(required(&mut fields, "algorithm")?)?;
        let limits = match fields.remove("limits") {
            None => AskedLimits::default(),
            Some(value) => limits(value)?,
        };
        if let Some(name) = fields.keys().next() {
            return Err(Problem::invalid_at(
                format!("/{name}"),
                format!("There is no field {name:?}; there are agreements, algorithm and limits."),
            ));
        }
        Ok(Self { request: StartRequest { agreements, algorithm, limits }, digest })
    }
}

fn required(fields: &mut Map<String, Value>, name: &str) -> Result<Value, Problem> {
    fields
        .remove(name)
        .ok_or_else(|| Problem::invalid_at(format!("/{name}"), format!("The field {name:?} is missing.")))
}

fn read<T: DeserializeOwned>(value: Value, pointer: &str) -> Result<T, Problem> {
    serde_json::from_value(value)
        .map_err(|error| Problem::invalid_at(pointer, format!("{pointer} is not right: {error}.")))
}

fn agreements(value: &Value) -> Result<Vec<AgreementId>, Problem> {
    let items = value.as_array().filter(|items| (1..=MOST_AGREEMENTS).contains(&items.len())).ok_or_else(|| {
        Problem::invalid_at("/agreements", format!("agreements is a list of 1 to {MOST_AGREEMENTS} agreement ids."))
    })?;
    let mut seen = HashSet::new();
    items
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let pointer = format!("/agreements/{n}");
            let wrong = |text: String| Problem::invalid_at(pointer.clone(), text);
            let text = item.as_str().ok_or_else(|| wrong("An agreement id is 0x and 64 hex digits.".into()))?;
            let id: AgreementId = text.parse().map_err(|error| wrong(format!("{error}.")))?;
            if seen.insert(id) { Ok(id) } else { Err(wrong(format!("Agreement {id} is named twice."))) }
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForm {
    code: String,
    container: ContainerForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlForm {
    url: String,
    checksum: Option<String>,
    container: ContainerForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DidForm {
    did: Did,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerForm {
    image: String,
    tag: String,
    checksum: Option<String>,
    entrypoint: String,
}

impl ContainerForm {
    fn parse(self) -> Result<Container, Problem> {
        let Self { image, tag, checksum, entrypoint } = self;
        for (name, text) in [("image", &image), ("tag", &tag), ("entrypoint", &entrypoint)] {
            if text.trim().is_empty() || text.len() > 4_096 || text.contains('\0') {
                return Err(Problem::invalid_at(
                    format!("/algorithm/container/{name}"),
                    format!("The container's {name} is empty, longer than 4096 bytes, or holds a NUL."),
                ));
            }
        }
        let checksum = checksum.map(|text| sha256(&text, "/algorithm/container/checksum")).transpose()?;
        Ok(Container { image, tag, checksum, entrypoint })
    }
}

/// A checksum in the one form that counts.
fn sha256(text: &str, pointer: &str) -> Result<String, Problem> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    match digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
        Some(digits) => Ok(format!("sha256:{}", digits.to_ascii_lowercase())),
        None => {
            Err(Problem::invalid_at(pointer, "A checksum is sha256: and 64 hex digits; leave it out if there is none."))
        }
    }
}

fn algorithm(value: Value) -> Result<AlgorithmForm, Problem> {
    const AT: &str = "/algorithm";
    let Value::Object(mut fields) = value else {
        return Err(Problem::invalid_at(AT, "algorithm is an object with a type: raw, url or did."));
    };
    let kind = fields.remove("type").unwrap_or_default();
    let rest = Value::Object(fields);
    match kind.as_str() {
        Some("raw") => {
            let RawForm { code, container } = read(rest, AT)?;
            if code.len() > MOST_CODE_BYTES {
                return Err(Problem::new(
                    Code::TooLarge,
                    "Raw code is at most 512 KiB; publish the algorithm instead.",
                )
                .at("/algorithm/code", format!("{} bytes", code.len())));
            }
            Ok(AlgorithmForm::Raw { code, container: container.parse()? })
        }
        Some("url") => {
            let UrlForm { url, checksum, container } = read(rest, AT)?;
            let parsed = url::Url::parse(&url).ok().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
            if parsed.is_none() || url.len() > 8_192 {
                return Err(Problem::invalid_at("/algorithm/url", "The algorithm's url is not an http(s) URL."));
            }
            let checksum = checksum.map(|text| sha256(&text, "/algorithm/checksum")).transpose()?;
            Ok(AlgorithmForm::Url { url, checksum, container: container.parse()? })
        }
        Some("did") => Ok(AlgorithmForm::Did(read::<DidForm>(rest, AT)?.did)),
        _ => Err(Problem::invalid_at("/algorithm/type", "The algorithm's type is one of raw, url and did.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsForm {
    cpu: Option<f64>,
    memory_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    wall_time_s: Option<u64>,
    gpu: Option<u32>,
}

fn limits(value: Value) -> Result<AskedLimits, Problem> {
    let LimitsForm { cpu, memory_bytes, disk_bytes, wall_time_s, gpu } = read(value, "/limits")?;
    if cpu.is_some_and(|cpu| cpu < 0.001) {
        return Err(Problem::invalid_at("/limits/cpu", "cpu is a number of cores of at least 0.001."));
    }
    for (name, asked) in [("memory_bytes", memory_bytes), ("disk_bytes", disk_bytes), ("wall_time_s", wall_time_s)] {
        if asked == Some(0) {
            return Err(Problem::invalid_at(format!("/limits/{name}"), format!("{name} is at least 1.")));
        }
    }
    Ok(AskedLimits { cpu, memory_bytes, disk_bytes, wall_time_s, gpu })
}

impl Payload for StartBody {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference("JobRequest".to_owned())
    }

    fn register(registry: &mut Registry) {
        register_schemas(registry);
    }
}

impl ParsePayload for StartBody {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let told = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
        if told.is_some_and(|length| length > MOST_BODY_BYTES) {
            return Err(too_large().into());
        }
        let body = body.take().map_err(|_| Problem::invalid("There is no body."))?;
        Ok(Self { body, small: told.is_some_and(|length| length <= SMALL_BYTES) })
    }
}

impl<'a> ApiExtractor<'a> for StartBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<poem_openapi::registry::MetaRequest> {
        Some(poem_openapi::registry::MetaRequest {
            description: Some("What is to be run, and the agreements that its datasets were bought by."),
            content: vec![poem_openapi::registry::MetaMediaType {
                content_type: Self::CONTENT_TYPE,
                schema: Self::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match request.content_type() {
            Some(kind) if Self::check_content_type(kind) => <Self as ParsePayload>::from_request(request, body).await,
            kind => Err(Problem::invalid(format!(
                "The body's Content-Type is {}; application/json would be right.",
                kind.unwrap_or("missing")
            ))
            .with_status(415)
            .into()),
        }
    }
}

fn reference(name: &str) -> MetaSchemaRef {
    MetaSchemaRef::Reference(name.to_owned())
}

fn register_schemas(registry: &mut Registry) {
    let text = |description| plain("string", None, description);
    let checksum = || {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("sha256: and 64 hex digits; where present it decides."),
            pattern: Some("^sha256:[0-9a-fA-F]{64}$".to_owned()),
            ..MetaSchema::new("string")
        }))
    };
    let mut container = MetaSchema {
        description: Some("What the algorithm runs in."),
        required: vec!["image", "tag", "entrypoint"],
        ..MetaSchema::new("object")
    };
    container.properties = vec![
        ("image", text("Such as python; on the process backend the name of one of the gateway's runtimes.")),
        ("tag", text("Such as 3.11.")),
        ("checksum", checksum()),
        ("entrypoint", text("Run by sh -c, with $ALGO replaced by the algorithm's path.")),
    ];
    container.example = Some(json!({"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"}));
    registry.schemas.insert("Container".to_owned(), container);
    register::<AlgorithmForm>(
        registry,
        "Algorithm",
        "type",
        "What is to be run: raw code, a URL, or a published algorithm.",
        vec![
            Member {
                tag: "raw",
                name: "RawAlgorithm",
                description: "Its code.",
                properties: vec![("code", text("At most 512 KiB."), true), ("container", reference("Container"), true)],
            },
            Member {
                tag: "url",
                name: "UrlAlgorithm",
                description: "Where it is: an http(s) URL that is reachable from the gateway and is not private.",
                properties: vec![
                    ("url", text("http or https."), true),
                    ("checksum", checksum(), false),
                    ("container", reference("Container"), true),
                ],
            },
            Member {
                tag: "did",
                name: "DidAlgorithm",
                description: "A published algorithm; its document says what it runs in.",
                properties: vec![("did", text("did:op: and 64 hex digits."), true)],
            },
        ],
    );
    let number = |ty, format, description| plain(ty, Some(format), description);
    registry.schemas.insert(
        "LimitsRequest".to_owned(),
        MetaSchema {
            description: Some(
                "What the job asks for; what is left out takes the gateway's own limit, which is also the most.",
            ),
            properties: vec![
                ("cpu", number("number", "double", "Cores.")),
                ("memory_bytes", number("integer", "int64", "Bytes.")),
                ("disk_bytes", number("integer", "int64", "Bytes.")),
                ("wall_time_s", number("integer", "int64", "Seconds that the algorithm may run.")),
                ("gpu", number("integer", "int32", "Whole GPUs.")),
            ],
            ..MetaSchema::new("object")
        },
    );
    let agreement = MetaSchema { pattern: Some("^(0x)?[0-9a-fA-F]{64}$".to_owned()), ..MetaSchema::new("string") };
    registry.schemas.insert(
        "JobRequest".to_owned(),
        MetaSchema {
            description: Some("What is to be run, on what."),
            required: vec!["agreements", "algorithm"],
            properties: vec![
                (
                    "agreements",
                    MetaSchemaRef::Inline(Box::new(MetaSchema {
                        description: Some("What the datasets were bought by, one agreement a dataset."),
                        items: Some(Box::new(MetaSchemaRef::Inline(Box::new(agreement)))),
                        min_items: Some(1),
                        max_items: Some(MOST_AGREEMENTS),
                        ..MetaSchema::new("array")
                    })),
                ),
                ("algorithm", reference("Algorithm")),
                ("limits", reference("LimitsRequest")),
            ],
            example: Some(json!({
                "agreements": [format!("0x{}", "12".repeat(32))],
                "algorithm": {
                    "type": "raw",
                    "code": "import os; print(os.listdir(os.environ['INPUTS']))",
                    "container": {"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"}
                }
            })),
            ..MetaSchema::new("object")
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Start, Problem> {
        Start::parse(text.as_bytes())
    }

    fn good() -> String {
        format!(
            r#"{{"agreements":["0x{}"],"algorithm":{{"type":"raw","code":"print(1)","container":
            {{"image":"python","tag":"3","entrypoint":"python3 $ALGO"}}}},"limits":{{"cpu":1.0}}}}"#,
            "ab".repeat(32)
        )
    }

    #[test]
    fn a_retry_with_its_keys_in_another_order_is_the_same_request() {
        let first = parse(&good()).unwrap();
        let reordered = format!(
            r#"{{"limits":{{"cpu":1}},"algorithm":{{"container":{{"tag":"3","entrypoint":"python3 $ALGO",
            "image":"python"}},"code":"print(\u0031)","type":"raw"}},"agreements":["0x{}"]}}"#,
            "ab".repeat(32)
        );
        assert_eq!(parse(&reordered).unwrap().digest, first.digest);
        let changed = good().replace("print(1)", "print(2)");
        assert_ne!(parse(&changed).unwrap().digest, first.digest);
        assert!(first.digest.0.starts_with("1:"));
    }

    #[test]
    fn each_way_to_get_a_body_wrong_is_told_where_it_is_wrong() {
        let cases = [
            ("{", None, "not JSON"),
            ("[]", None, "JSON object"),
            ("{}", Some("/agreements"), "missing"),
            (r#"{"agreements":[]}"#, Some("/agreements"), "1 to 32"),
            (r#"{"agreements":["0x12"]}"#, Some("/agreements/0"), "64 hex"),
            (r#"{"agreements":[7]}"#, Some("/agreements/0"), "64 hex"),
        ];
        for (body, pointer, words) in cases {
            let problem = parse(body).unwrap_err();
            assert_eq!(problem.parts().first().map(|part| part.pointer.as_str()), pointer, "{body}");
            assert!(problem.detail().contains(words), "{body}: {problem}");
        }
        for (from, to, pointer) in [
            ("\"type\":\"raw\"", "\"type\":\"cooked\"", "/algorithm/type"),
            ("\"code\":\"print(1)\",", "", "/algorithm"),
            ("\"code\":", "\"extra\":1,\"code\":", "/algorithm"),
            ("\"image\":\"python\"", "\"image\":\" \"", "/algorithm/container/image"),
            ("\"tag\":\"3\"", "\"tag\":\"3\",\"checksum\":\"abc\"", "/algorithm/container/checksum"),
            ("\"cpu\":1.0", "\"cpu\":-1", "/limits/cpu"),
            ("\"cpu\":1.0", "\"memory_bytes\":0", "/limits/memory_bytes"),
            ("\"cpu\":1.0", "\"memory\":1", "/limits"),
            ("\"limits\"", "\"limit\"", "/limit"),
        ] {
            let body = good().replace(from, to);
            assert_ne!(body, good(), "{from}");
            let problem = parse(&body).unwrap_err();
            assert_eq!(problem.parts()[0].pointer, pointer, "{body}: {problem}");
        }
        let twice = good().replace("[\"0x", &format!("[\"{}\",\"0x", "AB".repeat(32)));
        assert_eq!(parse(&twice).unwrap_err().parts()[0].pointer, "/agreements/1");
    }

    #[test]
    fn no_number_is_too_large_to_be_hashed() {
        for number in ["18446744073709551615", "9007199254740993"] {
            let body = good().replace("\"cpu\":1.0", &format!("\"memory_bytes\":{number}"));
            assert_eq!(parse(&body).unwrap().request.limits.memory_bytes, number.parse().ok());
        }
        assert_eq!(parse(&good().replace("1.0", "1e999")).unwrap_err().status(), 400);
    }

    #[test]
    fn raw_code_past_512_kib_is_too_large() {
        let body = |length: usize| good().replace("print(1)", &"x".repeat(length));
        assert!(parse(&body(MOST_CODE_BYTES)).is_ok());
        assert_eq!(parse(&body(MOST_CODE_BYTES + 1)).unwrap_err().status(), 413);
    }

    #[test]
    fn the_other_two_forms() {
        let head = format!(r#"{{"agreements":["{}"],"algorithm":"#, "ab".repeat(32));
        let did = format!(r#"{head}{{"type":"did","did":"did:op:{}"}}}}"#, "cd".repeat(32));
        assert!(matches!(parse(&did).unwrap().request.algorithm, AlgorithmForm::Did(_)));
        let url = |url: &str| {
            format!(
                r#"{head}{{"type":"url","url":"{url}","checksum":"sha256:{}","container":
                {{"image":"node","tag":"20","entrypoint":"node $ALGO"}}}}}}"#,
                "AB".repeat(32)
            )
        };
        let parsed = parse(&url("https://example.org/a.js")).unwrap().request.algorithm;
        assert!(matches!(parsed, AlgorithmForm::Url { checksum: Some(sum), .. } if sum.ends_with("abab")));
        for bad in ["file:///etc/passwd", "a.js", "ftp://x/y"] {
            assert_eq!(parse(&url(bad)).unwrap_err().parts()[0].pointer, "/algorithm/url");
        }
    }
}
