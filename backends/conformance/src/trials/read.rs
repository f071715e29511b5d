use std::time::Duration;

use brizo_backend::{ErrorKind, Job, JobFilter, JobId, LogOptions, Page, Phase};

use crate::bench::{Bench, tag};
use crate::failure::{Verdict, ensure, refused};
use crate::gateway::{eventually, sketch, to_the_end};
use crate::{Failure, Step};

/// How long another gateway's write may take to be seen.
const A_SECOND: Duration = Duration::from_secs(1);

pub(super) async fn sees_own_writes(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let (one, two) = (place.gateway().await?, place.gateway().await?);
    let spec = place.spec(vec![Step::Token, Step::Hold(tag())]);
    let made = one.submit(&spec).await?;
    let seen = one.get(&spec.id).await?;
    ensure!(seen.created_at == made.created_at, "get after submit shows another job: {}", sketch(&seen));
    let listed = one.all(&JobFilter { owner: Some(spec.owner.clone()), ..JobFilter::default() }, 10).await?;
    ensure!(listed.iter().any(|job| job.id == spec.id), "the list does not show a job that was just submitted");
    let there = async || Ok(two.get(&spec.id).await.is_ok());
    eventually(A_SECOND, "another gateway does not see a job a second after its submit", there).await?;
    one.until_printed(&spec.id, "token").await?;
    one.stop(&spec.id).await?;
    let stopping = one.get(&spec.id).await?;
    ensure!(stopping.stop_requested_at.is_some(), "get after stop does not show it: {}", sketch(&stopping));
    let stopped = async || Ok(two.get(&spec.id).await?.stop_requested_at == stopping.stop_requested_at);
    eventually(A_SECOND, "another gateway does not see a stop a second after it", stopped).await?;
    one.delete(&spec.id).await?;
    refused!(one.get(&spec.id).await, NotFound, "get after delete");
    two.until_gone(&spec.id, A_SECOND).await
}

pub(super) async fn unknown(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Write("here".to_owned(), b"x".to_vec())]);
    gateway.run(&spec, Phase::Succeeded).await?;
    let id = JobId::random();
    let page = Page { limit: 10, cursor: None };
    let (here, there) = ("here".parse(), "there".parse());
    let (Ok(here), Ok(there)) = (here, there) else { return Err(Failure::new("paths of outputs don't parse")) };
    refused!(gateway.get(&id).await, NotFound, "get of an unknown id");
    refused!(gateway.stop(&id).await, NotFound, "stop of an unknown id");
    refused!(gateway.logs(&id, &LogOptions::default()).await.map(|_| ()), NotFound, "logs of an unknown id");
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    refused!(gateway.logs(&id, &follow).await.map(|_| ()), NotFound, "followed logs of an unknown id");
    refused!(gateway.outputs(&id, &page).await, NotFound, "outputs of an unknown id");
    refused!(gateway.read_output(&id, &here, None).await, NotFound, "read_output of an unknown id");
    refused!(gateway.read_output(&spec.id, &there, None).await, NotFound, "read_output of an unknown path");
    let watched = gateway.watched(&id).await?;
    ensure!(watched.len() == 1, "watch of an unknown id yields {} times", watched.len());
    refused!(&watched[0], NotFound, "watch of an unknown id");
    Ok(())
}

pub(super) async fn watch(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Sleep(tag(), 600)]);
    let submitted = gateway.submit(&spec).await?;
    let jobs = gateway.watched(&spec.id).await?;
    let jobs = jobs.into_iter().collect::<brizo_backend::Result<Vec<Job>>>()?;
    let Some(last) = jobs.last() else { return Err(Failure::new("watch yields nothing")) };
    ensure!(last.phase == Phase::Succeeded, "watch ended with {}", sketch(last));
    ensure!(jobs[0].created_at == submitted.created_at, "watch begins with another job");
    for pair in jobs.windows(2) {
        let grown = pair[1].transitions.starts_with(&pair[0].transitions);
        ensure!(grown, "watch went back from {} to {}", sketch(&pair[0]), sketch(&pair[1]));
    }
    let seen = |phase| jobs.iter().any(|job| job.phase == phase);
    ensure!(seen(Phase::Running), "watch did not yield the job while it ran for 0.6 s");
    let again = gateway.watched(&spec.id).await?;
    ensure!(again.len() == 1, "watch of an ended job yields {} times", again.len());
    ensure!(again[0].as_ref().is_ok_and(|job| job == last), "watch of an ended job yields another job");
    Ok(())
}

pub(super) async fn watch_delete(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Token, Step::Hold(tag())]);
    gateway.submit(&spec).await?;
    let watching = tokio::spawn(to_the_end("watch", place.patience * 2, gateway.watch(&spec.id)));
    gateway.until_printed(&spec.id, "token").await?;
    gateway.delete(&spec.id).await?;
    let watched = watching.await.map_err(|error| Failure::new(format!("watch panicked: {error}")))??;
    let last = watched.last();
    let not_found = matches!(last, Some(Err(error)) if error.kind() == ErrorKind::NotFound);
    ensure!(not_found, "after delete watch ended with {last:?} in place of NotFound");
    Ok(())
}
