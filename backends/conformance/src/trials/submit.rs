use std::time::Duration;

use brizo_backend::ErrorKind::{ImageNotAllowed, InvalidSpec, Unsupported};
use brizo_backend::{ErrorKind, Job, JobFilter, JobSpec, Phase, RequestDigest, SPEC_VERSION};
use futures::future::join_all;

use crate::bench::{Bench, Place, owner, tag};
use crate::failure::{Verdict, ensure, refused};
use crate::gateway::{Gateway, sketch};
use crate::{Failure, Output, Settings, Step};

pub(super) async fn is_the_commit(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let first = place.idle_gateway().await?;
    let spec = place.spec(vec![Step::Token, Step::Write("result".to_owned(), b"42".to_vec())]);
    let made = first.submit(&spec).await?;
    ensure!(
        made.id == spec.id && made.owner == spec.owner && made.request == spec.request,
        "submit returned another job"
    );
    ensure!(made.phase == Phase::Queued, "a job that nobody drives is {}", made.phase);
    first.kill().await;
    let second = place.gateway().await?;
    let job = second.end(&spec.id, Phase::Succeeded).await?;
    ensure!(job.created_at == made.created_at, "the time of the commit has changed");
    let datasets: Vec<_> = job.datasets.iter().map(|dataset| (&dataset.did, &dataset.agreement)).collect();
    let sent: Vec<_> = spec.datasets.iter().map(|dataset| (&dataset.did, &dataset.agreement)).collect();
    ensure!(datasets == sent, "the datasets are not those that were submitted: {datasets:?}");
    let (_, bytes) = second.read(&spec.id, "result", None).await?;
    ensure!(bytes == b"42", "the algorithm that ran is not the one that was submitted");
    Ok(())
}

pub(super) async fn is_idempotent(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let tag = tag();
    let spec = place.spec(vec![Step::Token, Step::Hold(tag.clone())]);
    let gateway = place.gateway().await?;
    let first = gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "token").await?;
    same(&first, &gateway.submit(&retry(&spec)).await?, "while it runs")?;
    // Another job passes, so that whatever the retry set off has happened.
    gateway.run(&place.spec_of("bob", vec![]), Phase::Succeeded).await?;
    gateway.stop(&spec.id).await?;
    let ended = gateway.end(&spec.id, Phase::Stopped).await?;
    let again = gateway.submit(&retry(&spec)).await?;
    ensure!(again == ended, "a retry after the end does not return the ended job: {}", sketch(&again));
    gateway.kill().await;
    let gateway = place.gateway().await?;
    let again = gateway.submit(&retry(&spec)).await?;
    ensure!(again == ended, "a retry after a restart does not return the ended job: {}", sketch(&again));
    let executions = gateway.executions(&spec.id).await?;
    ensure!(executions.len() == 1, "the job ran {} times", executions.len());
    let hers = JobFilter { owner: Some(spec.owner.clone()), ..JobFilter::default() };
    let listed = gateway.all(&hers, 100).await?;
    ensure!(listed.len() == 1, "the list holds {} jobs after retries of one", listed.len());
    ensure!(place.site.running(&tag) == 0, "a retry of an ended job started it again");
    Ok(())
}

/// A retry comes later, and configuration may have changed what the request is made into.
fn retry(spec: &JobSpec) -> JobSpec {
    let mut retry = spec.clone();
    retry.created_at = brizo_backend::now();
    retry.limits.cpu_millis *= 2;
    retry
}

fn same(first: &Job, again: &Job, when: &str) -> Verdict {
    let same = again.id == first.id && again.created_at == first.created_at && again.request == first.request;
    ensure!(same, "a retry {when} returns another job: {} for {}", sketch(again), sketch(first));
    Ok(())
}

pub(super) async fn is_idempotent_when_full(bench: &Bench) -> Verdict {
    let mut settings = Settings::default();
    settings.quotas.queued_per_consumer = 1;
    let place = bench.place_with(settings).await?;
    let gateway = place.idle_gateway().await?;
    let spec = place.spec(vec![]);
    let first = gateway.submit(&spec).await?;
    same(&first, &gateway.submit(&retry(&spec)).await?, "when the quota is used up")
}

pub(super) async fn refuses_another_request(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Token, Step::Print(Output::Stdout, b"first\n".to_vec())]);
    let other = place.spec(vec![Step::Token, Step::Print(Output::Stdout, b"second\n".to_vec())]);
    let other = JobSpec { id: spec.id, ..other };
    gateway.submit(&spec).await?;
    refused!(gateway.submit(&other).await, KeyReused, "another request under the id of a job");
    let ended = gateway.end(&spec.id, Phase::Succeeded).await?;
    refused!(gateway.submit(&other).await, KeyReused, "another request under the id of an ended job");
    let after = gateway.get(&spec.id).await?;
    ensure!(after == ended, "the refused request changed the job: {}", sketch(&after));
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(
        printed.contains("first") && !printed.contains("second"),
        "the algorithm of the refused request ran: {printed}"
    );
    Ok(())
}

