use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brizo_backend::facts::{Ended, ManifestFact, Open, Started, Stop, VoidCause, admitted, waiting_for_slot};
use brizo_backend::{
    JobId, JobSpec, LimitFact, LogStream, LogTotals, Manifest, Output, OutputTotals, Phase, Reason, SPEC_VERSION,
    SkipReason, Skipped,
};
use brizo_conformance::Program;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Flaw;
use super::fetch::fetch;
use super::player::{Played, Player};
use super::world::{Entry, Record, World};

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_millis(300);

/// One pass over the jobs; `started` are those that this gateway has taken up.
pub(crate) fn pass(world: &Arc<World>, may_sweep: bool, started: &mut Vec<JobId>) {
    let now = brizo_backend::now();
    let open = {
        let state = world.state();
        let open = |record: &&Record| {
            let newer = record.facts.submitted.version > SPEC_VERSION && !world.is(Flaw::DrivesNewer);
            record.facts.ended.is_none() && !newer
        };
        state.jobs.values().filter(open).cloned().collect::<Vec<_>>()
    };
    let queue = open.iter().map(|record| &record.facts.submitted);
    let queue =
        queue.map(|spec| Open { created_at: spec.created_at, id: spec.id, owner: spec.owner.clone() }).collect();
    let slots = admitted(queue, &world.settings.quotas);
    for record in open {
        let id = record.facts.submitted.id;
        let is_admitted = slots.contains(&id) || world.is(Flaw::IgnoresQuotas);
        let waits = record.seen.provisioning.is_none();
        if waits && record.facts.stop.is_some() && !world.is(Flaw::ForgetsStop) {
            void(world, &id, VoidCause::Stop, Phase::Stopped, None);
        } else if let Some((_, reason)) = record.facts.deadline(&record.seen).filter(|(at, _)| *at <= now)
            && !world.is(Flaw::NoDeadlines)
        {
            void(world, &id, VoidCause::Deadline, Phase::Failed, Some(reason));
        } else if is_admitted {
            take_up(world, &id, started);
        } else if record.seen.waiting.is_none() {
            world.change_job(&id, |record| record.seen.waiting = Some(waiting_for_slot(&record.facts.submitted)));
        }
    }
    if (may_sweep || world.is(Flaw::SweepsAlways)) && !world.is(Flaw::NeverSweeps) {
        sweep(world);
    }
}

fn take_up(world: &Arc<World>, id: &JobId, started: &mut Vec<JobId>) {
    let first = world.change_job(id, |record| {
        let first = record.seen.provisioning.is_none();
        record.seen.provisioning.get_or_insert_with(brizo_backend::now);
        record.seen.waiting = None;
        first
    });
    let mine = world.is(Flaw::EachGatewayRuns) && !started.contains(id);
    if first == Some(true) || mine {
        started.push(*id);
        tokio::spawn(execute(Arc::clone(world), *id));
    }
}

fn sweep(world: &World) {
    let keep = i64::try_from(world.settings.keep.as_millis()).unwrap_or(i64::MAX);
    let now = brizo_backend::now().as_millisecond();
    let over = |record: &&Record| {
        record.facts.ended.as_ref().is_some_and(|e| e.at.as_millisecond().saturating_add(keep) <= now)
    };
    let old: Vec<_> = world.state().jobs.values().filter(over).map(|record| record.facts.submitted.id).collect();
    for id in old {
        world.remove(&id);
    }
}

/// Ends a job whose algorithm never runs.
fn void(world: &World, id: &JobId, cause: VoidCause, phase: Phase, reason: Option<Reason>) {
    let at = brizo_backend::now();
    let won = world.change_job(id, |record| {
        let first = record.facts.started.is_none();
        record.facts.started.get_or_insert(Started::Void { at, cause });
        first
    });
    if won == Some(true) {
        end(world, id, phase, reason, None);
    }
}

