use brizo_backend::facts::{Facts, Seen, Started, VoidCause};
use jiff::{SignedDuration, Timestamp};

/// What an open job needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// To wait.
    Nothing,
    /// The decision that it never runs.
    Void(VoidCause),
    /// Its end, since it never runs.
    EndVoid,
    /// A shim, unless it has one.
    Shim,
    /// Its end without outputs, unless a shim is at it: they could not be published in time.
    Unpublished,
}

/// How long a delete may take from its decision to its tombstone.
const TOMBSTONE: SignedDuration = SignedDuration::from_secs(10);

/// Of a job without an end, that may be driven.
pub(super) fn plan(facts: &Facts, seen: &Seen, admitted: bool, now: Timestamp) -> Action {
    match &facts.started {
        // Its tombstone follows at once; if whoever deletes it was killed between, it ends.
        Some(Started::Void { at, cause: VoidCause::Delete }) if now.duration_since(*at) < TOMBSTONE => {
            return Action::Nothing;
        }
        Some(Started::Void { .. }) => return Action::EndVoid,
        // Its end is its shim's to write; what a shim that was killed has left is another one's to finish.
        Some(Started::Run { .. }) => {
            let late = seen.publishing.is_some_and(|since| {
                let seconds = i64::try_from(facts.submitted.deadlines.publishing_s).unwrap_or(i64::MAX);
                now.duration_since(since) >= SignedDuration::from_secs(seconds)
            });
            return if late { Action::Unpublished } else { Action::Shim };
        }
        None => {}
    }
    if facts.stop.is_some() {
        return Action::Void(VoidCause::Stop);
    }
    if facts.deadline(seen).is_some_and(|(deadline, _)| now >= deadline) {
        return Action::Void(VoidCause::Deadline);
    }
    // One that was taken out of the queue never goes back, even if another clock admits another one.
    if admitted || seen.provisioning.is_some() { Action::Shim } else { Action::Nothing }
}

#[cfg(test)]
mod tests {
    use brizo_backend::facts::Stop;
    use brizo_backend::{
        Algorithm, AlgorithmKind, Dataset, Deadlines, Image, JobId, JobSpec, Limits, RequestDigest, SPEC_VERSION,
        Secrets,
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn facts() -> Facts {
        let image = Image { name: "sh".to_owned(), tag: "1".to_owned(), checksum: None };
        let submitted = JobSpec {
            version: SPEC_VERSION,
            id: JobId::random(),
            owner: "o".parse().unwrap(),
            request: RequestDigest("1:0".to_owned()),
            created_at: at(100),
            datasets: vec![Dataset { did: "did:op:a".to_owned(), agreement: "a".parse().unwrap(), files: 0 }],
            algorithm: Algorithm {
                kind: AlgorithmKind::Raw,
                did: None,
                sha256: None,
                image,
                entrypoint: "$ALGO".to_owned(),
            },
            limits: Limits { cpu_millis: 1, memory_bytes: 1, disk_bytes: 1, outputs_bytes: 1, wall_time_s: 1, gpu: 0 },
            deadlines: Deadlines { queue_s: 10, provisioning_s: 20, publishing_s: 1 },
            network: false,
            secrets: Secrets::default(),
        };
        Facts { submitted, stop: None, started: None, ended: None, deleted: None }
    }

    #[test]
    fn what_an_open_job_needs_next() {
        let queued = facts();
        let stopped = Facts { stop: Some(Stop { at: at(101) }), ..facts() };
        let runs = Facts { started: Some(Started::Run { at: at(102), image_digest: None }), ..stopped.clone() };
        let void = Facts { started: Some(Started::Void { at: at(102), cause: VoidCause::Stop }), ..facts() };
        let deleting = Facts { started: Some(Started::Void { at: at(102), cause: VoidCause::Delete }), ..facts() };
        let waits = Seen::default();
        let publishes = Seen { publishing: Some(at(499)), ..Seen::default() };
        let taken = Seen { provisioning: Some(at(105)), ..Seen::default() };
        let table = [
            (&queued, &waits, false, 101, Action::Nothing),
            (&queued, &waits, true, 101, Action::Shim),
            (&queued, &waits, false, 110, Action::Void(VoidCause::Deadline)),
            (&queued, &waits, true, 110, Action::Void(VoidCause::Deadline)),
            (&queued, &taken, false, 111, Action::Shim),
            (&queued, &taken, true, 125, Action::Void(VoidCause::Deadline)),
            (&stopped, &waits, true, 101, Action::Void(VoidCause::Stop)),
            (&stopped, &taken, true, 106, Action::Void(VoidCause::Stop)),
            (&runs, &taken, false, 500, Action::Shim),
            (&runs, &publishes, false, 499, Action::Shim),
            (&runs, &publishes, false, 500, Action::Unpublished),
            (&void, &taken, true, 106, Action::EndVoid),
            (&deleting, &waits, true, 106, Action::Nothing),
            (&deleting, &waits, true, 112, Action::EndVoid),
        ];
        for (n, (facts, seen, admitted, now, expected)) in table.into_iter().enumerate() {
            assert_eq!(plan(facts, seen, admitted, at(now)), expected, "row {n}");
        }
    }
}
