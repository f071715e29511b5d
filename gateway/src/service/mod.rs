//! From a consumer's request to a specification: the one place where keeper, assets and configuration meet.

mod clerk;
mod keeper_view;
mod refusal;

pub use clerk::Clerk;
pub use keeper_view::KeeperView;

use std::fmt;

use async_trait::async_trait;
use brizo_backend::{JobId, JobSpec, RequestDigest};
use bytes::Bytes;

use crate::problem::Problem;
use crate::types::{Address, AgreementId, Did};

/// What a consumer asks to be run, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// What the datasets were bought by; at least one, none twice.
    pub agreements: Vec<AgreementId>,
    /// What is to be run.
    pub algorithm: AlgorithmForm,
    /// What it asks for; what is absent takes the gateway's own limit.
    pub limits: AskedLimits,
}

/// The three forms of an algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlgorithmForm {
    /// Its code in the request.
    Raw {
        /// At most 512 KiB.
        code: String,
        /// What it runs in.
        container: Container,
    },
    /// A URL that the consumer names.
    Url {
        /// http or https.
        url: String,
        /// `sha256:<64 hex>` that its bytes must have.
        checksum: Option<String>,
        /// What it runs in.
        container: Container,
    },
    /// A published algorithm.
    Did(Did),
}

/// What an algorithm runs in, as its author says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Such as `python`.
    pub image: String,
    /// Such as `3.11`.
    pub tag: String,
    /// `sha256:<64 hex>`; where present it decides.
    pub checksum: Option<String>,
    /// Run by `sh -c`, with `$ALGO` replaced.
    pub entrypoint: String,
}

/// Limits that a consumer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AskedLimits {
    /// Cores.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Bytes.
    pub disk_bytes: Option<u64>,
    /// Seconds.
    pub wall_time_s: Option<u64>,
    /// Whole GPUs.
    pub gpu: Option<u32>,
}

/// What the API asks of chain and documents.
#[async_trait]
pub trait Desk: Send + Sync + fmt::Debug {
    /// The chain's id, which bearers are bound to.
    async fn chain_id(&self) -> Result<u64, Problem>;

    /// The chain and its contracts, as the old clients read them at `GET /`. Asks nobody.
    fn keeper_view(&self) -> KeeperView;

    /// Whether chain and metadata store answer.
    async fn ready(&self) -> Result<(), Problem>;

    /// Authorizes and resolves: the whole specification of the work, or the refusal.
    async fn prepare(
        &self,
        consumer: Address,
        request: StartRequest,
        id: JobId,
        digest: RequestDigest,
    ) -> Result<JobSpec, Problem>;

    /// The document of an asset, as the bytes that were published; `None` if there is none here.
    async fn document(&self, did: &Did) -> Result<Option<Bytes>, Problem>;
}
