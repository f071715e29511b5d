use std::time::Duration;

use brizo_backend::{JobFilter, JobId, JobSpec, LogOptions, Page, Phase};

use crate::bench::{Bench, Place, tag};
use crate::failure::{Verdict, ensure, refused};
use crate::gateway::Gateway;
use crate::{Output, Step};

/// A job is gone from everything that can be asked.
async fn gone(gateway: &Gateway, spec: &JobSpec, when: &str) -> Verdict {
    let id = &spec.id;
    refused!(gateway.get(id).await, NotFound, "get {when}");
    refused!(gateway.stop(id).await, NotFound, "stop {when}");
    refused!(gateway.logs(id, &LogOptions::default()).await.map(|_| ()), NotFound, "logs {when}");
    refused!(gateway.outputs(id, &Page { limit: 10, cursor: None }).await, NotFound, "outputs {when}");
    let path = "result".parse().map_err(|error| crate::Failure::new(format!("{error}")))?;
    refused!(gateway.read_output(id, &path, None).await, NotFound, "read_output {when}");
    let by_owner = JobFilter { owner: Some(spec.owner.clone()), ..JobFilter::default() };
    let by_agreement = JobFilter { agreement: spec.agreements().next().cloned(), ..JobFilter::default() };
    for filter in [JobFilter::default(), by_owner, by_agreement] {
        let listed = gateway.all(&filter, 10).await?.iter().any(|job| job.id == *id);
        ensure!(!listed, "the list shows the job {when}");
    }
    Ok(())
}

pub(super) async fn everything(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let steps = vec![
        Step::Print(Output::Stdout, b"a log\n".to_vec()),
        Step::Write("result".to_owned(), b"42".to_vec()),
        Step::Write("a/b/c".to_owned(), b"43".to_vec()),
    ];
    let (spec, kept) = (place.spec(steps.clone()), place.spec(steps));
    gateway.run(&spec, Phase::Succeeded).await?;
    let before = gateway.run(&kept, Phase::Succeeded).await?;
    ensure!(!place.site.remains(&spec.id).await?.is_empty(), "the harness sees nothing of a job that is there");
    gateway.delete(&spec.id).await?;
    gone(&gateway, &spec, "after delete").await?;
    place.until_clean(&spec.id).await?;
    let after = gateway.get(&kept.id).await?;
    ensure!(after == before, "the delete of one job changed another");
    let (_, bytes) = gateway.read(&kept.id, "result", None).await?;
    ensure!(bytes == b"42", "the delete of one job took another's outputs");
    Ok(())
}

/// Starts a job that never ends, and returns once it runs.
async fn begun(place: &Place, gateway: &Gateway, tag: &str) -> Result<JobSpec, crate::Failure> {
    let spec = place.spec(vec![
        Step::IgnoreTerm,
        Step::Write("result".to_owned(), b"42".to_vec()),
        Step::Token,
        Step::Child(tag.to_owned()),
        Step::Hold(tag.to_owned()),
    ]);
    gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "token").await?;
    Ok(spec)
}

pub(super) async fn running(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let spec = begun(&place, &gateway, &tag).await?;
    gateway.delete(&spec.id).await?;
    gone(&gateway, &spec, "after delete of a running job").await?;
    place.until_still(&tag).await?;
    place.until_clean(&spec.id).await?;
    gone(&gateway, &spec, "after the end of a deleted job").await?;
    gateway.kill().await;
    let gateway = place.gateway().await?;
    gateway.run(&place.spec(vec![]), Phase::Succeeded).await?;
    gone(&gateway, &spec, "after the end of a deleted job and a restart").await
}

pub(super) async fn late_end(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let (gateway, other) = (place.gateway().await?, place.gateway().await?);
    let mut specs = Vec::new();
    for millis in [40, 120, 400] {
        let result = Step::Write("result".to_owned(), b"42".to_vec());
        let spec = place.spec(vec![Step::Token, result, Step::Sleep(tag(), millis)]);
        gateway.submit(&spec).await?;
        specs.push((spec, millis));
    }
    // One ends only because it is deleted.
    let result = Step::Write("result".to_owned(), b"42".to_vec());
    let held = place.spec(vec![Step::Token, result, Step::Hold(tag())]);
    gateway.submit(&held).await?;
    gateway.until_printed(&held.id, "token").await?;
    specs.push((held, 0));
    for (spec, millis) in &specs {
        gateway.until(&spec.id, "its start", |job| job.phase >= Phase::Running).await?;
        tokio::time::sleep(Duration::from_millis(u64::from(*millis) / 2)).await;
        other.delete(&spec.id).await?;
    }
    for (spec, _) in &specs {
        gateway.until_gone(&spec.id, Duration::from_secs(1)).await?;
        place.until_clean(&spec.id).await?;
    }
    // Two more jobs pass through every step meanwhile, so that whatever was under way has come to its end.
    for _ in 0..2 {
        gateway.run(&place.spec(vec![Step::Sleep(tag(), 400)]), Phase::Succeeded).await?;
    }
    for (spec, _) in &specs {
        gone(&gateway, spec, "after its late end").await?;
        gone(&other, spec, "after its late end").await?;
        place.until_clean(&spec.id).await?;
    }
    Ok(())
}

pub(super) async fn queued(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let first = begun(&place, &gateway, &tag).await?;
    let never = crate::bench::tag();
    let waiting = place.spec(vec![Step::Hold(never.clone())]);
    gateway.submit(&waiting).await?;
    gateway.delete(&waiting.id).await?;
    gone(&gateway, &waiting, "after delete of a queued job").await?;
    gateway.delete(&first.id).await?;
    // The slot is free again, and the deleted job does not take it.
    gateway.run(&place.spec(vec![Step::Token]), Phase::Succeeded).await?;
    ensure!(place.site.running(&never) == 0, "a job that was deleted while it waited runs");
    place.until_still(&tag).await?;
    gone(&gateway, &waiting, "after other jobs had their turn").await?;
    place.until_clean(&waiting.id).await
}

pub(super) async fn is_idempotent(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let (gateway, other) = (place.gateway().await?, place.gateway().await?);
    gateway.delete(&JobId::random()).await?;
    let spec = place.spec(vec![Step::Token]);
    gateway.run(&spec, Phase::Succeeded).await?;
    for _ in 0..2 {
        gateway.delete(&spec.id).await?;
        other.delete(&spec.id).await?;
    }
    place.until_clean(&spec.id).await?;
    gateway.delete(&spec.id).await?;
    gone(&gateway, &spec, "after three deletes").await
}
