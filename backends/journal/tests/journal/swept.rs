//! What time removes, and what it must leave.

use std::sync::Arc;

use brizo_backend::facts::Started;
use brizo_backend::{JobFilter, OutputTotals, Phase, SPEC_VERSION};
use brizo_journal::Journal;
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, Place, ended, id, keys, list, spec};
use crate::probe::{Fault, Probe};

/// Otherwise a submit that is under way is swept, or one that failed stays for ever.
#[tokio::test]
async fn debris_goes_after_ten_minutes() {
    let (store, hand) = (Probe::default(), Hand::new());
    let journal = hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap());
    let place = Place::Objects(Arc::new(store.clone()));
    // The write of the commit fails.
    store.fail(4, Fault::Before);
    journal.submit(&spec(1, "0xa")).await.unwrap_err();
    assert_eq!(place.files().await.len(), 4);
    hand.pass(SignedDuration::from_mins(9));
    assert!(journal.debris(10).await.unwrap().is_empty());
    // Another attempt goes through; what the first one left is not the job's.
    journal.submit(&spec(1, "0xa")).await.unwrap();
    hand.pass(SignedDuration::from_mins(2));
    let debris = journal.debris(10).await.unwrap();
    assert_eq!(debris.iter().map(|debris| (debris.id, debris.jobless)).collect::<Vec<_>>(), [(id(1), false)]);
    journal.clear(&debris[0]).await.unwrap();
    assert_eq!(place.files().await.len(), 5);
    hand.pass(SignedDuration::from_hours(48));
    assert!(journal.debris(10).await.unwrap().is_empty());
    assert_eq!(list(&journal, &JobFilter::default(), 10, None).await.unwrap().jobs.len(), 1);
    assert_eq!(journal.open_jobs().await.unwrap().len(), 1);
}

/// Otherwise one provider's gateway would remove another's jobs.
#[tokio::test]
async fn another_providers_jobs_are_never_touched() {
    for place in Place::both() {
        let hand = Hand::new();
        let ours = hand.on(place.journal());
        ours.submit(&spec(1, "0xa")).await.unwrap();
        let facts = ours.submit(&spec(2, "0xa")).await.unwrap().into_facts();
        ours.end(&id(2), &ended(&facts, Phase::Failed, ours.now())).await.unwrap();
        let files = place.files().await;
        let theirs = hand.on(match &place {
            Place::Folder(folder) => Journal::local(folder.path(), "0x1", keys()).unwrap(),
            Place::Objects(objects) => Journal::over(objects.clone(), "0x1", keys()).unwrap(),
        });
        hand.pass(SignedDuration::from_hours(1000));
        assert_eq!(theirs.facts(&id(1)).await.unwrap(), None);
        assert_eq!(theirs.delete(&id(1)).await.unwrap(), None);
        theirs.sweep().await.unwrap();
        assert!(theirs.debris(10).await.unwrap().is_empty());
        assert!(theirs.ended_before(theirs.now(), 10).await.unwrap().is_empty());
        assert_eq!(place.files().await, files);
    }
}

/// Otherwise jobs are removed before their time, or what an owner keeps is counted wrongly.
#[tokio::test]
async fn old_ends_come_first_and_what_is_kept_is_summed() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        for n in 0..6 {
            let facts = journal.submit(&spec(n, ["0xa", "0xb"][n as usize % 2])).await.unwrap().into_facts();
            let mut ended = ended(&facts, Phase::Succeeded, journal.now());
            ended.manifest = Some(brizo_backend::facts::ManifestFact {
                totals: OutputTotals { count: 1, bytes: 100, skipped: 0 },
                sha256: "0".repeat(64),
            });
            // The last one still runs.
            if n < 5 {
                journal.end(&id(n), &ended).await.unwrap();
            }
            hand.pass(SignedDuration::from_hours(24));
        }
        let before = journal.now().checked_sub(SignedDuration::from_hours(60)).unwrap();
        let old = journal.ended_before(before, 10).await.unwrap();
        assert_eq!(old.iter().map(|facts| facts.submitted.id).collect::<Vec<_>>(), [id(0), id(1), id(2), id(3)]);
        assert_eq!(journal.ended_before(before, 2).await.unwrap().len(), 2);
        let kept = journal.kept().await.unwrap();
        let of = |owner: &str| kept[&owner.parse::<brizo_backend::Owner>().unwrap().label()];
        assert_eq!((of("0xa"), of("0xb")), (3 * 106, 2 * 106));
        journal.delete(&id(0)).await.unwrap();
        journal.forget(&id(0)).await.unwrap();
        assert_eq!(journal.ended_before(before, 10).await.unwrap().len(), 3);
        assert_eq!(journal.kept().await.unwrap()[&"0xa".parse::<brizo_backend::Owner>().unwrap().label()], 2 * 106);
    }
}

/// Otherwise the backend's part of a deleted job would never be found again.
#[tokio::test]
async fn a_tombstone_stays_while_the_folder_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::new();
    let journal = hand.on(Journal::local(folder.path(), PROVIDER, keys()).unwrap());
    journal.submit(&spec(1, "0xa")).await.unwrap();
    let volume = journal.folder(&id(1)).unwrap().join("volume");
    std::fs::create_dir(&volume).unwrap();
    journal.delete(&id(1)).await.unwrap();
    journal.forget(&id(1)).await.unwrap();
    hand.pass(SignedDuration::from_hours(25));
    assert_eq!(journal.sweep().await.unwrap(), [id(1)]);
    assert!(journal.tombstone(&id(1)).await.unwrap().is_some());
    std::fs::remove_dir(&volume).unwrap();
    assert!(journal.sweep().await.unwrap().is_empty());
    assert!(journal.tombstone(&id(1)).await.unwrap().is_none());
    assert!(!journal.folder(&id(1)).unwrap().exists());
}

/// Otherwise an upgrade that is rolled back would fail or remove the jobs that the newer version took.
#[tokio::test]
async fn a_newer_versions_job_is_shown_and_not_swept() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        let mut newer = spec(1, "0xa");
        newer.version = SPEC_VERSION + 1;
        let facts = journal.submit(&newer).await.unwrap().into_facts();
        assert!(!brizo_journal::may_drive(&facts));
        let started = Started::Run { at: journal.now(), image_digest: None };
        journal.start(&id(1), &started).await.unwrap();
        journal.end(&id(1), &ended(&facts, Phase::Succeeded, journal.now())).await.unwrap();
        hand.pass(SignedDuration::from_hours(1000));
        assert!(journal.ended_before(journal.now(), 10).await.unwrap().is_empty());
        let jobs = list(&journal, &JobFilter::default(), 10, None).await.unwrap().jobs;
        assert_eq!(jobs[0].spec_version, SPEC_VERSION + 1);
    }
}