pub(super) async fn races_make_one_job(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let (one, two) = (place.gateway().await?, place.gateway().await?);
    let spec = place.spec(vec![Step::Token, Step::Sleep(tag(), 300)]);
    let specs = vec![spec.clone(); 20];
    let answers = race(&one, &two, &specs).await;
    let mut first: Option<Job> = None;
    for answer in answers {
        match answer {
            Ok(job) => same(first.get_or_insert(job.clone()), &job, "at the same time")?,
            Err(error) => ensure!(error.is_retryable(), "one of 20 submits at once failed: {error:?}"),
        }
    }
    ensure!(first.is_some(), "none of 20 submits at once made a job");
    one.end(&spec.id, Phase::Succeeded).await?;
    let executions = one.executions(&spec.id).await?;
    ensure!(executions.len() == 1, "20 submits of one id at once ran it {} times", executions.len());
    let listed = two.all(&JobFilter::default(), 100).await?.len();
    ensure!(listed == 1, "20 submits of one id at once made {listed} jobs");
    Ok(())
}

async fn race(one: &Gateway, two: &Gateway, specs: &[JobSpec]) -> Vec<brizo_backend::Result<Job>> {
    let submits = specs.iter().enumerate().map(|(index, spec)| {
        let backend = if index % 2 == 0 { one.backend() } else { two.backend() };
        let spec = spec.clone();
        tokio::spawn(async move { backend.submit(&spec).await })
    });
    join_all(submits).await.into_iter().flatten().collect()
}

pub(super) async fn races_of_two_requests(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let (one, two) = (place.gateway().await?, place.gateway().await?);
    let spec = place.spec(vec![Step::Write("who".to_owned(), b"first".to_vec())]);
    let other = JobSpec { id: spec.id, ..place.spec(vec![Step::Write("who".to_owned(), b"second".to_vec())]) };
    let specs: Vec<_> = (0..20).map(|index| if index % 4 < 2 { spec.clone() } else { other.clone() }).collect();
    let answers = race(&one, &two, &specs).await;
    let mut accepted: Option<RequestDigest> = None;
    for (spec, answer) in specs.iter().zip(answers) {
        match answer {
            Ok(job) => {
                ensure!(job.request == spec.request, "a request was answered with the job of another one");
                let accepted = accepted.get_or_insert(job.request.clone());
                ensure!(*accepted == job.request, "both of two requests under one id were accepted");
            }
            Err(error) => {
                let right = error.kind() == ErrorKind::KeyReused || error.is_retryable();
                ensure!(right, "of two requests at once one failed with {error:?} in place of KeyReused");
            }
        }
    }
    one.end(&spec.id, Phase::Succeeded).await?;
    let (_, who) = one.read(&spec.id, "who", None).await?;
    let right = if accepted == Some(spec.request) { "first" } else { "second" };
    ensure!(who == right.as_bytes(), "the request that was refused is the one that ran");
    Ok(())
}

pub(super) async fn after_delete(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let ended = place.spec(vec![Step::Token]);
    gateway.run(&ended, Phase::Succeeded).await?;
    let tag = tag();
    let running = place.spec(vec![Step::Token, Step::Hold(tag.clone())]);
    gateway.submit(&running).await?;
    gateway.until_printed(&running.id, "token").await?;
    for spec in [&ended, &running] {
        gateway.delete(&spec.id).await?;
        refused!(gateway.submit(spec).await, JobDeleted, "a retry after the delete");
        let whose = gateway.tombstone(&spec.id).await?;
        ensure!(whose == Some(spec.owner.clone()), "the tombstone is {whose:?}'s");
    }
    gateway.kill().await;
    place.until_still(&tag).await?;
    let gateway = place.gateway().await?;
    refused!(gateway.submit(&ended).await, JobDeleted, "a retry after the delete and a restart");
    refused!(gateway.get(&ended.id).await, NotFound, "get of a deleted job after a refused retry");
    let unknown = gateway.tombstone(&place.spec(vec![]).id).await?;
    ensure!(unknown.is_none(), "an id that never was has a tombstone");
    Ok(())
}

