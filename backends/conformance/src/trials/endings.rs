use brizo_backend::{Job, Phase, Reason};

use crate::bench::{Bench, Place, tag};
use crate::failure::{Verdict, ensure};
use crate::gateway::Gateway;
use crate::{Output, Step};

fn partial() -> [Step; 2] {
    [Step::Print(Output::Stdout, b"so far\n".to_vec()), Step::Write("partial".to_owned(), b"half".to_vec())]
}

/// What was written before the end can be read.
async fn partial_is_there(gateway: &Gateway, job: &Job) -> Verdict {
    let printed = gateway.stdout(&job.id).await?;
    ensure!(printed.contains("so far"), "the log of what ran is {printed:?}");
    let (_, bytes) = gateway.read(&job.id, "partial", None).await?;
    ensure!(bytes == b"half", "what it wrote before the end is not published as it was");
    Ok(())
}

async fn exits_with(place: &Place, gateway: &Gateway, code: i32) -> Verdict {
    let steps = partial().into_iter().chain([Step::Exit(code)]).collect();
    let job = gateway.run(&place.spec(steps), Phase::Failed).await?;
    let right = matches!(job.reason, Some(Reason::ExitCode { exit_code, .. }) if exit_code == code);
    ensure!(right, "an algorithm that exits with {code} ended as {:?}", job.reason);
    partial_is_there(gateway, &job).await
}

pub(super) async fn exit_code(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    exits_with(&place, &gateway, 3).await?;
    exits_with(&place, &gateway, 255).await
}

pub(super) async fn exit_code_that_looks_like_a_signal(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    exits_with(&place, &gateway, 137).await
}

pub(super) async fn signal(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    for signal in [9, 15, 6] {
        let steps = partial().into_iter().chain([Step::Kill(signal)]).collect();
        let job = gateway.run(&place.spec(steps), Phase::Failed).await?;
        let right = matches!(job.reason, Some(Reason::Signal { signal: seen, .. }) if seen == signal);
        ensure!(right, "an algorithm that signal {signal} ended is {:?}", job.reason);
        partial_is_there(&gateway, &job).await?;
    }
    Ok(())
}

pub(super) async fn wall_time(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let tag = tag();
    let rest = [Step::IgnoreTerm, Step::Child(tag.clone()), Step::Hold(tag.clone())];
    let mut spec = place.spec(partial().into_iter().chain(rest).collect());
    spec.limits.wall_time_s = 2;
    let job = gateway.run(&spec, Phase::Failed).await?;
    ensure!(matches!(job.reason, Some(Reason::WallTime { .. })), "over its wall time it is {:?}", job.reason);
    ensure!(place.site.running(&tag) == 0, "what it started goes on after the wall time");
    if let (Some(started), Some(ended)) = (job.started_at, job.ended_at) {
        let ran = ended.as_millisecond() - started.as_millisecond();
        ensure!(ran > 1500, "a wall time of 2 s ended it after {ran} ms");
    }
    partial_is_there(&gateway, &job).await
}

pub(super) async fn out_of_memory(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let survived = Step::Print(Output::Stdout, b"survived\n".to_vec());
    let mut spec = place.spec(partial().into_iter().chain([Step::Allocate(256 << 20), survived]).collect());
    spec.limits.memory_bytes = 64 << 20;
    let job = gateway.run(&spec, Phase::Failed).await?;
    ensure!(matches!(job.reason, Some(Reason::OutOfMemory { .. })), "over its memory it is {:?}", job.reason);
    partial_is_there(&gateway, &job).await
}

async fn fills(bench: &Bench, fill: Vec<Step>) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let mut steps = vec![Step::Print(Output::Stdout, b"so far\n".to_vec())];
    steps.extend(fill);
    steps.push(Step::Sleep(tag(), 8000));
    let mut spec = place.spec(steps);
    spec.limits.disk_bytes = 4 << 20;
    spec.limits.outputs_bytes = 4 << 20;
    let job = gateway.run(&spec, Phase::Failed).await?;
    ensure!(matches!(job.reason, Some(Reason::Disk { .. })), "over its disk it is {:?}", job.reason);
    let printed = gateway.stdout(&spec.id).await?;
    ensure!(printed.contains("so far"), "the log of what ran is {printed:?}");
    Ok(())
}

pub(super) async fn disk(bench: &Bench) -> Verdict {
    fills(bench, vec![Step::Fill("one".to_owned(), 64 << 20)]).await
}

pub(super) async fn disk_by_many_files(bench: &Bench) -> Verdict {
    fills(bench, (0..12).map(|n| Step::Fill(format!("many/{n}"), 1 << 20)).collect()).await
}

pub(super) async fn everything_dies(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    for last in [None, Some(Step::Exit(4))] {
        let tag = tag();
        let mut steps = vec![Step::Child(tag.clone()), Step::Child(tag.clone()), Step::Token];
        let phase = if last.is_some() { Phase::Failed } else { Phase::Succeeded };
        steps.extend(last);
        let job = gateway.run(&place.spec(steps), phase).await?;
        let running = place.site.running(&tag);
        ensure!(running == 0, "{running} processes of a job go on that is {}", job.phase);
    }
    Ok(())
}
