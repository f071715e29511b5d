//! A job in Ocean's words: the one place where phases become its numbers.

use brizo_backend::{Agreement, Job, JobId, Owner, Phase, Reason};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Ocean's number and text of a job.
///
/// Old clients take 31 and 32 for failures and 70 for done, and know no other end: a failure of staging is 31, one of the
/// algorithm's fetch or image 32, and every later end 70. The truth stands beside it, in `phase` and `reason`.
/// 30 ("Provisioning success") and 50 ("Filtering results") are moments that no client waits for; they are not shown.
pub(super) fn status(job: &Job) -> (u32, &'static str) {
    match (job.phase, &job.reason) {
        (Phase::Queued, _) => (10, "Job started"),
        (Phase::Provisioning | Phase::Configuring, _) => (20, "Configuring volumes"),
        (Phase::Running, _) => (40, "Running algorithm"),
        (Phase::Publishing, _) => (60, "Publishing results"),
        (Phase::Failed, Some(Reason::Inputs { .. })) => (31, "Data provisioning failed"),
        (Phase::Failed, Some(Reason::Algorithm { .. } | Reason::ImagePull { .. })) => {
            (32, "Algorithm provisioning failed")
        }
        (Phase::Succeeded | Phase::Failed | Phase::Stopped, _) => (70, "Job finished"),
    }
}

/// Links of a job, for those who see it.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    /// The log, once there is one.
    pub(super) log: Option<String>,
    /// The outputs, at most 1,000.
    pub(super) results: Vec<String>,
}

/// The status object of Operator-Service, with `resultsUrls` (the name that clients look for), `phase` and `reason` beside.
pub(super) fn object(job: &Job, links: &Links) -> Value {
    let (number, text) = status(job);
    let timed_out = matches!(job.reason, Some(Reason::WallTime { .. }));
    let stopreq = if timed_out { 2 } else { i32::from(job.stop_requested_at.is_some()) };
    let mut object = json!({
        "agreementId": job.datasets.first().map_or("", |dataset| dataset.agreement.as_str()),
        "jobId": job.id,
        "owner": job.owner,
        "status": number,
        "statusText": text,
        "dateCreated": epoch(job.created_at),
        "dateFinished": job.ended_at.map(epoch),
        "algorithmLogUrl": links.log,
        "resultsUrls": links.results,
        "resultsDid": "",
        "stopreq": stopreq,
        "removed": 0,
        "phase": job.phase.as_str(),
    });
    // Operator-Service says "" where there is nothing yet, and old clients have learnt to read that.
    object["resultsUrl"] = if links.results.is_empty() { json!("") } else { object["resultsUrls"].clone() };
    if let Some(reason) = &job.reason {
        object["reason"] = json!(reason);
    }
    object
}

/// What is left to say of a job that was deleted before.
pub(super) fn removed(id: &JobId, owner: &Owner, agreement: Option<&Agreement>) -> Value {
    json!({
        "agreementId": agreement.map_or("", Agreement::as_str),
        "jobId": id,
        "owner": owner,
        "status": 70,
        "statusText": "Job finished",
        "dateCreated": null,
        "dateFinished": null,
        "algorithmLogUrl": null,
        "resultsUrl": "",
        "resultsUrls": [],
        "resultsDid": "",
        "stopreq": 0,
        "removed": 1,
    })
}

/// Seconds since 1970, with a fraction.
fn epoch(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use brizo_backend::{AlgorithmKind, AlgorithmView, DatasetView, RequestDigest};

    use super::*;

    fn job(phase: Phase, reason: Option<Reason>) -> Job {
        Job {
            id: "0123456789abcdef0123456789abcdef".parse::<JobId>().unwrap(),
            owner: "0xab".parse().unwrap(),
            spec_version: 1,
            request: RequestDigest("1:00".to_owned()),
            phase,
            reason,
            created_at: Timestamp::from_millisecond(1_588_888_888_123).unwrap(),
            started_at: None,
            stop_requested_at: None,
            ended_at: None,
            waiting: None,
            datasets: vec![DatasetView { did: "did:op:00".to_owned(), agreement: "0x01".parse().unwrap() }],
            algorithm: AlgorithmView {
                kind: AlgorithmKind::Raw,
                did: None,
                sha256: None,
                image: "python:3".to_owned(),
                image_digest: None,
            },
            limits: vec![],
            walls: vec![],
            usage: None,
            outputs: None,
            log: None,
            transitions: vec![],
        }
    }

    #[test]
    fn old_clients_learn_of_a_failed_staging_and_of_an_end() {
        let why = || "why".to_owned();
        let failed = |reason| status(&job(Phase::Failed, Some(reason))).0;
        assert_eq!(failed(Reason::Inputs { message: why() }), 31);
        assert_eq!(failed(Reason::Algorithm { message: why() }), 32);
        assert_eq!(failed(Reason::ImagePull { message: why() }), 32);
        assert_eq!(failed(Reason::exit_code(3)), 70);
        assert_eq!(failed(Reason::QueueDeadline { message: why() }), 70);
        assert_eq!(status(&job(Phase::Stopped, None)).0, 70);
        assert_eq!(status(&job(Phase::Running, None)), (40, "Running algorithm"));
    }

    #[test]
    fn the_object_has_exactly_the_keys_that_old_clients_know_and_the_truth_beside() {
        let object = object(&job(Phase::Queued, None), &Links::default());
        let keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        let mut wanted = vec![
            "agreementId",
            "jobId",
            "owner",
            "status",
            "statusText",
            "dateCreated",
            "dateFinished",
            "algorithmLogUrl",
            "resultsUrl",
            "resultsUrls",
            "resultsDid",
            "stopreq",
            "removed",
            "phase",
        ];
        let mut got = keys.clone();
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted);
        let gone = removed(&JobId::random(), &"0xab".parse().unwrap(), None);
        assert!(gone.as_object().unwrap().keys().all(|key| got.contains(&key.as_str())));
        assert_eq!(object["dateCreated"], json!(1_588_888_888.123));
        assert_eq!(object["dateFinished"], Value::Null);
        assert_eq!(object["resultsUrl"], json!(""));
        assert_eq!(object["resultsUrls"], json!([]));
    }

    #[test]
    fn a_job_over_time_says_so_in_stopreq() {
        let over = Reason::WallTime { message: String::new() };
        assert_eq!(object(&job(Phase::Failed, Some(over)), &Links::default())["stopreq"], json!(2));
    }
}
