use brizo_backend::{Capability, JobFilter, LogStream, Phase, WallState};

use crate::bench::{Bench, sha256, tag};
use crate::failure::{Verdict, ensure};
use crate::gateway::sketch;
use crate::{Output, Step};

pub(super) async fn at_most_once(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let tag = tag();
    let spec = place.spec(vec![Step::Token, Step::Hold(tag.clone())]);
    let mut gateways = vec![place.gateway().await?, place.gateway().await?];
    gateways[0].submit(&spec).await?;
    gateways[1].until_printed(&spec.id, "token").await?;
    place.until_running(&tag, 1).await?;
    let token = gateways[0].stdout(&spec.id).await?;
    for round in 0..4 {
        gateways.remove(round % 2).kill().await;
        let new = place.gateway().await?;
        new.submit(&spec).await?;
        gateways.push(new);
        let job = gateways[0].get(&spec.id).await?;
        ensure!(job.phase == Phase::Running, "after a gateway was killed, {}", sketch(&job));
        let running = place.site.running(&tag);
        ensure!(running == 1, "{running} executions run after {} gateways were killed", round + 1);
        let now = gateways[1].stdout(&spec.id).await?;
        ensure!(now == token, "the log is another execution's: {now:?} for {token:?}");
    }
    gateways[0].stop(&spec.id).await?;
    gateways[1].end(&spec.id, Phase::Stopped).await?;
    let executions = gateways[0].executions(&spec.id).await?;
    ensure!(executions.len() == 1 && token.contains(&executions[0]), "executions {executions:?}, first seen {token:?}");
    Ok(())
}

pub(super) async fn success(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let table: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let spec = place.spec(vec![
        Step::Print(Output::Stdout, b"trained\n".to_vec()),
        Step::Print(Output::Stderr, b"a warning\n".to_vec()),
        Step::Write("model.json".to_owned(), b"{}\n".to_vec()),
        Step::Write("plots/roc curve.svg".to_owned(), table.clone()),
    ]);
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    ensure!(job.started_at.is_some(), "a job that ran has no started_at");
    ensure!(job.algorithm.sha256 == spec.algorithm.sha256, "the algorithm's checksum is {:?}", job.algorithm.sha256);
    let page = gateway.first_outputs(&spec.id).await?;
    let listed: Vec<_> = page.items.iter().map(|o| (o.path.as_str(), o.bytes, o.sha256.clone())).collect();
    let right = [("model.json", 3, sha256(b"{}\n")), ("plots/roc curve.svg", 3000, sha256(&table))];
    ensure!(listed == right, "outputs are listed as {listed:?}, for {right:?}");
    for (path, bytes) in [("model.json", b"{}\n".as_slice()), ("plots/roc curve.svg", &table)] {
        let (output, read) = gateway.read(&spec.id, path, None).await?;
        ensure!(read == bytes, "{path} does not read as it was written");
        ensure!(output.sha256 == sha256(bytes), "{path} is read with another checksum than listed");
    }
    let totals = job.outputs.ok_or_else(|| crate::Failure::new("a job that succeeded has no totals of outputs"))?;
    ensure!((totals.count, totals.bytes, totals.skipped) == (2, 3003, 0), "totals of outputs: {totals:?}");
    for (stream, text) in [(LogStream::Stdout, b"trained\n".as_slice()), (LogStream::Stderr, b"a warning\n")] {
        let log = gateway.stream(&spec.id, stream).await?;
        ensure!(log == text, "{stream:?} is {:?}", String::from_utf8_lossy(&log));
    }
    let log = job.log.ok_or_else(|| crate::Failure::new("an ended job has no totals of its log"))?;
    ensure!((log.stdout_bytes, log.stderr_bytes) == (8, 10), "totals of the log: {log:?}");
    Ok(())
}

pub(super) async fn transitions(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Sleep(tag(), 300), Step::Write("x".to_owned(), b"x".to_vec())]);
    let mut last = gateway.submit(&spec).await?;
    let limit = tokio::time::Instant::now() + place.patience;
    while !last.phase.is_end() {
        ensure!(tokio::time::Instant::now() < limit, "no end: {}", sketch(&last));
        let now = gateway.get(&spec.id).await?;
        let grown = now.transitions.starts_with(&last.transitions);
        ensure!(grown, "what was entered has changed: {:?}, then {:?}", last.transitions, now.transitions);
        last = now;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let entered = &last.transitions;
    ensure!(last.phase == Phase::Succeeded, "{}", sketch(&last));
    ensure!(entered.iter().all(|t| t.id == t.phase.number()), "ids are not the phases' numbers: {entered:?}");
    let ordered = entered.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].at <= pair[1].at);
    ensure!(ordered, "not in order, or back in time: {entered:?}");
    ensure!(entered.last().map(|t| t.phase) == Some(last.phase), "the last transition is not the phase: {entered:?}");
    ensure!(
        entered[0].phase == Phase::Queued && entered[0].at == last.created_at,
        "not queued at the commit: {entered:?}"
    );
    let running = entered.iter().find(|t| t.phase == Phase::Running);
    ensure!(running.map(|t| t.at) == last.started_at, "started_at is not when Running was entered: {}", sketch(&last));
    ensure!(last.ended_at >= entered.last().map(|t| t.at), "ended_at is before the last transition");
    let listed = gateway.all(&JobFilter::default(), 10).await?;
    ensure!(listed == [last.clone()], "list shows another job than get");
    let watched = gateway.watched(&spec.id).await?;
    let watched = watched.into_iter().collect::<brizo_backend::Result<Vec<_>>>()?;
    ensure!(watched.last() == Some(&last), "watch shows another job than get");
    Ok(())
}

pub(super) async fn walls_are_stated(bench: &Bench) -> Verdict {
    let place = bench.place().await?;
    let gateway = place.gateway().await?;
    let spec = place.spec(vec![Step::Token]);
    let plan = gateway.preflight(&spec).await?;
    let job = gateway.run(&spec, Phase::Succeeded).await?;
    let limits = spec.limits;
    for (name, value) in [
        ("cpu", limits.cpu_millis),
        ("memory", limits.memory_bytes),
        ("disk", limits.disk_bytes),
        ("wall_time", limits.wall_time_s),
    ] {
        let stated: Vec<_> = job.limits.iter().filter(|limit| limit.name == name).collect();
        ensure!(stated.len() == 1, "the limit {name} is stated {} times: {:?}", stated.len(), job.limits);
        ensure!(stated[0].value == value, "the limit {name} is stated as {}, for {value}", stated[0].value);
        ensure!(!stated[0].enforced_by.is_empty(), "nobody enforces {name}");
        ensure!(plan.limits.iter().any(|limit| limit.name == name), "preflight does not state the limit {name}");
    }
    let Capability { network_namespace, network_policy, seccomp, landlock, .. } = bench.capability;
    for (declared, name) in [
        (network_namespace, "network_namespace"),
        (network_policy, "network_policy"),
        (seccomp, "seccomp"),
        (landlock, "landlock"),
    ] {
        let stands = |walls: &[brizo_backend::WallFact]| {
            walls.iter().any(|wall| {
                let enough =
                    wall.state == WallState::Standing || (network_policy && wall.state == WallState::Requested);
                wall.name.starts_with(name) && enough
            })
        };
        ensure!(!declared || stands(&job.walls), "the wall {name} is declared and did not stand: {:?}", job.walls);
        ensure!(!declared || stands(&plan.walls), "preflight does not state the wall {name}: {:?}", plan.walls);
    }
    Ok(())
}
