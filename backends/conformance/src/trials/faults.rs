use std::time::Duration;

use brizo_backend::{JobFilter, JobSpec, Phase, Reason, SPEC_VERSION};

use crate::bench::{Bench, Place, tag};
use crate::failure::{Verdict, ensure, refused};
use crate::gateway::{Gateway, sketch};
use crate::{Failure, Output, Settings, Step};

/// A job that tells what it did, and takes so long.
fn worker(place: &Place, tag: &str, millis: u32) -> JobSpec {
    place.spec(vec![
        Step::Token,
        Step::Sleep(tag.to_owned(), millis),
        Step::Print(Output::Stdout, b"done\n".to_vec()),
        Step::Write("result".to_owned(), b"42".to_vec()),
    ])
}

async fn whole(gateway: &Gateway, spec: &JobSpec) -> Verdict {
    let job = gateway.end(&spec.id, Phase::Succeeded).await?;
    let executions = gateway.executions(&spec.id).await?;
    ensure!(executions.len() == 1, "it ran {} times: {}", executions.len(), sketch(&job));
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed == format!("{}\ndone\n", executions[0]), "its log is {printed:?}");
    let (_, bytes) = gateway.read(&spec.id, "result", None).await?;
    ensure!(bytes == b"42", "its result reads as {bytes:?}");
    Ok(())
}

pub(super) async fn restart(bench: &Bench) -> Verdict {
    let place = bench.narrow(3, 3).await?;
    let tags: Vec<_> = (0..5).map(|_| tag()).collect();
    let gateway = place.gateway().await?;
    let ended = worker(&place, &tags[0], 1);
    gateway.submit(&ended).await?;
    whole(&gateway, &ended).await?;
    let before = gateway.get(&ended.id).await?;
    let mut specs = vec![ended.clone()];
    for tag in &tags[1..] {
        let spec = worker(&place, tag, 800);
        gateway.submit(&spec).await?;
        specs.push(spec);
    }
    gateway.until_printed(&specs[1].id, "token").await?;
    // Killed while some run and others wait, and once more as soon as it is back.
    gateway.kill().await;
    let gateway = place.gateway().await?;
    let after = gateway.get(&ended.id).await?;
    ensure!(after == before, "a restart changed a job that had ended: {}", sketch(&after));
    for spec in &specs {
        let job = gateway.get(&spec.id).await;
        job.map_err(|error| Failure::new(format!("after a restart the job {} is lost: {error:?}", spec.id)))?;
    }
    let last = worker(&place, &tag(), 1);
    gateway.submit(&last).await?;
    gateway.kill().await;
    // Nobody is there while they end.
    for tag in &tags {
        place.until_still(tag).await?;
    }
    let gateway = place.gateway().await?;
    for spec in specs.iter().chain([&last]) {
        whole(&gateway, spec).await?;
    }
    let listed = gateway.all(&JobFilter::default(), 3).await?.len();
    ensure!(listed == specs.len() + 1, "after restarts {listed} of {} jobs are listed", specs.len() + 1);
    Ok(())
}

pub(super) async fn restart_in_order(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let spec = worker(&place, &tag, 1200);
    gateway.submit(&spec).await?;
    place.until_running(&tag, 1).await?;
    gateway.close().await?;
    ensure!(place.site.running(&tag) == 1, "the algorithm does not go on after its gateway was shut down");
    let gateway = place.gateway().await?;
    whole(&gateway, &spec).await
}

pub(super) async fn two_gateways(bench: &Bench) -> Verdict {
    let place = bench.narrow(2, 2).await?;
    let (one, two) = (place.gateway().await?, place.gateway().await?);
    let mut specs = Vec::new();
    for index in 0..6 {
        let spec = worker(&place, &tag(), 60);
        let gateway = if index % 2 == 0 { &one } else { &two };
        gateway.submit(&spec).await?;
        specs.push(spec);
    }
    for spec in &specs {
        whole(&one, spec).await?;
        whole(&two, spec).await?;
        let (first, second) = (one.get(&spec.id).await?, two.get(&spec.id).await?);
        ensure!(first == second, "two gateways show {} and {}", sketch(&first), sketch(&second));
        let (first, second) = (one.first_outputs(&spec.id).await?, two.first_outputs(&spec.id).await?);
        ensure!(first == second, "two gateways show other outputs of one job");
    }
    let (first, second) = (one.all(&JobFilter::default(), 10).await?, two.all(&JobFilter::default(), 4).await?);
    ensure!(first == second, "two gateways list other jobs");
    Ok(())
}

pub(super) async fn interrupted(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let spec = place.spec(vec![
        Step::Print(Output::Stdout, b"so far\n".to_vec()),
        Step::Token,
        Step::Child(tag.clone()),
        Step::Hold(tag.clone()),
    ]);
    gateway.submit(&spec).await?;
    place.until_running(&tag, 2).await?;
    ensure!(place.site.destroy(&spec.id).await?, "the harness can't destroy a running job");
    let job = gateway.end(&spec.id, Phase::Failed).await?;
    ensure!(
        matches!(job.reason, Some(Reason::Interrupted { .. })),
        "its runner was killed, and it is {:?}",
        job.reason
    );
    place.until_still(&tag).await?;
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed.starts_with("so far\n"), "the log of what ran is {printed:?}");
    // It does not run again, whoever asks, and others do.
    let again = gateway.submit(&spec).await?;
    ensure!(again == job, "a retry of an interrupted job is answered with {}", sketch(&again));
    gateway.kill().await;
    let gateway = place.gateway().await?;
    let other = worker(&place, &crate::bench::tag(), 1);
    gateway.submit(&other).await?;
    whole(&gateway, &other).await?;
    ensure!(place.site.running(&tag) == 0, "an interrupted job runs again");
    let after = gateway.get(&spec.id).await?;
    ensure!(after == job, "an interrupted job has become {}", sketch(&after));
    Ok(())
}

pub(super) async fn newer_spec(bench: &Bench) -> Verdict {
    let place = bench.place_with(Settings { keep: Duration::ZERO, ..Settings::default() }).await?;
    let mut newer = place.spec(vec![Step::Token]);
    newer.version = SPEC_VERSION + 1;
    newer.deadlines.queue_s = 1;
    place.site.plant_newer(&newer).await?;
    let gateway = place.gateway().await?;
    let shown = gateway.get(&newer.id).await?;
    ensure!(shown.spec_version == SPEC_VERSION + 1, "its version is shown as {}", shown.spec_version);
    // Others are driven, ended and swept meanwhile, longer than its queue deadline.
    for _ in 0..3 {
        let spec = place.spec(vec![Step::Sleep(tag(), 400)]);
        gateway.submit(&spec).await?;
        gateway.until_gone(&spec.id, place.patience).await?;
    }
    let now = gateway.get(&newer.id).await?;
    ensure!(now.phase == Phase::Queued, "a job of a newer version was driven or failed: {}", sketch(&now));
    let listed = gateway.all(&JobFilter { owner: Some(newer.owner.clone()), ..JobFilter::default() }, 10).await?;
    ensure!(listed.iter().any(|job| job.id == newer.id), "a job of a newer version is not listed");
    gateway.delete(&newer.id).await?;
    refused!(gateway.get(&newer.id).await, NotFound, "get of a job of a newer version after delete");
    Ok(())
}
