//! What the document says of the old API's bodies and answers.

use poem_openapi::registry::{MetaResponse, MetaSchema, MetaSchemaRef, Registry};
use serde_json::json;

use crate::api::refusal::{Described, described};

/// Component of a start's body.
pub(super) const START: &str = "ComputeStart";
/// Component of any other call's body.
pub(super) const CALL: &str = "ComputeCall";
/// Component of a refusal.
pub(super) const ERROR: &str = "ComputeError";
const META: &str = "AlgorithmMeta";
const CONTAINER: &str = "AlgorithmMetaContainer";
const JOB: &str = "ComputeJob";
const VERSIONS: &str = "Versions";

/// An answer of the compute calls.
pub(crate) struct Jobs;
impl Described for Jobs {
    fn responses() -> Vec<MetaResponse> {
        vec![described(200, "The jobs.", &[("application/json", list(reference(JOB)))])]
    }

    fn register(registry: &mut Registry) {
        registry.schemas.insert(JOB.to_owned(), job());
    }
}

/// The answer of `GET /`.
pub(crate) struct About;
impl Described for About {
    fn responses() -> Vec<MetaResponse> {
        vec![described(200, "The gateway and its contracts.", &[("application/json", reference(VERSIONS))])]
    }

    fn register(registry: &mut Registry) {
        let addresses = MetaSchema {
            description: Some("Each contract's address by its name."),
            additional_properties: Some(Box::new(text(""))),
            ..MetaSchema::new("object")
        };
        let properties = vec![
            ("software", text("Brizo.")),
            ("version", text("Of the gateway.")),
            ("keeper-url", text("The chain's node, without credentials.")),
            ("network", text("Whose contracts they are.")),
            ("contracts", inline(addresses)),
            ("keeper-version", text("Of the contracts.")),
            ("provider-address", text("With which agreements are made.")),
        ];
        registry.schemas.insert(VERSIONS.to_owned(), whole("Which gateway this is.", properties));
    }
}

/// The components of the bodies.
pub(super) fn register_bodies(registry: &mut Registry) {
    let container = vec![
        ("entrypoint", text("Run by sh -c, with $ALGO replaced by the algorithm's path.")),
        ("image", text("Such as node.")),
        ("tag", text("Such as 10.")),
    ];
    registry.schemas.insert(CONTAINER.to_owned(), whole("What the algorithm runs in.", container));
    let meta = MetaSchema {
        description: Some("An algorithm that is not published: its code, or where it is."),
        required: vec!["container"],
        properties: vec![
            ("rawcode", text("The code; it wins over url.")),
            ("url", text("http or https.")),
            ("container", reference(CONTAINER)),
        ],
        ..MetaSchema::new("object")
    };
    registry.schemas.insert(META.to_owned(), meta);
    let signature = || ("signature", text("0x and 130 hex digits, or a token."));
    let consumer = || ("consumerAddress", text("Who signed, in any case."));
    let output = MetaSchema {
        description: Some("Anything; publishOutput and publishAlgorithmLog must not be true."),
        additional_properties: Some(Box::new(inline(MetaSchema::ANY))),
        ..MetaSchema::new("object")
    };
    let start = MetaSchema {
        description: Some("The parameters of a start. One of algorithmDid and algorithmMeta must be there."),
        required: vec!["signature", "serviceAgreementId", "consumerAddress", "output"],
        properties: vec![
            signature(),
            ("serviceAgreementId", text("Of the paid agreement, with or without 0x.")),
            consumer(),
            ("output", inline(output)),
            ("algorithmDid", text("A published algorithm.")),
            ("algorithmMeta", reference(META)),
        ],
        example: Some(json!({
            "signature": format!("0x{}", "12".repeat(65)),
            "serviceAgreementId": format!("0x{}", "12".repeat(32)),
            "consumerAddress": format!("0x{}", "12".repeat(20)),
            "output": {},
            "algorithmMeta": {
                "rawcode": "console.log(process.env.DIDS)",
                "container": {"entrypoint": "node $ALGO", "image": "node", "tag": "10"}
            }
        })),
        ..MetaSchema::new("object")
    };
    registry.schemas.insert(START.to_owned(), start);
    let call = MetaSchema {
        description: Some("The parameters of a call about jobs."),
        required: vec!["signature", "consumerAddress"],
        properties: vec![
            signature(),
            consumer(),
            ("serviceAgreementId", text("Only jobs of this agreement.")),
            ("jobId", text("Only this job.")),
        ],
        ..MetaSchema::new("object")
    };
    registry.schemas.insert(CALL.to_owned(), call);
}

