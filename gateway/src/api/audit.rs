//! Audit records: one JSON line for each ended job and for each download. Written, never read back; they outlive the job.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use brizo_backend::{Job, JobId, OutputPath, rfc3339};
use serde_json::{Value, json};

/// Why the audit file can't be written.
#[derive(Debug, thiserror::Error)]
#[error("server.audit_file {path} can't be opened for appending: {source}")]
pub struct AuditError {
    path: PathBuf,
    source: std::io::Error,
}

/// Where records go.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Mutex<File>>>);

impl Audit {
    /// To the log.
    pub fn to_log() -> Self {
        Self(None)
    }

    /// To the end of a file, which only its owner can read.
    pub fn to_file(path: &Path) -> Result<Self, AuditError> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        file.map(|file| Self(Some(Arc::new(Mutex::new(file)))))
            .map_err(|source| AuditError { path: path.to_owned(), source })
    }

    /// A job ended, or was deleted before it did.
    pub fn ended(&self, job: &Job, deleted: bool) {
        let mut record = json!({
            "record": "job",
            "job": job.id,
            "owner": job.owner,
            "agreements": job.datasets.iter().map(|dataset| &dataset.agreement).collect::<Vec<_>>(),
            "dids": job.datasets.iter().map(|dataset| &dataset.did).collect::<Vec<_>>(),
            "algorithm": job.algorithm,
            "created_at": rfc3339(job.created_at),
            "started_at": job.started_at.map(rfc3339),
            "ended_at": job.ended_at.map(rfc3339),
            "end": if deleted && !job.phase.is_end() { "deleted" } else { job.phase.as_str() },
            "reason": job.reason,
            "output_count": job.outputs.map(|totals| totals.count),
            "output_bytes": job.outputs.map(|totals| totals.bytes),
            "log_bytes": job.log.map(|log| log.stdout_bytes + log.stderr_bytes),
        });
        if let Value::Object(fields) = &mut record {
            fields.retain(|_, value| !value.is_null());
        }
        self.write(&record);
    }

    /// So many bytes of an output went out.
    pub(crate) fn downloaded(&self, job: &JobId, path: &OutputPath, bytes: u64) {
        let at = rfc3339(brizo_backend::now());
        self.write(&json!({"record": "download", "job": job, "path": path, "bytes": bytes, "at": at}));
    }

    fn write(&self, record: &Value) {
        let Some(file) = &self.0 else {
            tracing::info!(target: "brizo::audit", %record, "audit");
            return;
        };
        // One write a line: lines of two gateways that append to one file do not mix.
        let line = format!("{record}\n");
        let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, %record, "an audit record could not be written");
        }
    }
}

/// Records a download when it ends, however it ends.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) audit: Audit,
    pub(crate) job: JobId,
    pub(crate) path: OutputPath,
    pub(crate) bytes: u64,
}

impl Download {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.audit.downloaded(&self.job, &self.path, self.bytes);
    }
}
