//! `/api/v1/jobs`: start, list, look, stop, delete.

use std::sync::Arc;

use brizo_backend::{Agreement, ErrorKind, Job, JobFilter, JobId, Page};
use poem::http::HeaderMap;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::bearer::Bearer;
use super::document::Tag;
use super::refusal::{Refusal, Statuses};
use super::wire::{JobList, JobOrPlan, JobView, PhaseView, PlanView, StartBody, Time};
use super::{State, hide, job_id, no_job, owner};
use crate::identity::Scope;
use crate::problem::{Code, Problem};
use crate::types::{AgreementId, show_address};

pub(crate) struct Jobs(pub(crate) Arc<State>);

pub(crate) struct StartRefusals;
impl Statuses for StartRefusals {
    const LIST: &'static [u16] = &[400, 401, 404, 409, 413, 414, 415, 422, 429, 500, 501, 503, 507];
}

pub(crate) struct ListRefusals;
impl Statuses for ListRefusals {
    const LIST: &'static [u16] = &[400, 401, 414, 429, 500, 503];
}

pub(crate) struct JobRefusals;
impl Statuses for JobRefusals {
    const LIST: &'static [u16] = &[401, 404, 429, 500, 503];
}

#[derive(ApiResponse)]
pub(crate) enum Started {
    /// The job was accepted, and will be brought to its end.
    #[oai(status = 201)]
    Made(
        Json<Box<JobView>>,
        /// The job's own URL.
        #[oai(header = "Location")]
        String,
    ),
    /// The job that this Idempotency-Key made before; or, of a dry run, what would become of the request.
    #[oai(status = 200)]
    Known(Json<JobOrPlan>),
}

#[derive(ApiResponse)]
pub(crate) enum Stopped {
    /// It had ended already; nothing changed.
    #[oai(status = 200)]
    Ended(Json<JobView>),
    /// Its end was asked for; it is stopped when nothing of it runs any more.
    #[oai(status = 202)]
    Asked(Json<JobView>),
}

#[derive(ApiResponse)]
pub(crate) enum Deleted {
    /// It is gone, or going; again and again.
    #[oai(status = 204)]
    Gone,
}

fn default_limit() -> u32 {
    20
}

#[OpenApi(tag = "Tag::Jobs")]
impl Jobs {
    /// Start a job
    ///
    /// Checks on chain that you hold the agreements and that they are paid and granted, checks that each dataset's
    /// publisher allows the algorithm, and commits the job: after 201 it is brought to its end, whatever happens to the
    /// gateway. 409 means not yet: `code` says whether the lock, the grant or the release of the payment is missing.
    #[oai(path = "/api/v1/jobs", method = "post", operation_id = "start_job")]
    async fn start(
        &self,
        bearer: Bearer,
        /// Makes retries safe: the same key with the same body always names the same job. 1 to 255 visible ASCII
        /// characters of your choice.
        #[oai(name = "Idempotency-Key")]
        _key: Header<Option<String>>,
        /// Go the whole way up to the commit, and say what would become of it.
        #[oai(default)]
        dry_run: Query<bool>,
        headers: &HeaderMap,
        body: StartBody,
    ) -> Result<Started, Refusal<StartRefusals>> {
        let access = self.0.caller(&bearer, Scope::Run).await?;
        let key = idempotency_key(headers)?;
        let start = {
            let _room = if body.is_small() { None } else { self.0.room_for_body().await };
            body.read().await?
        };
        let owner = owner(access.consumer)?;
        let provider = show_address(&self.0.setup.provider);
        let id = key.map_or_else(JobId::random, |key| JobId::from_key(&provider, &owner, key));
        if key.is_some()
            && let Some(job) = self.known(&id).await?
        {
            if job.request != start.digest {
                return Err(Problem::new(
                    Code::KeyReused,
                    format!("This Idempotency-Key belongs to job {id}, which was started with another body."),
                )
                .at("Idempotency-Key", "take another key for another request")
                .into());
            }
            if !dry_run.0 {
                return Ok(Started::Known(Json(JobOrPlan::Job(Box::new((&job).into())))));
            }
        }
        if dry_run.0 {
            let spec = self.0.setup.desk.prepare(access.consumer, start.request, id, start.digest).await?;
            let plan = self.0.backend().preflight(&spec).await?;
            return Ok(Started::Known(Json(JobOrPlan::Plan(PlanView::from(&plan)))));
        }
        let job = self.0.start(access.consumer, start.request, id, start.digest).await?;
        Ok(Started::Made(Json(Box::new((&job).into())), format!("{}/api/v1/jobs/{id}", self.0.public_url())))
    }

