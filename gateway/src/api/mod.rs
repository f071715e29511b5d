//! HTTP: the `/api/v1/jobs` family, health, the backend's description, and the document of it all.
//!
//! [`app`] builds the whole of it over any [`Backend`] and [`Desk`]; [`State`] is what its handlers share. Each family is
//! one `#[OpenApi]` value; `document` lists them all, so that what is served and what is documented can't differ.

mod audit;
mod bearer;
pub(crate) mod cut;
mod document;
mod frame;
mod jobs;
mod legacy;
mod links;
mod meta;
mod outputs;
mod range;
mod rates;
mod refusal;
mod sse;
mod streams;
#[cfg(test)]
mod tests;
mod wire;

pub use audit::{Audit, AuditError};
pub use document::openapi;
pub use links::LinkKey;
pub use rates::{Rate, Rates};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo_backend::{Backend, Deadlines, Job, JobId, Limits, OutputPath, Owner, RequestDigest};
use links::Linked;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response, Route};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::identity::{Access, Audiences, Scope, access};
use crate::problem::{Code, Problem};
use crate::service::{Desk, StartRequest};
use crate::types::{Address, show_address};

/// How many large bodies are read at once, which bounds the memory that they take.
const MOST_BODIES: usize = 32;
/// How many streams (logs, events) are open at once.
const MOST_STREAMS: usize = 1_024;

/// What a gateway is made of, as far as its API sees it.
#[derive(Debug)]
pub struct Setup {
    /// What runs the jobs.
    pub backend: Arc<dyn Backend>,
    /// The backend's name in the configuration, such as `process`.
    pub backend_type: String,
    /// What asks chain and documents.
    pub desk: Arc<dyn Desk>,
    /// `public_url`, and the aliases.
    pub audiences: Audiences,
    /// The provider's address.
    pub provider: Address,
    /// What signs links to outputs.
    pub links: LinkKey,
    /// How often an address or a consumer may ask.
    pub rates: Rates,
    /// The most that a job may use.
    pub limits: Limits,
    /// How long its phases may take.
    pub deadlines: Deadlines,
    /// Whether the old clients' API is served.
    pub legacy: bool,
    /// Whether the peer is a proxy that names the client in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Where downloads and ends are recorded.
    pub audit: Audit,
    /// Ends all streams.
    pub shutdown: CancellationToken,
}

