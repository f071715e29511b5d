//! The parts of the gateway's answers that the commands read. What they do not know they ignore, so that an older
//! command line works with a newer gateway.

use serde::{Deserialize, Serialize};

/// A job, as far as the commands need it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) phase: String,
    pub(super) created_at: String,
    pub(super) reason: Option<Reason>,
    pub(super) waiting: Option<Waiting>,
    pub(super) algorithm: Algorithm,
    pub(super) outputs: Option<OutputTotals>,
    #[serde(default)]
    pub(super) transitions: Vec<Transition>,
}

impl Job {
    /// Whether nothing comes after its phase.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "succeeded" | "failed" | "stopped")
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reason {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Waiting {
    pub(super) message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Algorithm {
    #[serde(default)]
    pub(super) image: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct OutputTotals {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Transition {
    pub(super) id: u32,
    pub(super) phase: String,
    pub(super) at: String,
}

/// A page of anything.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// A published file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Output {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What the gateway says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gateway {
    pub(super) provider: String,
    pub(super) chain_id: u64,
}

/// An error as the gateway tells it: application/problem+json.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) title: String,
    pub(super) retry_after_s: Option<u64>,
    #[serde(default)]
    pub(super) errors: Vec<ProblemPart>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProblemPart {
    #[serde(default)]
    pub(super) pointer: String,
    #[serde(default)]
    pub(super) detail: String,
}

/// The body of `POST /api/v1/jobs`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct JobRequest {
    pub(super) agreements: Vec<String>,
    pub(super) algorithm: AlgorithmRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<LimitsRequest>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum AlgorithmRequest {
    Raw { code: String, container: Container },
    Url { url: String, container: Container },
    Did { did: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Container {
    pub(super) image: String,
    pub(super) tag: String,
    pub(super) entrypoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct LimitsRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wall_time_s: Option<u64>,
}
