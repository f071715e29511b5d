use brizo_backend::{Job, JobFilter, JobId, JobSpec, Phase, Reason, WaitingFor};

use super::staging::never_ran;
use crate::bench::{Bench, Place, tag, tick};
use crate::failure::{Verdict, ensure};
use crate::gateway::{Gateway, eventually, sketch};
use crate::{Failure, Step};

/// Submits a job of `whose` that holds on until it is stopped.
async fn hold(place: &Place, gateway: &Gateway, whose: &str) -> Result<JobSpec, Failure> {
    let spec = place.spec_of(whose, vec![Step::Token, Step::Hold(tag())]);
    gateway.submit(&spec).await?;
    tick().await;
    Ok(spec)
}

async fn running(gateway: &Gateway, id: &JobId) -> Verdict {
    gateway.until(id, "its turn", |job| job.phase == Phase::Running).await.map(|_| ())
}

/// The job waits for a slot, and says so.
async fn waits(gateway: &Gateway, id: &JobId) -> Verdict {
    let slot = |job: &Job| job.waiting.as_ref().is_some_and(|w| w.what == WaitingFor::Slot && !w.message.is_empty());
    let told = |job: &Job| job.phase > Phase::Queued || slot(job);
    let job = gateway.until(id, "its word that it waits for other jobs", told).await?;
    ensure!(job.phase == Phase::Queued, "it is not its turn yet: {}", sketch(&job));
    Ok(())
}

pub(super) async fn order(bench: &Bench) -> Verdict {
    let place = bench.narrow(2, 1).await?;
    let gateway = place.gateway().await?;
    let a1 = hold(&place, &gateway, "a").await?;
    let a2 = hold(&place, &gateway, "a").await?;
    let b1 = hold(&place, &gateway, "b").await?;
    let b2 = hold(&place, &gateway, "b").await?;
    let c1 = hold(&place, &gateway, "c").await?;
    running(&gateway, &a1.id).await?;
    running(&gateway, &b1.id).await?;
    for spec in [&a2, &b2, &c1] {
        waits(&gateway, &spec.id).await?;
    }
    gateway.stop(&a1.id).await?;
    running(&gateway, &a2.id).await?;
    for spec in [&b2, &c1] {
        waits(&gateway, &spec.id).await?;
    }
    gateway.stop(&a2.id).await?;
    running(&gateway, &c1.id).await?;
    waits(&gateway, &b2.id).await?;
    gateway.stop(&b1.id).await?;
    running(&gateway, &b2.id).await?;
    for spec in [&b2, &c1] {
        gateway.stop(&spec.id).await?;
        gateway.end(&spec.id, Phase::Stopped).await?;
    }
    Ok(())
}

pub(super) async fn by_commit(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let first = hold(&place, &gateway, "a").await?;
    running(&gateway, &first.id).await?;
    let mut waiting = Vec::new();
    for whose in ["a", "b", "a", "c"] {
        let spec = place.spec_of(whose, vec![Step::Sleep(tag(), 60)]);
        gateway.submit(&spec).await?;
        tick().await;
        waiting.push(spec.id);
    }
    gateway.stop(&first.id).await?;
    let mut jobs = vec![gateway.end(&first.id, Phase::Stopped).await?];
    for id in &waiting {
        jobs.push(gateway.end(id, Phase::Succeeded).await?);
    }
    for pair in jobs.windows(2) {
        let apart = pair[0].ended_at <= pair[1].started_at;
        ensure!(apart, "one was to run at once, in order: {} and {}", sketch(&pair[0]), sketch(&pair[1]));
    }
    Ok(())
}

pub(super) async fn deadline(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let first = hold(&place, &gateway, "a").await?;
    running(&gateway, &first.id).await?;
    let mut late = place.spec_of("b", vec![Step::Token]);
    late.deadlines.queue_s = 1;
    gateway.submit(&late).await?;
    let job = gateway.end(&late.id, Phase::Failed).await?;
    ensure!(matches!(job.reason, Some(Reason::QueueDeadline { .. })), "past its queue deadline it is {:?}", job.reason);
    let early = job.ended_at.is_some_and(|at| at.as_millisecond() < job.created_at.as_millisecond() + 1000);
    ensure!(!early, "a queue deadline of 1 s ended it before");
    gateway.stop(&first.id).await?;
    gateway.end(&first.id, Phase::Stopped).await?;
    let idle = async || {
        let open = JobFilter { phases: Phase::ALL[..5].to_vec(), ..JobFilter::default() };
        Ok(gateway.all(&open, 10).await?.is_empty())
    };
    eventually(place.patience, "jobs that ended are still open", idle).await?;
    never_ran(&gateway, &late).await
}
