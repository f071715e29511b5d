//! The facts of a job, each written at most once, and the pure functions of them.
//!
//! | fact | written by | means |
//! |---|---|---|
//! | [`JobSpec`] (`submitted`) | submit | the commit; from it alone the job can be brought to its end |
//! | [`Stop`] | stop | somebody who may asked for the end |
//! | [`Started`] | whoever starts the algorithm, before it does; or stop, deadline, delete | whether the algorithm runs, once and for all |
//! | [`Ended`] | whoever sees the end first | how it ended |
//! | [`Deleted`] | delete | a tombstone |

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    AlgorithmView, DatasetView, Job, JobId, JobSpec, LimitFact, LogTotals, OutputTotals, Owner, Phase, Quotas, Reason,
    Transition, Usage, Waiting, WaitingFor, WallFact,
};

/// Somebody who may asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// When.
    pub at: Timestamp,
}

/// Decides once and for all whether the algorithm runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Started {
    /// It does, from here on.
    Run {
        /// When.
        at: Timestamp,
        /// `sha256:<64 hex>` of the image that it runs from, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_digest: Option<String>,
    },
    /// It never does.
    Void {
        /// When.
        at: Timestamp,
        /// Why.
        cause: VoidCause,
    },
}

/// Why a job's algorithm never runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidCause {
    /// It was stopped before.
    Stop,
    /// A deadline passed before.
    Deadline,
    /// Configure failed for good.
    Configure,
    /// It was deleted before.
    Delete,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// When it was seen.
    pub at: Timestamp,
    /// [`Phase::Succeeded`], [`Phase::Failed`] or [`Phase::Stopped`].
    pub phase: Phase,
    /// Present exactly if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// All of them, the end's included.
    pub transitions: Vec<Transition>,
    /// Which walls stood.
    pub walls: Vec<WallFact>,
    /// How each limit was enforced.
    pub limits: Vec<LimitFact>,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The SHA-256 of the algorithm's bytes in hex, if they were fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm_sha256: Option<String>,
    /// What publish stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestFact>,
    /// Totals of the log.
    #[serde(default)]
    pub log: LogTotals,
}

/// The manifest of outputs that publish stored beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFact {
    /// Totals.
    #[serde(flatten)]
    pub totals: OutputTotals,
    /// Of the stored manifest, in hex.
    pub sha256: String,
}

/// A tombstone: the job was deleted, and everything else of it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Whose it was.
    pub owner: Owner,
    /// When.
    pub at: Timestamp,
}

/// The facts of a job that has been submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The commit.
    pub submitted: JobSpec,
    /// If there is one.
    pub stop: Option<Stop>,
    /// If it is decided.
    pub started: Option<Started>,
    /// If it has ended.
    pub ended: Option<Ended>,
    /// If it was deleted.
    pub deleted: Option<Deleted>,
}

/// What is seen of a job that has not ended: a process, containers, pods, and marks that its steps left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// When it was taken out of the queue.
    pub provisioning: Option<Timestamp>,
    /// When staging began.
    pub configuring: Option<Timestamp>,
    /// When publishing began.
    pub publishing: Option<Timestamp>,
    /// Whether anything of it runs.
    pub alive: bool,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// Which walls stand, as far as it is known.
    pub walls: Vec<WallFact>,
    /// How each limit is enforced, as far as it is known.
    pub limits: Vec<LimitFact>,
    /// What it used so far.
    pub usage: Option<Usage>,
    /// Of the algorithm's bytes, once they are staged.
    pub algorithm_sha256: Option<String>,
}

impl Facts {
    /// The phases that the job has entered, in order, each with a time not before the one of the phase before.
    pub fn transitions(&self, seen: &Seen) -> Vec<Transition> {
        if let Some(ended) = &self.ended {
            return ended.transitions.clone();
        }
        let run = match &self.started {
            Some(Started::Run { at, .. }) => Some(*at),
            _ => None,
        };
        let publishing = seen.publishing.filter(|_| run.is_some());
        let entered = [
            (Phase::Queued, Some(self.submitted.created_at)),
            (Phase::Provisioning, seen.provisioning),
            (Phase::Configuring, seen.configuring),
            (Phase::Running, run),
            (Phase::Publishing, publishing),
        ];
        let mut latest = self.submitted.created_at;
        let mut transitions = Vec::with_capacity(6);
        for (phase, at) in entered {
            if let Some(at) = at {
                latest = latest.max(at);
                transitions.push(Transition { id: phase.number(), phase, at: latest });
            }
        }
        transitions
    }

    /// The transitions of a job that ends at `at` with `phase`: those so far, and the end.
    pub fn transitions_to_end(&self, seen: &Seen, phase: Phase, at: Timestamp) -> Vec<Transition> {
        let mut transitions = self.transitions(seen);
        let at = transitions.last().map_or(at, |last| last.at.max(at));
        transitions.push(Transition { id: phase.number(), phase, at });
        transitions
    }

