use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Agreement, JobId, Owner};

/// The version of [`JobSpec`] that this program writes. A job of a newer one is listed and shown, never driven.
pub const SPEC_VERSION: u32 = 1;

/// The whole description of the work, neutral to the backend. Written once, with `submitted`; from it alone any gateway
/// or engine brings the job to its end. It has exactly one stage.
///
/// A backend destructures it exhaustively, so that a new field does not build until each backend has decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// [`SPEC_VERSION`] of the writer.
    pub version: u32,
    /// Chosen by the gateway.
    pub id: JobId,
    /// Who it belongs to.
    pub owner: Owner,
    /// Of the request as it was sent; a second submit under this id with another one is refused.
    pub request: RequestDigest,
    /// When it was accepted; the backend may put its own clock's time here.
    pub created_at: Timestamp,
    /// What it reads, in the order of the request.
    pub datasets: Vec<Dataset>,
    /// What it runs.
    pub algorithm: Algorithm,
    /// What it may use.
    pub limits: Limits,
    /// How long the other phases may take.
    pub deadlines: Deadlines,
    /// Whether every dataset's publisher allows the network.
    pub network: bool,
    /// What must stand in no fact in clear. Not serialized: a backend seals it, or keeps it where only it can read.
    #[serde(skip)]
    pub secrets: Secrets,
}

impl JobSpec {
    /// The agreements of all datasets, in their order.
    pub fn agreements(&self) -> impl Iterator<Item = &Agreement> {
        self.datasets.iter().map(|dataset| &dataset.agreement)
    }
}

/// The SHA-256 of a request's canonical JSON, with the version of the canonical form: `1:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestDigest(pub String);

/// One dataset of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// The asset's full id, `did:op:…`; its files are staged at `/data/inputs/<id without did:op:>/<n>`.
    pub did: String,
    /// What it was bought by.
    pub agreement: Agreement,
    /// How many files it has; [`Secrets::inputs`] says where they are.
    pub files: u32,
}

impl Dataset {
    /// The name of its folder below `/data/inputs`, and its entry in the algorithm's `DIDS`.
    pub fn folder(&self) -> &str {
        self.did.strip_prefix("did:op:").unwrap_or(&self.did)
    }
}

/// The form in which an algorithm came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmKind {
    /// Its code in the request.
    Raw,
    /// A URL that the consumer named.
    Url,
    /// A published asset.
    Did,
}

/// The algorithm of a job, without its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Algorithm {
    /// How it came.
    pub kind: AlgorithmKind,
    /// Its asset, for [`AlgorithmKind::Did`]; the algorithm's `TRANSFORMATION_DID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// The SHA-256 of its bytes in hex, where it is known at submit (raw code, a stated checksum).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What it runs in.
    pub image: Image,
    /// Run by `sh -c`, with `$ALGO` replaced by the algorithm's path.
    pub entrypoint: String,
}

/// A container image as the algorithm's author named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Without a tag, such as `python` or `registry.example.org/team/tool`.
    pub name: String,
    /// Such as `3.11`.
    pub tag: String,
    /// `sha256:<64 hex>`; where present it decides, and the tag is only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// What a job may use. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Memory of all its processes and of what it writes to memory file systems.
    pub memory_bytes: u64,
    /// What it may write to disk, outputs included.
    pub disk_bytes: u64,
    /// What of that may be published.
    pub outputs_bytes: u64,
    /// Seconds that the algorithm may run.
    pub wall_time_s: u64,
    /// Whole GPUs.
    pub gpu: u32,
}

/// How long the phases around the algorithm may take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the commit to the start of provisioning.
    pub queue_s: u64,
    /// From the first sight of configure to the start of the algorithm.
    pub provisioning_s: u64,
    /// From the algorithm's end to the end of publishing.
    pub publishing_s: u64,
}

/// Where inputs and algorithm come from: URLs, credentials and code, for the step that stages them and nobody else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// For each dataset, in the order of [`JobSpec::datasets`], its files in order.
    pub inputs: Vec<Vec<Input>>,
    /// The algorithm's bytes.
    pub algorithm: Option<Input>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// One file to stage.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Where its bytes are.
    pub source: Source,
    /// The SHA-256 that they must have, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// More than this is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input(…)")
    }
}

/// Where the bytes of a file are. Never shown: its `Debug` tells only the kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Source {
    /// A file of the publisher's below one of the roots that he listed. Opened beneath that root, following no link out of it.
    File {
        /// The listed root, absolute.
        root: String,
        /// Relative to it.
        path: String,
    },
    /// A URL of the publisher's: fetched as it stands.
    PublisherUrl {
        /// http or https (or, where the backend's capability says so, an object store's).
        url: String,
    },
    /// A URL that a consumer named, or a publisher who is not listed here: fetched behind the guard, without credentials.
    GuardedUrl {
        /// http or https.
        url: String,
        /// `address:port` pairs that may be reached although they are private.
        #[serde(default)]
        allow: Vec<std::net::SocketAddr>,
    },
    /// The bytes themselves.
    Inline {
        /// At most 512 KiB.
        code: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "File(…)",
            Self::PublisherUrl { .. } => "PublisherUrl(…)",
            Self::GuardedUrl { .. } => "GuardedUrl(…)",
            Self::Inline { .. } => "Inline(…)",
        })
    }
}
