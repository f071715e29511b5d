//! What the gateway says of itself: health, backend, and the documents of assets.

use std::sync::Arc;

use poem::Response;
use poem::http::StatusCode;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaResponse, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::State;
use super::document::Tag;
use super::refusal::{Described, Refusal, Statuses, Written, described, text_schema};
use crate::problem::{Code, Problem};
use crate::types::{Did, show_address};

pub(crate) struct Meta(pub(crate) Arc<State>);

pub(crate) struct MetaRefusals;
impl Statuses for MetaRefusals {
    const LIST: &'static [u16] = &[429, 500, 503];
}

pub(crate) struct ReadyRefusals;
impl Statuses for ReadyRefusals {
    const LIST: &'static [u16] = &[503];
}

/// What the gateway runs jobs with.
#[derive(Debug, Object)]
#[oai(rename = "Backend")]
struct BackendView {
    /// process, docker, kubernetes or aws-batch.
    #[oai(rename = "type")]
    kind: String,
    /// The provider's address, with which agreements are made.
    provider: String,
    /// The chain that the agreements are on.
    chain_id: u64,
    /// The audience of bearers for this gateway: its public URL.
    audience: String,
    capabilities: CapabilitiesView,
    limits: GatewayLimits,
    /// The walls that stand around every algorithm here.
    walls: Vec<super::wire::WallView>,
}

/// What a job here may count on.
#[derive(Debug, Object)]
#[oai(rename = "Capabilities")]
struct CapabilitiesView {
    /// A log can be followed while the algorithm runs.
    logs_follow: bool,
    /// A stopped algorithm gets SIGTERM and some time before SIGKILL.
    stop_grace: bool,
    /// GPUs can be asked for.
    gpu: bool,
    /// Processes of one job may speak over unix sockets.
    unix_sockets: bool,
    /// An algorithm can be given the network, if every publisher allows it.
    network: bool,
    /// A container's checksum is honoured.
    container_checksum: bool,
    /// Images can be any of a registry's; else they are names of runtimes of the gateway's host.
    images: bool,
    /// Peak memory and CPU time are told.
    usage: bool,
}

/// The most that a job may use, and what it gets if it asks for nothing.
#[derive(Debug, Object)]
#[oai(rename = "GatewayLimits")]
struct GatewayLimits {
    /// Cores.
    cpu: f64,
    /// Bytes.
    memory_bytes: u64,
    /// Bytes that may be written.
    disk_bytes: u64,
    /// Bytes of that which may be published.
    outputs_bytes: u64,
    /// Seconds that the algorithm may run.
    wall_time_s: u64,
    /// Seconds in the queue.
    queue_s: u64,
    /// Seconds from the queue to the algorithm's start.
    provisioning_s: u64,
    /// Seconds from the algorithm's end to the job's.
    publishing_s: u64,
    /// Bytes of raw code.
    code_bytes: u64,
}

/// The gateway's state.
#[derive(Debug, Object)]
#[oai(rename = "Health")]
struct HealthView {
    /// live or ready.
    status: String,
}

pub(crate) struct DocumentAnswer;
impl Described for DocumentAnswer {
    fn responses() -> Vec<MetaResponse> {
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("A DDO, as Ocean's OEP-7 and OEP-8 have it."),
            ..MetaSchema::new("object")
        }));
        vec![
            described(200, "The document, byte for byte as it was published.", &[("application/json", schema)]),
            described(404, "There is no such asset here.", &[("text/plain", text_schema())]),
        ]
    }
}

#[derive(ApiResponse)]
enum Live {
    /// It answers.
    #[oai(status = 200)]
    Live(Json<HealthView>),
}

#[OpenApi]
impl Meta {
    /// What the gateway runs jobs with
    ///
    /// Its backend, the walls around an algorithm, the limits, and what clients need to sign for it.
    #[oai(path = "/api/v1/backend", method = "get", operation_id = "get_backend", tag = "Tag::Gateway")]
    async fn backend(&self) -> Result<Json<BackendView>, Refusal<MetaRefusals>> {
        let setup = &self.0.setup;
        let chain_id = setup.desk.chain_id().await?;
        let capability = setup.backend.capability();
        let limits = setup.limits;
        Ok(Json(BackendView {
            kind: setup.backend_type.clone(),
            provider: show_address(&setup.provider),
            chain_id,
            audience: self.0.public_url().to_owned(),
            capabilities: CapabilitiesView {
                logs_follow: capability.logs_follow,
                stop_grace: capability.stop_grace,
                gpu: capability.gpu,
                unix_sockets: capability.unix_sockets,
                network: capability.network,
                container_checksum: capability.container_checksum,
                images: capability.images,
                usage: capability.usage,
            },
            limits: GatewayLimits {
                cpu: limits.cpu_millis as f64 / 1_000.0,
                memory_bytes: limits.memory_bytes,
                disk_bytes: limits.disk_bytes,
                outputs_bytes: limits.outputs_bytes,
                wall_time_s: limits.wall_time_s,
                queue_s: setup.deadlines.queue_s,
                provisioning_s: setup.deadlines.provisioning_s,
                publishing_s: setup.deadlines.publishing_s,
                code_bytes: super::wire::MOST_CODE_BYTES as u64,
            },
            walls: super::wire::WallView::of(capability),
        }))
    }

    /// Whether the gateway runs
    #[oai(path = "/health/live", method = "get", operation_id = "live", tag = "Tag::Gateway")]
    #[expect(clippy::unused_async, reason = "an operation is asynchronous")]
    async fn live(&self) -> Live {
        Live::Live(Json(HealthView { status: "live".to_owned() }))
    }

    /// Whether the gateway can take jobs
    ///
    /// Asks chain, metadata store and backend, at most once a second.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready", tag = "Tag::Gateway")]
    async fn ready(&self) -> Result<Json<HealthView>, Refusal<ReadyRefusals>> {
        match self.0.readiness().await {
            Ok(()) => Ok(Json(HealthView { status: "ready".to_owned() })),
            Err(text) => Err(Problem::new(Code::Unavailable, text).into()),
        }
    }

    /// Read an asset's document
    ///
    /// As Aquarius served it.
    #[oai(path = "/api/v1/aquarius/assets/ddo/:did", method = "get", operation_id = "get_ddo", tag = "Tag::Assets")]
    async fn document(
        &self,
        /// did:op: and 64 hex digits.
        did: Path<String>,
    ) -> Result<Written<DocumentAnswer>, Refusal<MetaRefusals>> {
        let found = match did.0.parse::<Did>() {
            Ok(did) => self.0.setup.desk.document(&did).await?,
            Err(_) => None,
        };
        Ok(Written::new(match found {
            Some(bytes) => Response::builder().content_type("application/json").body(bytes),
            None => Response::builder()
                .status(StatusCode::NOT_FOUND)
                .content_type("text/plain; charset=utf-8")
                .body(format!("{} asset DID is not in OceanDB", shown(&did.0))),
        }))
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(80).collect()
}
