use brizo_backend::Phase;

use super::staging::never_ran;
use crate::bench::{Bench, tag, tick};
use crate::failure::{Verdict, ensure};
use crate::gateway::sketch;
use crate::{Output, Step};

pub(super) async fn running(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let spec = place.spec(vec![
        Step::Write("partial".to_owned(), b"half".to_vec()),
        Step::Child(tag.clone()),
        Step::Print(Output::Stdout, b"begun\n".to_vec()),
        Step::Hold(tag.clone()),
    ]);
    gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "begun").await?;
    let stopping = gateway.stop(&spec.id).await?;
    ensure!(stopping.stop_requested_at.is_some(), "stop does not show when it was asked for: {}", sketch(&stopping));
    let job = gateway.end(&spec.id, Phase::Stopped).await?;
    let running = place.site.running(&tag);
    ensure!(running == 0, "a job is Stopped while {running} of its processes run");
    ensure!(job.stop_requested_at == stopping.stop_requested_at, "the time of the stop has changed");
    let (_, bytes) = gateway.read(&spec.id, "partial", None).await?;
    ensure!(bytes == b"half", "what it wrote before it was stopped is not published as it was");
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed == "begun\n", "the log of a stopped job is {printed:?}");
    Ok(())
}

pub(super) async fn queued(bench: &Bench) -> Verdict {
    let place = bench.narrow(1, 1).await?;
    let gateway = place.gateway().await?;
    let first = place.spec(vec![Step::Token, Step::Hold(tag())]);
    gateway.submit(&first).await?;
    gateway.until_printed(&first.id, "token").await?;
    let spec = place.spec(vec![Step::Token]);
    gateway.submit(&spec).await?;
    gateway.stop(&spec.id).await?;
    gateway.end(&spec.id, Phase::Stopped).await?;
    let after = place.spec(vec![Step::Token]);
    gateway.submit(&after).await?;
    gateway.stop(&first.id).await?;
    gateway.end(&after.id, Phase::Succeeded).await?;
    let job = gateway.get(&spec.id).await?;
    ensure!(job.phase == Phase::Stopped, "stopped while it waited, and now {}", sketch(&job));
    never_ran(&gateway, &spec).await?;

    let undriven = place.idle_gateway().await?;
    gateway.close().await?;
    let spec = place.spec(vec![Step::Token]);
    undriven.submit(&spec).await?;
    undriven.stop(&spec.id).await?;
    let gateway = place.gateway().await?;
    gateway.end(&spec.id, Phase::Stopped).await?;
    never_ran(&gateway, &spec).await
}

pub(super) async fn is_idempotent(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Token, Step::IgnoreTerm, Step::Hold(tag())]);
    gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "token").await?;
    let first = gateway.stop(&spec.id).await?.stop_requested_at;
    for _ in 0..3 {
        tick().await;
        let again = gateway.stop(&spec.id).await?.stop_requested_at;
        ensure!(again == first, "a second stop changed its time from {first:?} to {again:?}");
    }
    let job = gateway.end(&spec.id, Phase::Stopped).await?;
    ensure!(job.stop_requested_at == first, "the end changed the time of the stop");
    let again = gateway.stop(&spec.id).await?;
    ensure!(again == job, "stopping a stopped job changed it: {}", sketch(&again));
    Ok(())
}

pub(super) async fn after_the_end(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    for (steps, phase) in [(vec![Step::Token], Phase::Succeeded), (vec![Step::Exit(3)], Phase::Failed)] {
        let spec = place.spec(steps);
        let ended = gateway.run(&spec, phase).await?;
        for job in [gateway.stop(&spec.id).await?, gateway.get(&spec.id).await?] {
            ensure!(job == ended, "stopping a job that had ended changed it: {} to {}", sketch(&ended), sketch(&job));
        }
    }
    Ok(())
}

pub(super) async fn grace(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::SaveOnTerm("state".to_owned(), b"epoch 7".to_vec())]);
    gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "ready").await?;
    gateway.stop(&spec.id).await?;
    gateway.end(&spec.id, Phase::Stopped).await?;
    let paths = gateway.output_paths(&spec.id).await?;
    ensure!(paths == ["state"], "it was to save its state on SIGTERM, and there is {paths:?}");
    let (_, bytes) = gateway.read(&spec.id, "state", None).await?;
    ensure!(bytes == b"epoch 7", "what it saved on SIGTERM is not published as it was");
    Ok(())
}

pub(super) async fn grace_for_the_deaf(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let spec = place.spec(vec![Step::IgnoreTerm, Step::Token, Step::Hold(tag.clone())]);
    gateway.submit(&spec).await?;
    gateway.until_printed(&spec.id, "token").await?;
    gateway.stop(&spec.id).await?;
    gateway.end(&spec.id, Phase::Stopped).await?;
    ensure!(place.site.running(&tag) == 0, "an algorithm that ignores SIGTERM goes on after its job was Stopped");
    Ok(())
}
