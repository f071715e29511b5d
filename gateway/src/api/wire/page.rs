use brizo_backend::SkipReason;
use poem_openapi::{Enum, Object};

use super::JobView;

/// A page of jobs, newest first.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct JobList {
    /// The jobs.
    pub(crate) items: Vec<JobView>,
    /// The next page's cursor; absent on the last page.
    pub(crate) next: Option<String>,
}

/// A page of outputs, sorted by path.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct OutputList {
    /// The published files.
    pub(crate) items: Vec<OutputView>,
    /// What was not published, on the first page.
    pub(crate) skipped: Vec<SkippedView>,
    /// The next page's cursor; absent on the last page.
    pub(crate) next: Option<String>,
}

/// A published file.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Output")]
pub(crate) struct OutputView {
    /// Below /data/outputs.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its SHA-256 in hex.
    pub(crate) sha256: String,
    /// Guessed from its name.
    pub(crate) content_type: String,
    /// Needs no bearer, and works for an hour.
    pub(crate) link: String,
}

/// Something in /data/outputs that was not published; it fails nothing.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Skipped")]
pub(crate) struct SkippedView {
    /// Its path, as far as it can be shown.
    pub(crate) path: String,
    pub(crate) why: SkipReasonView,
}

/// Why something was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "SkipReason", rename_all = "snake_case")]
pub(crate) enum SkipReasonView {
    SymbolicLink,
    HardLink,
    Device,
    Fifo,
    Socket,
    Name,
    TooDeep,
    TooMany,
    Unreadable,
}

impl From<SkipReason> for SkipReasonView {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::SymbolicLink => Self::SymbolicLink,
            SkipReason::HardLink => Self::HardLink,
            SkipReason::Device => Self::Device,
            SkipReason::Fifo => Self::Fifo,
            SkipReason::Socket => Self::Socket,
            SkipReason::Name => Self::Name,
            SkipReason::TooDeep => Self::TooDeep,
            SkipReason::TooMany => Self::TooMany,
            SkipReason::Unreadable => Self::Unreadable,
        }
    }
}
