//! The end of a job, made of what is known of it: one pure function for each way to end.

use brizo_backend::facts::{Ended, Facts, Seen, Started, VoidCause};
use brizo_backend::{LogTotals, Phase, Reason, Usage};
use brizo_runner::collect::Collected;
use brizo_runner::run::EndRecord;
use brizo_runner::stage::StageFault;
use jiff::Timestamp;

/// The end of a job whose algorithm never ran, or `None` while that is not decided.
pub(crate) fn of_void(facts: &Facts, seen: &Seen, fault: Option<&StageFault>, now: Timestamp) -> Option<Ended> {
    let Some(Started::Void { at, cause }) = &facts.started else { return None };
    let reason = match cause {
        VoidCause::Stop | VoidCause::Delete => None,
        VoidCause::Configure => Some(of_fault(fault)),
        VoidCause::Deadline => {
            let undecided = Facts { started: None, ..facts.clone() };
            undecided.deadline(seen).map(|(_, reason)| reason)
        }
    };
    let phase = if reason.is_some() { Phase::Failed } else { Phase::Stopped };
    Some(end(facts, seen, phase, reason, now.max(*at)))
}

/// Why a job failed whose inputs could not be staged.
fn of_fault(fault: Option<&StageFault>) -> Reason {
    match fault {
        Some(StageFault::Inputs(message)) => Reason::Inputs { message: message.clone() },
        Some(StageFault::Algorithm(message)) => Reason::Algorithm { message: message.clone() },
        Some(StageFault::Unreachable(message)) => Reason::ProvisioningDeadline { message: message.clone() },
        Some(StageFault::Host(message)) => Reason::Interrupted { message: message.clone() },
        None => Reason::Inputs { message: "The inputs or the algorithm could not be fetched.".to_owned() },
    }
}

/// The end of a job whose sandbox could not be built; its algorithm never ran.
pub(crate) fn of_sandbox(facts: &Facts, seen: &Seen, message: String, now: Timestamp) -> Ended {
    end(facts, seen, Phase::Failed, Some(Reason::Sandbox { message }), now)
}

/// The end of a job whose algorithm ran, with what could be published of it.
pub(crate) fn of_run(
    facts: &Facts,
    seen: &Seen,
    record: &EndRecord,
    collected: Result<&Collected, String>,
    log: LogTotals,
    now: Timestamp,
) -> Ended {
    let (mut phase, mut reason) = record.outcome();
    let mut fail = |message| {
        if phase == Phase::Succeeded {
            (phase, reason) = (Phase::Failed, Some(Reason::Publish { message }));
        }
    };
    let manifest = match collected {
        Ok(collected) => {
            if let Some(written) = collected.over {
                let most = facts.submitted.limits.outputs_bytes;
                fail(format!(
                    "The outputs are {written} bytes, and {most} may be published; those that fit are, in the order of \
                     their paths."
                ));
            }
            Some(collected.manifest.clone())
        }
        Err(message) => {
            fail(message);
            None
        }
    };
    let mut ended = end(facts, seen, phase, reason, now);
    if !record.walls.is_empty() {
        ended.walls.clone_from(&record.walls);
        ended.limits.clone_from(&record.limits);
    }
    ended.usage = Some(record.usage).filter(|usage| *usage != Usage { peak_memory_bytes: None, cpu_seconds: None });
    ended.manifest = manifest;
    ended.log = log;
    ended
}

fn end(facts: &Facts, seen: &Seen, phase: Phase, reason: Option<Reason>, at: Timestamp) -> Ended {
    let transitions = facts.transitions_to_end(seen, phase, at);
    Ended {
        at: transitions.last().map_or(at, |last| last.at),
        phase,
        reason,
        transitions,
        walls: seen.walls.clone(),
        limits: seen.limits.clone(),
        usage: None,
        algorithm_sha256: seen.algorithm_sha256.clone(),
        manifest: None,
        log: LogTotals::default(),
    }
}