/// One execution: staging, the algorithm, publishing. It goes on when gateways die.
pub(crate) async fn execute(world: Arc<World>, id: JobId) {
    let Some((spec, revived)) = world.change_job(&id, |record| {
        record.seen.configuring.get_or_insert_with(brizo_backend::now);
        (record.facts.submitted.clone(), record.clone())
    }) else {
        return;
    };
    let (program, inputs) = match stage(&world, &spec).await {
        Ok(staged) => staged,
        Err(reason) => return void(&world, &id, VoidCause::Configure, Phase::Failed, Some(reason)),
    };
    let stopped = world.change_job(&id, |record| {
        let stopped = record.facts.stop.is_some() && !world.is(Flaw::ForgetsStop);
        if !stopped {
            let run = Started::Run { at: brizo_backend::now(), image_digest: None };
            record.facts.started.get_or_insert(run);
        }
        stopped
    });
    match stopped {
        None => return,
        Some(true) => return void(&world, &id, VoidCause::Stop, Phase::Stopped, None),
        Some(false) => {}
    }
    let (term, kill) = (revived.term.clone(), revived.kill.clone());
    let wall = Duration::from_secs(if world.is(Flaw::NoLimits) { 3600 } else { spec.limits.wall_time_s });
    let graceless = world.is(Flaw::StopsAtOnce);
    let own_term = if graceless { tokio_util::sync::CancellationToken::new() } else { term.clone() };
    let mut player = Player { world: Arc::clone(&world), id, spec, inputs, term: own_term, tags: Vec::new() };
    let (mut phase, mut reason) = tokio::select! {
        ended = player.play(program) => judge(&world, &ended),
        () = tokio::time::sleep(wall) => {
            let message = "It ran longer than it may.".to_owned();
            (Phase::Failed, Some(Reason::WallTime { message }))
        }
        () = async { term.cancelled().await; tokio::time::sleep(if graceless { Duration::ZERO } else { GRACE }).await } => {
            (Phase::Stopped, None)
        }
        () = kill.cancelled() => (Phase::Stopped, None),
        () = revived.crash.cancelled() => {
            let message = "The machine that ran it failed.".to_owned();
            (Phase::Failed, Some(Reason::Interrupted { message }))
        }
    };
    drop(player);
    if revived.crash.is_cancelled() && world.is(Flaw::RunsAgainAfterFaults) {
        world.change_job(&id, |record| {
            record.crash = tokio_util::sync::CancellationToken::new();
            record.seen.provisioning = None;
        });
        return;
    }
    if term.is_cancelled() {
        (phase, reason) = (Phase::Stopped, None);
    }
    world.change_job(&id, |record| record.seen.publishing = Some(brizo_backend::now()));
    tokio::task::yield_now().await;
    let revive = world.is(Flaw::LateEndRevives).then_some(revived);
    end(&world, &id, phase, reason, revive);
}

fn judge(world: &World, played: &Played) -> (Phase, Option<Reason>) {
    let reason = match *played {
        Played::Exit(0) => return (Phase::Succeeded, None),
        Played::Exit(code) if code > 128 && world.is(Flaw::CodesAreSignals) => Reason::signal(code - 128),
        Played::Exit(code) => Reason::exit_code(code),
        Played::Signal(signal) if world.is(Flaw::SignalsAreCodes) => Reason::exit_code(128 + signal),
        Played::Signal(signal) => Reason::signal(signal),
        Played::Memory => Reason::OutOfMemory { message: "It asked for more memory than it may have.".to_owned() },
        Played::Disk => Reason::Disk { message: "It wrote more than it may.".to_owned() },
    };
    (Phase::Failed, Some(reason))
}

type Staged = (Program, Vec<(String, usize, Vec<u8>)>);

async fn stage(world: &World, spec: &JobSpec) -> Result<Staged, Reason> {
    let over = Instant::now() + Duration::from_secs(spec.deadlines.provisioning_s);
    let mut inputs = Vec::new();
    for (dataset, sources) in spec.datasets.iter().zip(&spec.secrets.inputs) {
        for (number, input) in sources.iter().enumerate() {
            let wrong = |message: String| Reason::Inputs { message };
            let bytes = fetch(world, input, over).await.map_err(|fault| fault.reason("An input", wrong))?;
            inputs.push((dataset.folder().to_owned(), number, bytes));
        }
    }
    let wrong = |message: String| Reason::Algorithm { message };
    let source = spec.secrets.algorithm.as_ref().ok_or_else(|| wrong("There is none.".to_owned()))?;
    let code = fetch(world, source, over).await.map_err(|fault| fault.reason("The algorithm", wrong))?;
    let program = Program::of_sh(&String::from_utf8_lossy(&code));
    Ok((program.ok_or_else(|| wrong("It is no program of the suite's.".to_owned()))?, inputs))
}