    /// List your jobs
    ///
    /// Newest first. Each filter leaves out what it does not name.
    #[oai(path = "/api/v1/jobs", method = "get", operation_id = "list_jobs")]
    async fn list(
        &self,
        bearer: Bearer,
        /// Only jobs in one of these phases; may be repeated.
        phase: Query<Option<Vec<PhaseView>>>,
        /// Only jobs with this agreement: 0x and 64 hex digits.
        agreement: Query<Option<String>>,
        /// Only jobs accepted at this time or later.
        created_after: Query<Option<Time>>,
        /// How many a page holds.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<u32>,
        /// `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<JobList>, Refusal<ListRefusals>> {
        let access = self.0.caller(&bearer, Scope::Read).await?;
        let filter = JobFilter {
            owner: Some(owner(access.consumer)?),
            agreement: agreement.0.as_deref().map(known_agreement).transpose()?,
            phases: phase.0.unwrap_or_default().into_iter().map(Into::into).collect(),
            created_after: created_after.0.map(|time| time.0),
        };
        let page = Page { limit: limit.0, cursor: cursor.0 };
        let found = self.0.backend().list(&filter, &page).await?;
        Ok(Json(JobList { items: found.jobs.iter().map(JobView::from).collect(), next: found.next }))
    }

    /// Look at a job
    #[oai(path = "/api/v1/jobs/:id", method = "get", operation_id = "get_job")]
    async fn get(
        &self,
        bearer: Bearer,
        /// The job's id: 32 hex digits.
        id: Path<String>,
    ) -> Result<Json<JobView>, Refusal<JobRefusals>> {
        let access = self.0.caller(&bearer, Scope::Read).await?;
        let job = self.0.own_job(&access, &id.0).await?;
        Ok(Json((&job).into()))
    }

    /// Stop a job
    ///
    /// Works in every phase. What it wrote until then is published and can be read.
    #[oai(path = "/api/v1/jobs/:id/stop", method = "post", operation_id = "stop_job")]
    async fn stop(
        &self,
        bearer: Bearer,
        /// The job's id: 32 hex digits.
        id: Path<String>,
    ) -> Result<Stopped, Refusal<JobRefusals>> {
        let access = self.0.caller(&bearer, Scope::Run).await?;
        let job = self.0.own_job(&access, &id.0).await?;
        if job.phase.is_end() {
            return Ok(Stopped::Ended(Json((&job).into())));
        }
        let job = self.0.backend().stop(&job.id).await.map_err(|error| hide(error, &job.id))?;
        tracing::info!(job = %job.id, "stop asked for");
        let view = Json((&job).into());
        Ok(if job.stop_requested_at.is_none() && job.phase.is_end() {
            Stopped::Ended(view)
        } else {
            Stopped::Asked(view)
        })
    }

    /// Delete a job
    ///
    /// Ends it if it runs, and removes its outputs, its log and everything else of it.
    #[oai(path = "/api/v1/jobs/:id", method = "delete", operation_id = "delete_job")]
    async fn delete(
        &self,
        bearer: Bearer,
        /// The job's id: 32 hex digits.
        id: Path<String>,
    ) -> Result<Deleted, Refusal<JobRefusals>> {
        let access = self.0.caller(&bearer, Scope::Delete).await?;
        let id = job_id(&id.0)?;
        let owner = owner(access.consumer)?;
        let job = match self.0.backend().get(&id).await {
            Ok(job) if job.owner == owner => job,
            Ok(_) => return Err(no_job(&id).into()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted) => {
                return if self.0.backend().tombstone(&id).await? == Some(owner) {
                    Ok(Deleted::Gone)
                } else {
                    Err(no_job(&id).into())
                };
            }
            Err(error) => return Err(error.into()),
        };
        self.0.backend().delete(&job.id).await?;
        tracing::info!(job = %job.id, "job deleted");
        Ok(Deleted::Gone)
    }
}

impl Jobs {
    /// The job of a key that is known, before the chain is asked; a deleted one's key stays taken for a while.
    async fn known(&self, id: &JobId) -> Result<Option<Job>, Problem> {
        match self.0.backend().get(id).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted) => {
                match self.0.backend().tombstone(id).await? {
                    None => Ok(None),
                    Some(_) => Err(Problem::new(
                        Code::JobDeleted,
                        format!("The job of this Idempotency-Key ({id}) was deleted; take another key."),
                    )),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The key, if there is one. A header that can't be a key is refused: to ignore it would run a retry twice.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let wrong = || Problem::invalid_at(NAME, "An Idempotency-Key is one header of 1 to 255 visible ASCII characters.");
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong())?;
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits && values.next().is_none() { Ok(Some(text)) } else { Err(wrong()) }
}

fn known_agreement(text: &str) -> Result<Agreement, Problem> {
    let id: AgreementId = text.parse().map_err(|error| Problem::invalid_at("agreement", format!("{error}.")))?;
    id.to_string().parse().map_err(Problem::internal)
}