    /// The job as it is shown. The phase never goes back, whatever is seen: it is the furthest one entered.
    pub fn job(&self, seen: &Seen) -> Job {
        let spec = &self.submitted;
        let transitions = self.transitions(seen);
        let ended = self.ended.as_ref();
        let (started_at, image_digest) = match &self.started {
            Some(Started::Run { at, image_digest }) => (Some(*at), image_digest.clone()),
            _ => (None, None),
        };
        let sha256 = ended.map_or(&seen.algorithm_sha256, |ended| &ended.algorithm_sha256);
        Job {
            id: spec.id,
            owner: spec.owner.clone(),
            spec_version: spec.version,
            request: spec.request.clone(),
            phase: transitions.last().map_or(Phase::Queued, |last| last.phase),
            reason: ended.and_then(|ended| ended.reason.clone()),
            created_at: spec.created_at,
            started_at,
            stop_requested_at: self.stop.map(|stop| stop.at),
            ended_at: ended.map(|ended| ended.at),
            waiting: if ended.is_some() { None } else { seen.waiting.clone() },
            datasets: spec
                .datasets
                .iter()
                .map(|dataset| DatasetView { did: dataset.did.clone(), agreement: dataset.agreement.clone() })
                .collect(),
            algorithm: AlgorithmView {
                kind: spec.algorithm.kind,
                did: spec.algorithm.did.clone(),
                sha256: spec.algorithm.sha256.clone().or_else(|| sha256.clone()),
                image: spec.algorithm.image.to_string(),
                image_digest,
            },
            limits: ended.map_or(&seen.limits, |ended| &ended.limits).clone(),
            walls: ended.map_or(&seen.walls, |ended| &ended.walls).clone(),
            usage: ended.map_or(seen.usage, |ended| ended.usage),
            outputs: ended.and_then(|ended| ended.manifest.as_ref().map(|manifest| manifest.totals)),
            log: ended.map(|ended| ended.log),
            transitions,
        }
    }

    /// When this job fails if it stays as it is, and with which reason; `None` while nothing limits it but the wall time,
    /// which is enforced where it runs.
    pub fn deadline(&self, seen: &Seen) -> Option<(Timestamp, Reason)> {
        if self.started.is_some() || self.ended.is_some() {
            return None;
        }
        let deadlines = self.submitted.deadlines;
        let (since, seconds) = match seen.provisioning {
            None => (self.submitted.created_at, deadlines.queue_s),
            Some(at) => (at, deadlines.provisioning_s),
        };
        let at = since
            .checked_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
            .unwrap_or(Timestamp::MAX);
        let reason = if seen.provisioning.is_none() {
            Reason::QueueDeadline { message: format!("It waited in the queue for more than {seconds} seconds.") }
        } else {
            let words = seen.waiting.as_ref().map_or(String::new(), |waiting| format!(" {}", waiting.message));
            Reason::ProvisioningDeadline { message: format!("It was not ready to run after {seconds} seconds.{words}") }
        };
        Some((at, reason))
    }
}

/// An open job in the eyes of [`admitted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its commit.
    pub created_at: Timestamp,
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub owner: Owner,
}

/// The open jobs that may occupy a slot: in the order of (commit time, id), each of which fewer than
/// `jobs_per_consumer` of its owner's and fewer than `jobs` in all were admitted before. Every gateway computes the same
/// set; no lock is needed.
pub fn admitted(mut open: Vec<Open>, quotas: &Quotas) -> HashSet<JobId> {
    open.sort_by_key(|job| (job.created_at, job.id));
    let mut owners: HashMap<Owner, usize> = HashMap::new();
    let mut admitted = HashSet::new();
    for job in open {
        if admitted.len() >= quotas.jobs {
            break;
        }
        let of_owner = owners.entry(job.owner).or_default();
        if *of_owner < quotas.jobs_per_consumer {
            *of_owner += 1;
            admitted.insert(job.id);
        }
    }
    admitted
}

/// What a job that is not admitted waits for.
pub fn waiting_for_slot(spec: &JobSpec) -> Waiting {
    let seconds = i64::try_from(spec.deadlines.queue_s).unwrap_or(i64::MAX);
    Waiting {
        what: WaitingFor::Slot,
        message: "It waits for its turn.".to_owned(),
        deadline: spec.created_at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(second: i64, id: u8, owner: &str) -> Open {
        Open {
            created_at: Timestamp::from_second(second).unwrap(),
            id: format!("{id:032x}").parse().unwrap(),
            owner: owner.parse().unwrap(),
        }
    }

    #[test]
    fn one_owner_never_takes_all_slots_and_order_decides() {
        let quotas = Quotas { jobs: 3, jobs_per_consumer: 2, ..Quotas::default() };
        let jobs = vec![open(4, 4, "b"), open(1, 1, "a"), open(2, 3, "a"), open(2, 2, "a"), open(5, 5, "c")];
        let mut got: Vec<_> = admitted(jobs, &quotas).into_iter().collect();
        got.sort();
        assert_eq!(got, [open(1, 1, "a").id, open(2, 2, "a").id, open(4, 4, "b").id]);
    }
}