/// What the handlers share.
pub struct State {
    pub(crate) setup: Setup,
    streams: Arc<Semaphore>,
    bodies: Semaphore,
    started: std::sync::Mutex<Option<Vec<Job>>>,
    ready: Mutex<Option<(Instant, Option<String>)>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl State {
    /// Over what a gateway is made of.
    pub fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            setup,
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            bodies: Semaphore::new(MOST_BODIES),
            started: std::sync::Mutex::new(None),
            ready: Mutex::new(None),
        })
    }

    /// The jobs that were started here since the last call; from the first one on they are kept for the next.
    pub(crate) fn take_started(&self) -> Vec<Job> {
        let mut started = self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        started.replace(Vec::new()).unwrap_or_default()
    }

    /// The backend.
    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.setup.backend
    }

    /// `public_url`, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        self.setup.audiences.first()
    }

    /// Who asks, if his bearer allows `scope` and he does not ask too often.
    pub(crate) async fn caller(&self, bearer: &bearer::Bearer, scope: Scope) -> Result<Access, Problem> {
        let Some(token) = &bearer.0 else {
            return Err(Problem::new(
                Code::Unauthenticated,
                "This needs `Authorization: Bearer …`; `brizo token` makes one for curl and Swagger UI.",
            ));
        };
        let chain_id = self.setup.desk.chain_id().await?;
        let access = access::verify(token, chain_id, &self.setup.audiences, brizo_backend::now())
            .map_err(|error| Problem::new(Code::Unauthenticated, error.0))?;
        if !access.scopes.has(scope) {
            return Err(Problem::new(
                Code::NotAuthorized,
                format!("The bearer's scopes ({}) do not hold {}, which this needs.", access.scopes, scope.as_str()),
            ));
        }
        self.setup.rates.consumer(access.consumer)?;
        Ok(access)
    }

    /// A job of the caller's. Others' jobs and what is no job at all look the same.
    pub(crate) async fn own_job(&self, access: &Access, id: &str) -> Result<Job, Problem> {
        let id = job_id(id)?;
        let job = self.backend().get(&id).await.map_err(|error| hide(error, &id))?;
        if job.owner == owner(access.consumer)? { Ok(job) } else { Err(no_job(&id)) }
    }

    /// Authorizes, resolves and commits: what every family's start comes down to.
    pub(crate) async fn start(
        &self,
        consumer: Address,
        request: StartRequest,
        id: JobId,
        digest: RequestDigest,
    ) -> Result<Job, Problem> {
        let spec = self.setup.desk.prepare(consumer, request, id, digest).await?;
        let job = self.backend().submit(&spec).await?;
        metrics::counter!("brizo_jobs_submitted_total").increment(1);
        tracing::info!(job = %id, owner = %job.owner, "job accepted");
        if let Some(started) = &mut *self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            started.push(job.clone());
        }
        Ok(job)
    }

    /// A fresh link to an output.
    pub fn output_link(&self, id: &JobId, path: &OutputPath) -> String {
        self.setup.links.link(self.public_url(), id, Linked::Output(path), brizo_backend::now().as_second())
    }

    /// A fresh link to a job's log.
    pub fn log_link(&self, id: &JobId) -> String {
        self.setup.links.link(self.public_url(), id, Linked::Log, brizo_backend::now().as_second())
    }

    /// A job that a link opens, or one of the caller's.
    pub(crate) async fn opened_job(
        &self,
        bearer: &bearer::BearerOrLink,
        id: &str,
        what: Linked<'_>,
        expires: Option<i64>,
        mac: Option<&str>,
    ) -> Result<JobId, Problem> {
        let Some(mac) = mac else {
            let access = self.caller(&bearer.0, Scope::Read).await?;
            return Ok(self.own_job(&access, id).await?.id);
        };
        let id = job_id(id)?;
        let expires = expires.ok_or_else(|| {
            Problem::invalid_at("expires", "A link has both expires and mac; take it whole, as it stands.")
        })?;
        self.setup.links.check(&id, what, expires, mac, brizo_backend::now().as_second())?;
        Ok(id)
    }

    /// Waits for a place among the large bodies that are read. Nobody closes the semaphore, so there always is one.
    pub(crate) async fn room_for_body(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.bodies.acquire().await.ok()
    }

    /// A place among the open streams, held as long as the stream.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Code::Unavailable, "Too many streams are open at this gateway.")
                .retry_after(Duration::from_secs(5))
        })
    }

    /// Whether chain and backend answer; asked at most once a second. The error says which does not.
    pub(crate) async fn readiness(&self) -> Result<(), String> {
        const FRESH: Duration = Duration::from_secs(1);
        let mut ready = self.ready.lock().await;
        if let Some((at, answer)) = &*ready
            && at.elapsed() < FRESH
        {
            return answer.clone().map_or(Ok(()), Err);
        }
        let (chain, backend) = futures::join!(self.setup.desk.ready(), self.backend().health());
        let answer = match (chain, backend) {
            (Err(problem), _) => {
                tracing::warn!(?problem, "not ready: chain or metadata store");
                Some(problem.detail().to_owned())
            }
            (_, Err(error)) => {
                tracing::warn!(?error, "not ready: backend");
                Some(error.message().to_owned())
            }
            _ => None,
        };
        *ready = Some((Instant::now(), answer.clone()));
        answer.map_or(Ok(()), Err)
    }
}

/// A consumer as the backend knows him.
pub(crate) fn owner(consumer: Address) -> Result<Owner, Problem> {
    show_address(&consumer).parse().map_err(Problem::internal)
}

fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| Problem::not_found("There is no such job: a job's id is 32 hex digits in lower case."))
}

pub(crate) fn no_job(id: &JobId) -> Problem {
    Problem::not_found(format!("There is no job {id} of yours."))
}

/// What an unknown job looks like, whether it never was, was deleted, or is somebody else's.
pub(crate) fn hide(error: brizo_backend::Error, id: &JobId) -> Problem {
    match error.kind() {
        brizo_backend::ErrorKind::NotFound | brizo_backend::ErrorKind::JobDeleted => no_job(id),
        _ => error.into(),
    }
}

/// The whole of it as one endpoint.
pub fn app(state: &Arc<State>) -> impl Endpoint<Output = Response> + 'static + use<> {
    let route = Route::new()
        .nest_no_strip("/", document::service(state).into_endpoint())
        .at("/spec", poem::get(document::serve_document))
        .at("/api/v1/docs", poem::get(document::serve_swagger_ui))
        .at("/api/v1/docs/", poem::get(document::serve_swagger_ui));
    frame::Frame::new(route.map_to_response(), Arc::clone(state))
}
