//! How facts are written. Each is one line of JSON; in `submitted` the sealed secrets follow it as they are, so that a
//! list need not read them.

use brizo_backend::facts::{Ended, Started, VoidCause};
use brizo_backend::{
    Agreement, Algorithm, AlgorithmKind, Dataset, Deadlines, Image, JobId, JobSpec, Limits, LogTotals, Owner, Phase,
    Reason, RequestDigest, SPEC_VERSION, Secrets,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::Keys;

/// A fact with its writer's mark: who loses an answer, and finds the fact there when he tries again, knows it as his own.
#[derive(Serialize)]
struct Record<'a, T> {
    #[serde(flatten)]
    fact: &'a T,
    writer: &'a str,
}

/// What of a `submitted` is there in every version, besides the specification of this one.
#[derive(Serialize)]
struct Commit<'a> {
    #[serde(flatten)]
    spec: &'a JobSpec,
    /// For versions whose datasets this program can't read.
    agreements: Vec<&'a Agreement>,
    writer: &'a str,
}

#[derive(Deserialize)]
struct Writer {
    #[serde(default)]
    writer: String,
}

/// A new writer's mark.
pub(crate) fn mark() -> Option<String> {
    let mut mark = [0; 16];
    getrandom::fill(&mut mark).ok()?;
    Some(hex::encode(mark))
}

/// Whose mark a fact carries.
pub(crate) fn writer(bytes: &[u8]) -> Option<String> {
    serde_json::from_slice::<Writer>(line(bytes)).ok().map(|writer| writer.writer)
}

pub(crate) fn write<T: Serialize>(fact: &T, writer: &str) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&Record { fact, writer }).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(line(bytes)).ok()
}

/// The bytes of `submitted`.
pub(crate) fn write_submitted(spec: &JobSpec, provider: &str, keys: &Keys, writer: &str) -> Option<Vec<u8>> {
    let commit = Commit { spec, agreements: spec.agreements().collect(), writer };
    let mut bytes = serde_json::to_vec(&commit).ok()?;
    let secrets = serde_json::to_vec(&spec.secrets).ok()?;
    let sealed = keys.seal(&secrets, &associated(provider, &spec.id, &bytes))?;
    bytes.push(b'\n');
    bytes.extend(sealed);
    Some(bytes)
}

/// The specification, without its secrets; `None` if it is none.
pub(crate) fn read_submitted(bytes: &[u8]) -> Option<JobSpec> {
    let line = line(bytes);
    let version = serde_json::from_slice::<Version>(line).ok()?.version;
    if version <= SPEC_VERSION { serde_json::from_slice(line).ok() } else { newer(line) }
}

/// The secrets of the whole `submitted`.
pub(crate) fn read_secrets(bytes: &[u8], provider: &str, id: &JobId, keys: &Keys) -> Option<Secrets> {
    let line = line(bytes);
    let sealed = bytes.get(line.len() + 1..)?;
    let plain = keys.open(sealed, &associated(provider, id, line))?;
    serde_json::from_slice(&plain).ok()
}

/// Whether the line of JSON is whole in these first bytes of a fact.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

fn line(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == b'\n').next().unwrap_or(bytes)
}

/// What the secrets are bound to: the provider, the job, and all that is said of it in clear.
fn associated(provider: &str, id: &JobId, line: &[u8]) -> Vec<u8> {
    let mut associated = b"brizo journal 1".to_vec();
    for part in [provider.as_bytes(), id.to_string().as_bytes(), line] {
        associated.extend((part.len() as u64).to_be_bytes());
        associated.extend(part);
    }
    associated
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What every version has.
#[derive(Deserialize)]
struct Header {
    version: u32,
    id: JobId,
    owner: Owner,
    request: RequestDigest,
    created_at: Timestamp,
    #[serde(default)]
    agreements: Vec<Agreement>,
}

/// As much of a newer version's specification as can be shown.
fn newer(line: &[u8]) -> Option<JobSpec> {
    if let Ok(spec) = serde_json::from_slice(line) {
        return Some(spec);
    }
    let header: Header = serde_json::from_slice(line).ok()?;
    let Value::Object(parts) = serde_json::from_slice(line).ok()? else { return None };
    let unknown = || "unknown".to_owned();
    let image = Image { name: unknown(), tag: unknown(), checksum: None };
    let algorithm = Algorithm { kind: AlgorithmKind::Did, did: None, sha256: None, image, entrypoint: String::new() };
    let limits = Limits { cpu_millis: 0, memory_bytes: 0, disk_bytes: 0, outputs_bytes: 0, wall_time_s: 0, gpu: 0 };
    let bought = |agreement| Dataset { did: unknown(), agreement, files: 0 };
    Some(JobSpec {
        version: header.version,
        id: header.id,
        owner: header.owner,
        request: header.request,
        created_at: header.created_at,
        datasets: part(&parts, "datasets").unwrap_or_else(|| header.agreements.into_iter().map(bought).collect()),
        algorithm: part(&parts, "algorithm").unwrap_or(algorithm),
        limits: part(&parts, "limits").unwrap_or(limits),
        // It never fails by a deadline that this program does not know.
        deadlines: part(&parts, "deadlines").unwrap_or(Deadlines {
            queue_s: u64::MAX,
            provisioning_s: u64::MAX,
            publishing_s: u64::MAX,
        }),
        network: part(&parts, "network").unwrap_or(false),
        secrets: Secrets::default(),
    })
}

/// Whether the algorithm runs, of a newer version as far as it can be shown.
pub(crate) fn read_started(bytes: &[u8]) -> Option<Started> {
    if let Some(started) = read(bytes) {
        return Some(started);
    }
    let Value::Object(parts) = serde_json::from_slice(line(bytes)).ok()? else { return None };
    let at = part(&parts, "at")?;
    match parts.get("type")?.as_str()? {
        "run" => Some(Started::Run { at, image_digest: None }),
        "void" => Some(Started::Void { at, cause: VoidCause::Stop }),
        _ => None,
    }
}

/// The end, of a newer version as far as it can be shown.
pub(crate) fn read_ended(bytes: &[u8]) -> Option<Ended> {
    if let Some(ended) = read(bytes) {
        return Some(ended);
    }
    let Value::Object(parts) = serde_json::from_slice(line(bytes)).ok()? else { return None };
    let phase: Phase = part(&parts, "phase")?;
    let message = || "A newer version of this program wrote how it failed.".to_owned();
    Some(Ended {
        at: part(&parts, "at")?,
        phase,
        reason: (phase == Phase::Failed)
            .then(|| part(&parts, "reason").unwrap_or_else(|| Reason::Unknown { message: message() })),
        transitions: part(&parts, "transitions").unwrap_or_default(),
        walls: part(&parts, "walls").unwrap_or_default(),
        limits: part(&parts, "limits").unwrap_or_default(),
        usage: part(&parts, "usage"),
        algorithm_sha256: part(&parts, "algorithm_sha256"),
        manifest: part(&parts, "manifest"),
        log: part(&parts, "log").unwrap_or(LogTotals::default()),
    })
}

fn part<T: DeserializeOwned>(parts: &serde_json::Map<String, Value>, name: &str) -> Option<T> {
    parts.get(name).and_then(|value| T::deserialize(value).ok())
}
