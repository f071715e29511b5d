//! The seam between the gateway and whatever runs its jobs.
//!
//! [`Backend`] is the contract; its documentation is the specification, and the conformance suite proves every bullet
//! of it on every backend. A job is a handful of [`facts`], each written at most once; [`Job`] is the view of them that
//! is shown. This crate knows no store, no cloud and no chain: owners and agreements are opaque, bounded strings here.

mod backend;
mod capability;
mod check;
mod error;
pub mod facts;
mod ids;
mod job;
mod logs;
mod outputs;
mod phase;
mod reason;
mod spec;
mod time;

pub use backend::{Backend, JobFilter, JobPage, Page, Plan, Quotas};
pub use capability::{Capability, Schemes};
pub use check::{MAX_INLINE_BYTES, is_image_name, is_tag};
pub use error::{Error, ErrorKind, Result};
pub use ids::{Agreement, JobId, OutputPath, Owner, TextError};
pub use job::{
    AlgorithmView, DatasetView, Job, LimitFact, LogTotals, OutputTotals, Transition, Usage, Waiting, WaitingFor,
    WallFact, WallState,
};
pub use logs::{LogChunk, LogOptions, LogStream};
pub use outputs::{ByteRange, ByteStream, Manifest, Output, OutputPage, SkipReason, Skipped};
pub use phase::Phase;
pub use reason::Reason;
pub use spec::{
    Algorithm, AlgorithmKind, Dataset, Deadlines, Image, Input, JobSpec, Limits, RequestDigest, SPEC_VERSION, Secrets,
    Source,
};
pub use time::{now, rfc3339};
