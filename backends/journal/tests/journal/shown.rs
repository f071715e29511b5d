//! What lists and single jobs show, whatever was written.

use brizo_backend::{ErrorKind, JobFilter, Phase, SPEC_VERSION};
use brizo_journal::Journal;
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, Place, agreement, ended, id, keys, list, pages, spec};

/// Otherwise somebody else's jobs would be shown, or one's own not.
#[tokio::test]
async fn each_filter_leaves_out_exactly_what_it_should() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        let mut times = Vec::new();
        for n in 0..12 {
            let facts = journal.submit(&spec(n, ["0xa", "0xb"][n as usize % 2])).await.unwrap().into_facts();
            times.push(facts.submitted.created_at);
            if n % 4 == 0 {
                journal.end(&id(n), &ended(&facts, Phase::Failed, journal.now())).await.unwrap();
            }
            hand.pass(SignedDuration::from_mins(7));
        }
        let ids = async |filter: JobFilter| {
            let pages = pages(&journal, &filter, 2).await;
            pages.into_iter().flatten().map(|job| job.id).collect::<Vec<_>>()
        };
        let newest_first =
            |wanted: &dyn Fn(u64) -> bool| (0..12).rev().filter(|n| wanted(*n)).map(id).collect::<Vec<_>>();
        let all = JobFilter::default();
        let owner = || Some("0xa".parse().unwrap());
        assert_eq!(ids(all.clone()).await, newest_first(&|_| true));
        assert_eq!(ids(JobFilter { owner: owner(), ..all.clone() }).await, newest_first(&|n| n % 2 == 0));
        let bought = JobFilter { agreement: Some(agreement(1)), ..all.clone() };
        assert_eq!(ids(bought.clone()).await, newest_first(&|n| n % 3 == 1));
        assert_eq!(ids(JobFilter { owner: owner(), ..bought }).await, newest_first(&|n| n % 3 == 1 && n % 2 == 0));
        let failed = JobFilter { phases: vec![Phase::Failed], ..all.clone() };
        assert_eq!(ids(failed).await, newest_first(&|n| n % 4 == 0));
        let queued = JobFilter { phases: vec![Phase::Queued], owner: owner(), ..all.clone() };
        assert_eq!(ids(queued).await, newest_first(&|n| n % 4 == 2));
        let young = JobFilter { created_after: Some(times[5]), ..all.clone() };
        assert_eq!(ids(young).await, newest_first(&|n| n >= 5));
        let nobody = JobFilter { owner: Some("0xc".parse().unwrap()), ..all };
        assert_eq!(pages(&journal, &nobody, 2).await, [Vec::new()]);
    }
}

/// Otherwise whoever reads page after page misses a job, or sees one twice, because somebody submits.
#[tokio::test]
async fn pages_hold_still_while_others_are_submitted() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        for n in 0..20 {
            journal.submit(&spec(n, "0xa")).await.unwrap();
            hand.pass(SignedDuration::from_secs(100));
        }
        let mut seen = Vec::new();
        let mut cursor = None;
        for n in 20.. {
            let page = list(&journal, &JobFilter::default(), 3, cursor).await.unwrap();
            seen.extend(page.jobs.iter().map(|job| job.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            // One is new, and the one where the page ended is deleted.
            journal.submit(&spec(n, "0xa")).await.unwrap();
            hand.pass(SignedDuration::from_secs(100));
            let last = *seen.last().unwrap();
            journal.delete(&last).await.unwrap();
            journal.forget(&last).await.unwrap();
        }
        assert_eq!(seen, (0..20).rev().map(id).collect::<Vec<_>>());
    }
}

/// Otherwise a client could make up positions, or one gateway would refuse another's cursors.
#[tokio::test]
async fn a_cursor_is_taken_as_it_was_given_or_not_at_all() {
    for place in Place::both() {
        let journal = place.journal();
        for n in 0..3 {
            journal.submit(&spec(n, "0xa")).await.unwrap();
        }
        let filter = JobFilter::default();
        let cursor = list(&journal, &filter, 1, None).await.unwrap().next.unwrap();
        assert_eq!(list(&place.journal(), &filter, 10, Some(cursor.clone())).await.unwrap().jobs.len(), 2);
        let mut bad = vec![String::new(), "x".to_owned(), "ü".to_owned(), cursor[1..].to_owned(), format!("{cursor}A")];
        for at in 0..cursor.len() {
            let other = if &cursor[at..=at] == "A" { "Q" } else { "A" };
            bad.push(format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]));
        }
        for bad in bad {
            let error = list(&journal, &filter, 10, Some(bad.clone())).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCursor, "{bad}");
        }
    }
}

/// Otherwise one damaged file, or one job of a newer version, would hide all others.
#[tokio::test]
async fn what_cannot_be_read_hides_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::local(folder.path(), PROVIDER, keys()).unwrap();
    for n in 0..4 {
        journal.submit(&spec(n, "0xa")).await.unwrap();
    }
    let fact = |n: u64, name: &str| journal.folder(&id(n)).unwrap().join(name);
    std::fs::write(fact(0, "submitted"), b"\0\0\0").unwrap();
    // Of another job, as after a careless copy.
    std::fs::copy(fact(3, "submitted"), fact(1, "submitted")).unwrap();
    // Of a version that changed everything but the header.
    let text = std::fs::read(fact(2, "submitted")).unwrap();
    let line = text.split(|b| *b == b'\n').next().unwrap();
    let mut newer: serde_json::Value = serde_json::from_slice(line).unwrap();
    newer["version"] = (SPEC_VERSION + 1).into();
    newer["algorithm"] = serde_json::json!({"stages": []});
    newer["datasets"] = serde_json::json!({"by": "name"});
    newer["deadlines"] = serde_json::Value::Null;
    std::fs::write(fact(2, "submitted"), format!("{newer}\nsealed")).unwrap();
    let end = serde_json::json!({
        "at": "2030-01-01T00:00:00Z", "phase": "failed", "reason": {"type": "cosmic_ray"}, "walls": "all"
    });
    std::fs::write(fact(2, "ended"), format!("{end}\n")).unwrap();

    let fresh = Journal::local(folder.path(), PROVIDER, keys()).unwrap();
    let jobs = list(&fresh, &JobFilter::default(), 10, None).await.unwrap().jobs;
    let mut ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    ids.sort();
    assert_eq!(ids, [id(2), id(3)]);
    let newer = jobs.iter().find(|job| job.id == id(2)).unwrap();
    assert_eq!(newer.spec_version, SPEC_VERSION + 1);
    assert_eq!(newer.datasets[0].agreement, agreement(2));
    assert_eq!(newer.reason.as_ref().unwrap().kind(), "unknown");
    let agreement = JobFilter { agreement: Some(agreement(2)), ..JobFilter::default() };
    assert_eq!(list(&fresh, &agreement, 10, None).await.unwrap().jobs.len(), 1);
    for n in [0, 1] {
        assert_eq!(fresh.facts(&id(n)).await.unwrap_err().kind(), ErrorKind::Internal);
    }
    assert_eq!(fresh.open_jobs().await.unwrap().len(), 1);
}
