//! Look, stop and delete: only ever the signer's own jobs.

use brizo_backend::{Agreement, ErrorKind, Job, JobFilter, JobId, Owner, Page};
use poem::Response;
use serde_json::Value;

use super::params::Params;
use super::start::consumer;
use super::status::{self, Links};
use crate::api::{State, hide, job_id, no_job, owner};
use crate::problem::Problem;
use crate::types::AgreementId;

/// How many jobs a page holds, and how many a look shows.
const PAGE: u32 = 100;
/// How many links to outputs one answer holds.
const LINKS: u32 = 1_000;

/// Which jobs a call is about.
struct Which {
    owner: Owner,
    job: Option<JobId>,
    agreement: Option<Agreement>,
}

impl Which {
    /// What a signed call names.
    fn signed(state: &State, params: &Params) -> Result<Self, Problem> {
        let (job, agreement) = (params.text("jobId"), params.text("serviceAgreementId"));
        let signed = consumer(state, params, &[job.unwrap_or_default(), agreement.unwrap_or_default()])?;
        Ok(Self {
            owner: owner(signed)?,
            job: job.map(job_id).transpose()?,
            agreement: agreement.map(known_agreement).transpose()?,
        })
    }

    /// The same of a call that changes what it names: it must name something.
    fn named(state: &State, params: &Params) -> Result<Self, Problem> {
        if params.text("jobId").is_none() && params.text("serviceAgreementId").is_none() {
            return Err(Problem::invalid("You have to specify one of jobId or serviceAgreementId."));
        }
        Self::signed(state, params)
    }

    fn holds(&self, job: &Job) -> bool {
        let of = |wanted: &Agreement| job.datasets.iter().any(|dataset| &dataset.agreement == wanted);
        job.owner == self.owner && self.agreement.as_ref().is_none_or(of)
    }

    /// The jobs, newest first; a job that is named must be there. Without `all`, one page of them.
    async fn jobs(&self, state: &State, all: bool) -> Result<Vec<Job>, Problem> {
        if let Some(id) = self.job {
            let job = state.backend().get(&id).await.map_err(|error| hide(error, &id))?;
            return if self.holds(&job) { Ok(vec![job]) } else { Err(no_job(&id)) };
        }
        let filter =
            JobFilter { owner: Some(self.owner.clone()), agreement: self.agreement.clone(), ..JobFilter::default() };
        let mut jobs = Vec::new();
        let mut page = Page { limit: PAGE, cursor: None };
        loop {
            let found = state.backend().list(&filter, &page).await?;
            jobs.extend(found.jobs);
            page.cursor = found.next;
            if page.cursor.is_none() || !all {
                return Ok(jobs);
            }
        }
    }
}

/// The same id in the form in which jobs hold it.
fn known_agreement(text: &str) -> Result<Agreement, Problem> {
    let id: AgreementId =
        text.parse().map_err(|error| Problem::invalid_at("serviceAgreementId", format!("{error}.")))?;
    id.to_string().parse().map_err(Problem::internal)
}

/// GET.
pub(super) async fn look(state: &State, params: &Params) -> Result<Response, Problem> {
    let jobs = Which::signed(state, params)?.jobs(state, false).await?;
    show(state, &jobs).await
}

/// PUT.
pub(super) async fn stop(state: &State, params: &Params) -> Result<Response, Problem> {
    let mut jobs = Which::named(state, params)?.jobs(state, true).await?;
    for job in &mut jobs {
        if !job.phase.is_end() {
            *job = state.backend().stop(&job.id).await.map_err(|error| hide(error, &job.id))?;
            tracing::info!(job = %job.id, "stop asked for");
        }
    }
    show(state, &jobs).await
}

/// DELETE.
pub(super) async fn delete(state: &State, params: &Params) -> Result<Response, Problem> {
    let which = Which::named(state, params)?;
    if let Some(id) = which.job
        && gone(state, &which, id).await?
    {
        return Ok(array(vec![status::removed(&id, &which.owner, which.agreement.as_ref())]));
    }
    let jobs = which.jobs(state, true).await?;
    let mut objects = Vec::new();
    for job in &jobs {
        state.backend().delete(&job.id).await?;
        tracing::info!(job = %job.id, "job deleted");
        let mut object = status::object(job, &Links::default());
        object["removed"] = 1.into();
        objects.push(object);
    }
    Ok(array(objects))
}

/// Whether a job of the signer's was deleted before: a repeated delete must not fail.
async fn gone(state: &State, which: &Which, id: JobId) -> Result<bool, Problem> {
    match state.backend().get(&id).await {
        Ok(_) => Ok(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted) => {
            Ok(state.backend().tombstone(&id).await?.as_ref() == Some(&which.owner))
        }
        Err(error) => Err(error.into()),
    }
}

/// The jobs with their links.
async fn show(state: &State, jobs: &[Job]) -> Result<Response, Problem> {
    let mut left = LINKS;
    let mut objects = Vec::with_capacity(jobs.len());
    for job in jobs {
        objects.push(status::object(job, &links(state, job, &mut left).await?));
    }
    Ok(array(objects))
}

/// Fresh links of a job; `left` is how many of outputs the answer may still hold.
async fn links(state: &State, job: &Job, left: &mut u32) -> Result<Links, Problem> {
    let log = job.started_at.map(|_| state.log_link(&job.id));
    if *left == 0 || job.outputs.is_none_or(|totals| totals.count == 0) {
        return Ok(Links { log, results: Vec::new() });
    }
    let page = Page { limit: *left, cursor: None };
    let outputs = match state.backend().outputs(&job.id, &page).await {
        Ok(found) => found.items,
        // Deleted in between.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    *left = left.saturating_sub(u32::try_from(outputs.len()).unwrap_or(u32::MAX));
    Ok(Links { log, results: outputs.iter().map(|output| state.output_link(&job.id, &output.path)).collect() })
}

/// An answer of the compute calls.
pub(super) fn array(objects: Vec<Value>) -> Response {
    Response::builder().content_type("application/json").body(Value::Array(objects).to_string())
}
