//! What clients of the first Brizo speak: the compute calls and `GET /`, only with `server.legacy = true`.
//!
//! Their wire format forces three holes, which is why it is off by default: a signature has no nonce, a token no audience,
//! and status, stop and delete by agreement alone are signed by the very text of a start. Everything behind the door is the
//! new API's own: the same checks, the same jobs, which each family sees of the other.

mod about;
mod call;
mod params;
mod refusal;
mod schema;
mod start;
mod status;
mod verbs;

pub(super) use refusal::{no_such_path, respond, speaks};

use std::sync::Arc;

use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use tokio::sync::Semaphore;

use self::call::{Call, JobCall, ReadCall, StartCall};
use self::refusal::Old;
use self::schema::{About, Jobs};
use super::State;
use super::document::Tag;
use super::refusal::{Statuses, Written};
use crate::problem::Problem;

/// How many large bodies are read at once. They are places of its own: whoever has not signed yet must not keep those of the
/// new API, whose callers have.
const BODIES: usize = 8;

pub(crate) struct Legacy {
    state: Arc<State>,
    bodies: Semaphore,
}

impl Legacy {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state, bodies: Semaphore::new(BODIES) }
    }

    fn served(&self, path: &str) -> Result<(), Problem> {
        if self.state.setup.legacy { Ok(()) } else { Err(Problem::not_found(no_such_path(path, false))) }
    }
}

pub(crate) struct StartRefusals;
impl Statuses for StartRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 413, 414, 429, 500, 501, 503, 507];
}

pub(crate) struct JobRefusals;
impl Statuses for JobRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 413, 414, 429, 500, 503];
}

pub(crate) struct AboutRefusals;
impl Statuses for AboutRefusals {
    const LIST: &'static [u16] = &[404, 429, 500];
}

#[OpenApi(tag = "Tag::OldClients")]
impl Legacy {
    /// What squid reads first
    #[oai(path = "/", method = "get", operation_id = "get_versions")]
    #[expect(clippy::unused_async, reason = "an operation is asynchronous")]
    async fn about(&self) -> Result<Written<About>, Old<AboutRefusals>> {
        self.served("/")?;
        Ok(Written::new(about::answer(&self.state.setup.desk.keeper_view(), self.state.setup.provider)))
    }

    /// Start a job, as squid-py and squid-js do
    ///
    /// Parameters stand in the query string or, if there is none, in a JSON body. The signature is `personal_sign` of
    /// `{consumerAddress}{serviceAgreementId}`, each as it is sent, or an authentication token. Objects may be sent as a
    /// text that holds their JSON; `algorithmDID` is read as `algorithmDid`, which wins over `algorithmMeta`. Answers with
    /// an array that holds the new job. What the jobs family answers 409 is 401 here.
    #[oai(path = "/api/v1/brizo/services/compute", method = "post", operation_id = "start_compute")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter that the document declares")]
    async fn start(
        &self,
        call: Call<StartCall>,
        /// 0x and 130 hex digits, or a token.
        #[oai(name = "signature")]
        _signature: Query<Option<String>>,
        /// Of the paid agreement, with or without 0x.
        #[oai(name = "serviceAgreementId")]
        _agreement: Query<Option<String>>,
        /// Who signed, in any case.
        #[oai(name = "consumerAddress")]
        _consumer: Query<Option<String>>,
        /// JSON of an object, such as {}. It must be there; publishOutput and publishAlgorithmLog must not be true.
        #[oai(name = "output")]
        _output: Query<Option<String>>,
        /// A published algorithm.
        #[oai(name = "algorithmDid")]
        _did: Query<Option<String>>,
        /// JSON of an AlgorithmMeta.
        #[oai(name = "algorithmMeta")]
        _meta: Query<Option<String>>,
    ) -> Result<Written<Jobs>, Old<StartRefusals>> {
        self.served(COMPUTE)?;
        Ok(Written::new(start::start(&self.state, &call.params(&self.bodies).await?).await?))
    }

    /// Look at jobs, as squid-py and squid-js do
    ///
    /// The signature is `personal_sign` of `{consumerAddress}{jobId}{serviceAgreementId}`, each as it is sent and what is
    /// absent left out, or an authentication token. Answers with an array of the signer's jobs, newest first: the one of
    /// `jobId`, or up to 100 of the agreement, or of all. All of them together have up to 1,000 links to outputs, which
    /// work for an hour; `/api/v1/jobs/{id}/outputs` lists more. A `jobId` that is none of the signer's jobs is 404 (the
    /// first Brizo answered an empty array, on which squid-py breaks); an agreement without jobs is an empty array.
    #[oai(path = "/api/v1/brizo/services/compute", method = "get", operation_id = "get_compute")]
    async fn get(
        &self,
        call: Call<ReadCall>,
        /// 0x and 130 hex digits, or a token.
        #[oai(name = "signature")]
        _signature: Query<Option<String>>,
        /// Who signed, in any case.
        #[oai(name = "consumerAddress")]
        _consumer: Query<Option<String>>,
        /// Only jobs of this agreement.
        #[oai(name = "serviceAgreementId")]
        _agreement: Query<Option<String>>,
        /// Only this job.
        #[oai(name = "jobId")]
        _job: Query<Option<String>>,
    ) -> Result<Written<Jobs>, Old<JobRefusals>> {
        self.served(COMPUTE)?;
        Ok(Written::new(verbs::look(&self.state, &call.params(&self.bodies).await?).await?))
    }

    /// Stop jobs, as squid-py and squid-js do
    ///
    /// Signed as a GET. One of `jobId` and `serviceAgreementId` must be there; an agreement means all of its jobs.
    #[oai(path = "/api/v1/brizo/services/compute", method = "put", operation_id = "stop_compute")]
    async fn stop(
        &self,
        call: Call<JobCall>,
        /// 0x and 130 hex digits, or a token.
        #[oai(name = "signature")]
        _signature: Query<Option<String>>,
        /// Who signed, in any case.
        #[oai(name = "consumerAddress")]
        _consumer: Query<Option<String>>,
        /// Only jobs of this agreement.
        #[oai(name = "serviceAgreementId")]
        _agreement: Query<Option<String>>,
        /// Only this job.
        #[oai(name = "jobId")]
        _job: Query<Option<String>>,
    ) -> Result<Written<Jobs>, Old<JobRefusals>> {
        self.served(COMPUTE)?;
        Ok(Written::new(verbs::stop(&self.state, &call.params(&self.bodies).await?).await?))
    }

    /// Delete jobs, as squid-py and squid-js do
    ///
    /// Signed as a GET. Ends them if they run, and removes their outputs and logs. One of `jobId` and `serviceAgreementId`
    /// must be there; an agreement means all of its jobs.
    #[oai(path = "/api/v1/brizo/services/compute", method = "delete", operation_id = "delete_compute")]
    async fn delete(
        &self,
        call: Call<ReadCall>,
        /// 0x and 130 hex digits, or a token.
        #[oai(name = "signature")]
        _signature: Query<Option<String>>,
        /// Who signed, in any case.
        #[oai(name = "consumerAddress")]
        _consumer: Query<Option<String>>,
        /// Only jobs of this agreement.
        #[oai(name = "serviceAgreementId")]
        _agreement: Query<Option<String>>,
        /// Only this job.
        #[oai(name = "jobId")]
        _job: Query<Option<String>>,
    ) -> Result<Written<Jobs>, Old<JobRefusals>> {
        self.served(COMPUTE)?;
        Ok(Written::new(verbs::delete(&self.state, &call.params(&self.bodies).await?).await?))
    }
}

const COMPUTE: &str = "/api/v1/brizo/services/compute";