/// The component of refusals.
pub(super) fn register_error(registry: &mut Registry) {
    let properties = vec![("error", text("What was wrong, and what would be right."))];
    registry.schemas.insert(ERROR.to_owned(), whole("A refusal.", properties));
}

fn job() -> MetaSchema {
    let results = MetaSchema {
        description: Some("An empty text while there is nothing, then the same as resultsUrls."),
        ..MetaSchema::ANY
    };
    let mut schema = whole(
        "A job in Ocean's words, and what is true of it in `phase` and `reason`.",
        vec![
            ("agreementId", text("0x and 64 hex digits.")),
            ("jobId", text("32 hex digits.")),
            ("owner", text("The consumer's address in lower case.")),
            (
                "status",
                number(
                    "integer",
                    false,
                    "10 job started, 20 configuring volumes, 31 data provisioning failed, 32 algorithm provisioning \
                     failed, 40 running algorithm, 60 publishing results, 70 job finished, however it ended.",
                ),
            ),
            ("statusText", text("The status in words.")),
            (
                "dateCreated",
                number("number", true, "Unix time in seconds, with a fraction; null if not known any more."),
            ),
            ("dateFinished", number("number", true, "Unix time in seconds, with a fraction; null before the end.")),
            ("algorithmLogUrl", nullable_text("A link to the log that works for an hour; null before the start.")),
            ("resultsUrl", inline(results)),
            ("resultsUrls", list_of("Links to the outputs that work for an hour.", text(""))),
            ("resultsDid", text("Always empty: outputs are not published.")),
            ("stopreq", number("integer", false, "1 a stop was asked for, 2 it ran longer than it may, else 0.")),
            ("removed", number("integer", false, "1 deleted, else 0.")),
        ],
    );
    schema.properties.push(("phase", text("As in the jobs family; absent of a job that was deleted before.")));
    schema.properties.push(("reason", reference("Reason")));
    schema
}

pub(super) fn reference(name: &str) -> MetaSchemaRef {
    MetaSchemaRef::Reference(name.to_owned())
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

/// An object whose properties are all there.
fn whole(description: &'static str, properties: Vec<(&'static str, MetaSchemaRef)>) -> MetaSchema {
    MetaSchema {
        description: Some(description),
        required: properties.iter().map(|(name, _)| *name).collect(),
        properties,
        ..MetaSchema::new("object")
    }
}

fn text(description: &'static str) -> MetaSchemaRef {
    let description = (!description.is_empty()).then_some(description);
    inline(MetaSchema { description, ..MetaSchema::new("string") })
}

fn nullable_text(description: &'static str) -> MetaSchemaRef {
    inline(MetaSchema { description: Some(description), nullable: true, ..MetaSchema::new("string") })
}

fn number(ty: &'static str, nullable: bool, description: &'static str) -> MetaSchemaRef {
    inline(MetaSchema { description: Some(description), nullable, ..MetaSchema::new(ty) })
}

fn list(items: MetaSchemaRef) -> MetaSchemaRef {
    inline(MetaSchema { items: Some(Box::new(items)), ..MetaSchema::new("array") })
}

fn list_of(description: &'static str, items: MetaSchemaRef) -> MetaSchemaRef {
    inline(MetaSchema { description: Some(description), items: Some(Box::new(items)), ..MetaSchema::new("array") })
}