pub(super) async fn checks_before_it_writes(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.idle_gateway().await?;
    let mut bad: Vec<(&str, ErrorKind, JobSpec)> = Vec::new();
    let mut case = |what, kind, change: &dyn Fn(&mut JobSpec)| {
        let mut spec = place.spec(vec![]);
        change(&mut spec);
        bad.push((what, kind, spec));
    };
    case("no dataset", InvalidSpec, &|spec| {
        spec.datasets.clear();
        spec.secrets.inputs.clear();
    });
    case("a dataset that leaves its folder", InvalidSpec, &|spec| "did:op:../x".clone_into(&mut spec.datasets[0].did));
    case("fewer sources than files", InvalidSpec, &|spec| spec.datasets[0].files = 2);
    case("no algorithm", InvalidSpec, &|spec| spec.secrets.algorithm = None);
    case("an image name against the grammar", InvalidSpec, &|spec| {
        "No Such/NAME".clone_into(&mut spec.algorithm.image.name);
    });
    case("a container checksum that is none", InvalidSpec, &|spec| {
        spec.algorithm.image.checksum = Some("abc".to_owned());
    });
    case("a wall time of nothing", InvalidSpec, &|spec| spec.limits.wall_time_s = 0);
    case("a newer version", InvalidSpec, &|spec| spec.version = SPEC_VERSION + 1);
    if !bench.capability.network {
        case("the network", Unsupported, &|spec| spec.network = true);
    }
    if !bench.capability.gpu {
        case("a GPU", Unsupported, &|spec| spec.limits.gpu = 1);
    }
    if !bench.capability.container_checksum {
        case("a container checksum", Unsupported, &|spec| {
            spec.algorithm.image.checksum = Some(format!("sha256:{}", "0".repeat(64)));
        });
    }
    if !bench.capability.images {
        case("a runtime that the host has not", ImageNotAllowed, &|spec| {
            "no-such-runtime".clone_into(&mut spec.algorithm.image.name);
        });
    }
    let good = place.spec(vec![]);
    gateway.preflight(&good).await?;
    untouched(&place, &gateway, &good, "preflight of a good specification").await?;
    for (what, kind, spec) in bad {
        for (verb, answer) in [
            ("preflight", gateway.preflight(&spec).await.map(|_| ())),
            ("submit", gateway.submit(&spec).await.map(|_| ())),
        ] {
            match answer {
                Ok(()) => {
                    return Err(Failure::new(format!("{verb} of {what}: expected {kind:?}, but it was accepted")));
                }
                Err(error) => ensure!(error.kind() == kind, "{verb} of {what}: expected {kind:?}, got {error:?}"),
            }
        }
        untouched(&place, &gateway, &spec, what).await?;
    }
    Ok(())
}

async fn untouched(place: &Place, gateway: &Gateway, spec: &JobSpec, what: &str) -> Verdict {
    refused!(gateway.get(&spec.id).await, NotFound, "get after {what}");
    let remains = place.site.remains(&spec.id).await?;
    ensure!(remains.is_empty(), "{what} left behind: {remains:?}");
    Ok(())
}

pub(super) async fn checks_quotas(bench: &Bench) -> Verdict {
    let mut settings = Settings::default();
    settings.quotas.queued_per_consumer = 2;
    let place = bench.place_with(settings).await?;
    let gateway = place.idle_gateway().await?;
    for _ in 0..2 {
        gateway.submit(&place.spec(vec![])).await?;
    }
    let third = place.spec(vec![]);
    refused!(gateway.preflight(&third).await, QuotaExceeded, "preflight of a job more than may wait");
    refused!(gateway.submit(&third).await, QuotaExceeded, "a job more than may wait");
    untouched(&place, &gateway, &third, "a job more than may wait").await?;
    gateway.submit(&JobSpec { owner: owner("bob"), ..place.spec(vec![]) }).await?;

    let mut settings = Settings::default();
    settings.quotas.disk_reserve_bytes = u64::MAX;
    let place = bench.place_with(settings).await?;
    let gateway = place.idle_gateway().await?;
    let spec = place.spec(vec![]);
    refused!(gateway.submit(&spec).await, StorageFull, "a job on a disk without the reserve");
    untouched(&place, &gateway, &spec, "a job on a disk without the reserve").await?;

    let mut settings = Settings::default();
    settings.quotas.kept_per_consumer_bytes = 1000;
    let place = bench.place_with(settings).await?;
    let gateway = place.gateway().await?;
    let big = place.spec(vec![Step::Fill("big".to_owned(), 2000)]);
    gateway.run(&big, Phase::Succeeded).await?;
    let full = async || {
        let answer = gateway.preflight(&place.spec(vec![])).await;
        Ok(matches!(answer, Err(error) if error.kind() == ErrorKind::StorageFull))
    };
    let within = place.patience.max(Duration::from_secs(5));
    crate::gateway::eventually(within, "an owner of more kept bytes than allowed is not refused", full).await?;
    let next = place.spec(vec![]);
    refused!(gateway.submit(&next).await, StorageFull, "a job of an owner with too much kept");
    untouched(&place, &gateway, &next, "a job of an owner with too much kept").await?;
    gateway.submit(&place.spec_of("bob", vec![])).await?;
    Ok(())
}
