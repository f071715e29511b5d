use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Agreement, AlgorithmKind, JobId, Owner, Phase, Reason, RequestDigest};

/// A job as it is shown: a pure function of its facts and of what is seen alive.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who it belongs to.
    pub owner: Owner,
    /// The version of its specification; newer than this program's means: shown, not driven.
    pub spec_version: u32,
    /// The digest of the request that made it.
    pub request: RequestDigest,
    /// Where it is.
    pub phase: Phase,
    /// Why it failed; present exactly if `phase` is [`Phase::Failed`].
    pub reason: Option<Reason>,
    /// The commit.
    pub created_at: Timestamp,
    /// When the algorithm was started.
    pub started_at: Option<Timestamp>,
    /// When somebody who may asked for its end.
    pub stop_requested_at: Option<Timestamp>,
    /// When the end was seen.
    pub ended_at: Option<Timestamp>,
    /// What it waits for, in the backend's own words.
    pub waiting: Option<Waiting>,
    /// What it reads.
    pub datasets: Vec<DatasetView>,
    /// What it runs.
    pub algorithm: AlgorithmView,
    /// Each limit, and how it is enforced.
    pub limits: Vec<LimitFact>,
    /// Each wall, and whether it stands.
    pub walls: Vec<WallFact>,
    /// What it used, as far as it is known.
    pub usage: Option<Usage>,
    /// Totals of its outputs, once they are published.
    pub outputs: Option<OutputTotals>,
    /// Totals of its log, once it has ended.
    pub log: Option<LogTotals>,
    /// The phases that it went through, in order; ids grow, and are the phases' own numbers.
    pub transitions: Vec<Transition>,
}

/// A dataset as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetView {
    /// `did:op:…`.
    pub did: String,
    /// What it was bought by.
    pub agreement: Agreement,
}

/// The algorithm as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlgorithmView {
    /// How it came.
    pub kind: AlgorithmKind,
    /// Its asset, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
    /// The SHA-256 of its bytes in hex, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `name:tag`.
    pub image: String,
    /// `sha256:<64 hex>`, once it is known, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

/// What a job waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The kind of thing.
    #[serde(rename = "for")]
    pub what: WaitingFor,
    /// The backend's own words.
    pub message: String,
    /// When it fails if it still waits.
    pub deadline: Timestamp,
}

/// Kinds of things that jobs wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// Other jobs, of the same owner or of all.
    Slot,
    /// A quota of the backend.
    Quota,
    /// A place to run.
    Scheduling,
    /// An image.
    Image,
    /// A store that does not answer.
    Store,
}

/// A limit, and how it is enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitFact {
    /// cpu (thousandths of a core), memory, disk, outputs (bytes), wall_time (seconds), gpu, processes.
    pub name: String,
    /// In the unit of its name.
    pub value: u64,
    /// Such as `cgroup`, `watchdog`, `rlimit`, `runner`.
    pub enforced_by: String,
    /// Whether it may be passed for a moment before it is noticed.
    pub soft: bool,
}

/// A wall of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallFact {
    /// Such as `network_namespace`, `seccomp`, `landlock_files`.
    pub name: String,
    /// Whether it stands.
    pub state: WallState,
}

/// What is known of a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WallState {
    /// It was built, and seen to stand.
    Standing,
    /// It was asked for; whether it is enforced can't be seen from here.
    Requested,
    /// This host has none.
    Absent,
}

/// What a job used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The highest memory that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// User and system time of all its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

/// Totals of what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTotals {
    /// Files.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that can't be published: links, devices and their kind.
    pub skipped: u64,
}

/// Totals of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTotals {
    /// Of stdout.
    pub stdout_bytes: u64,
    /// Of stderr.
    pub stderr_bytes: u64,
}

/// A phase that was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// [`Phase::number`]; the event's id on the wire.
    pub id: u32,
    /// The phase.
    pub phase: Phase,
    /// When it was entered; never earlier than the one before.
    pub at: Timestamp,
}