/// Publishes what it wrote, and ends the job, if it is still there.
fn end(world: &World, id: &JobId, phase: Phase, reason: Option<Reason>, revive: Option<Record>) {
    let at = brizo_backend::now();
    world.change(|state| {
        if let (Some(record), false) = (revive, state.jobs.contains_key(id)) {
            state.jobs.insert(*id, record);
        }
        let Some(record) = state.jobs.get_mut(id) else { return };
        if record.facts.ended.is_some() {
            return;
        }
        let ran = matches!(record.facts.started, Some(Started::Run { .. }));
        let most = if world.is(Flaw::PublishesAll) { u64::MAX } else { record.facts.submitted.limits.outputs_bytes };
        let work = state.work.remove(id).unwrap_or_default();
        let (manifest, files, over) = manifest(&work, most, world.is(Flaw::FollowsLinks));
        let (phase, reason) = if over && phase == Phase::Succeeded {
            let message = "Its outputs are more than may be published.".to_owned();
            (Phase::Failed, Some(Reason::Publish { message }))
        } else {
            (phase, reason)
        };
        let totals = OutputTotals {
            count: manifest.outputs.len() as u64,
            bytes: manifest.outputs.iter().map(|output| output.bytes).sum(),
            skipped: manifest.skipped.len() as u64,
        };
        let bytes_of = |stream| {
            let pieces = state.logs.get(id).into_iter().flatten();
            pieces.filter(|piece| piece.stream == stream).map(|piece| piece.bytes.len() as u64).sum()
        };
        let stored = serde_json::to_vec(&manifest).unwrap_or_default();
        record.facts.ended = Some(Ended {
            at,
            phase,
            reason,
            transitions: record.facts.transitions_to_end(&record.seen, phase, at),
            walls: Vec::new(),
            limits: limits(&record.facts.submitted),
            usage: None,
            algorithm_sha256: record.facts.submitted.algorithm.sha256.clone(),
            manifest: ran.then(|| ManifestFact { totals, sha256: hex::encode(Sha256::digest(&stored)) }),
            log: LogTotals { stdout_bytes: bytes_of(LogStream::Stdout), stderr_bytes: bytes_of(LogStream::Stderr) },
        });
        if ran {
            state.published.insert(*id, (manifest, files));
        }
    });
}

/// The manifest, the files, and whether there were more than `most` bytes.
fn manifest(work: &BTreeMap<String, Entry>, most: u64, follow: bool) -> (Manifest, HashMap<String, Bytes>, bool) {
    let mut left = most;
    let mut over = false;
    let mut manifest = Manifest::default();
    let mut files = HashMap::new();
    for (path, entry) in work {
        let mut skip = |why| manifest.skipped.push(Skipped { path: path.clone(), why });
        let bytes = match entry {
            Entry::File(bytes) => bytes.clone(),
            Entry::Symlink(target) if follow => format!("what is at {target}").into_bytes(),
            Entry::Symlink(_) => {
                skip(SkipReason::SymbolicLink);
                continue;
            }
            Entry::HardLink => {
                skip(SkipReason::HardLink);
                continue;
            }
            Entry::Fifo => {
                skip(SkipReason::Fifo);
                continue;
            }
        };
        if bytes.len() as u64 > left {
            over = true;
            continue;
        }
        left -= bytes.len() as u64;
        if let Ok(parsed) = path.parse() {
            let sha256 = hex::encode(Sha256::digest(&bytes));
            manifest.outputs.push(Output { path: parsed, bytes: bytes.len() as u64, sha256 });
            files.insert(path.clone(), Bytes::from(bytes));
        }
    }
    (manifest, files, over)
}

/// Each limit, as this backend enforces it.
pub(crate) fn limits(spec: &JobSpec) -> Vec<LimitFact> {
    let limits = &spec.limits;
    [
        ("cpu", limits.cpu_millis),
        ("memory", limits.memory_bytes),
        ("disk", limits.disk_bytes),
        ("outputs", limits.outputs_bytes),
        ("wall_time", limits.wall_time_s),
    ]
    .map(|(name, value)| LimitFact { name: name.to_owned(), value, enforced_by: "player".to_owned(), soft: true })
    .into()
}

/// Asks for the end of a job.
pub(crate) fn stop(world: &World, id: &JobId) -> Option<()> {
    world.change_job(id, |record| {
        if let Some(ended) = &mut record.facts.ended {
            if world.is(Flaw::StopsWhatEnded) {
                (ended.phase, ended.reason) = (Phase::Stopped, None);
                record.facts.stop = Some(Stop { at: brizo_backend::now() });
            }
            return;
        }
        record.facts.stop.get_or_insert(Stop { at: brizo_backend::now() });
        if !world.is(Flaw::ForgetsStop) {
            record.term.cancel();
        }
    })
}
