//! The life of a job: commit, facts, end, deletion.

use brizo_backend::facts::{Started, VoidCause};
use brizo_backend::{ErrorKind, JobFilter, Phase};
use brizo_journal::{Journal, Keys, LocalJob, Submitted};
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, Place, SECRET, ended, id, list, pages, spec};

fn run(journal: &Journal) -> Started {
    Started::Run { at: journal.now(), image_digest: None }
}

/// Otherwise a retried submit would run twice, or another request would get the old job.
#[tokio::test]
async fn submit_is_idempotent_and_refuses_another_request() {
    for place in Place::both() {
        let journal = place.journal();
        let Submitted::New(facts) = journal.submit(&spec(1, "0xa")).await.unwrap() else { panic!() };
        assert_eq!(facts.submitted.secrets, brizo_backend::Secrets::default());
        let again = place.journal();
        assert_eq!(again.submit(&spec(1, "0xa")).await.unwrap(), Submitted::Existing(facts.clone()));
        let mut other = spec(1, "0xa");
        other.request.0.push('0');
        assert_eq!(again.submit(&other).await.unwrap_err().kind(), ErrorKind::KeyReused);
        assert_eq!(journal.facts(&id(1)).await.unwrap(), Some(facts));
        assert_eq!(journal.facts(&id(2)).await.unwrap(), None);
        // open, all, owner, agreement, submitted
        assert_eq!(place.files().await.len(), 5, "{:?}", place.files().await);
    }
}

/// Otherwise the URLs of the data would lie open on the disk, or be lost when the seal key changes.
#[tokio::test]
async fn secrets_are_sealed_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::local(folder.path(), PROVIDER, Keys::new(&[1; 32], &[])).unwrap();
    journal.submit(&spec(1, "0xa")).await.unwrap();
    let bytes = std::fs::read(journal.folder(&id(1)).unwrap().join("submitted")).unwrap();
    for secret in [SECRET, "data.example", "print(1)"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let rekeyed = Journal::local(folder.path(), PROVIDER, Keys::new(&[2; 32], &[[1; 32]])).unwrap();
    assert_eq!(rekeyed.secrets(&id(1)).await.unwrap(), spec(1, "0xa").secrets);
    let stranger = Journal::local(folder.path(), PROVIDER, Keys::new(&[3; 32], &[])).unwrap();
    assert_eq!(stranger.secrets(&id(1)).await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(stranger.secrets(&id(2)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Otherwise two gateways would each believe that it decided how a job goes.
#[tokio::test]
async fn who_comes_second_gets_the_first_ones_fact() {
    for place in Place::both() {
        let (one, two) = (place.journal(), place.journal());
        let facts = one.submit(&spec(1, "0xa")).await.unwrap().into_facts();
        let first = one.start(&id(1), &run(&one)).await.unwrap();
        assert!(first.ours);
        let void = Started::Void { at: two.now(), cause: VoidCause::Stop };
        let second = two.start(&id(1), &void).await.unwrap();
        assert!(!second.ours);
        assert_eq!(second.fact, first.fact);
        let stop = two.stop(&id(1)).await.unwrap().stop.unwrap();
        assert_eq!(one.stop(&id(1)).await.unwrap().stop, Some(stop));
        assert_eq!(one.open_jobs().await.unwrap().len(), 1);
        let end = one.end(&id(1), &ended(&facts, Phase::Stopped, one.now())).await.unwrap();
        assert_eq!(two.end(&id(1), &ended(&facts, Phase::Failed, two.now())).await.unwrap().fact, end.fact);
        assert!(two.open_jobs().await.unwrap().is_empty());
        let whole = two.facts(&id(1)).await.unwrap().unwrap();
        assert_eq!((whole.started, whole.stop, whole.ended), (Some(first.fact), Some(stop), Some(end.fact)));
    }
}

/// Otherwise stopping a job that has ended would show it as if its end had been asked for.
#[tokio::test]
async fn stop_after_the_end_changes_nothing() {
    for place in Place::both() {
        let journal = place.journal();
        let facts = journal.submit(&spec(1, "0xa")).await.unwrap().into_facts();
        journal.end(&id(1), &ended(&facts, Phase::Succeeded, journal.now())).await.unwrap();
        assert_eq!(journal.stop(&id(1)).await.unwrap().stop, None);
        assert_eq!(journal.facts(&id(1)).await.unwrap().unwrap().stop, None);
        assert_eq!(journal.stop(&id(2)).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// Otherwise a deleted job would come back, or leave something behind.
#[tokio::test]
async fn nothing_outlives_the_tombstone() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        let facts = journal.submit(&spec(1, "0xa")).await.unwrap().into_facts();
        let deleted = journal.delete(&id(1)).await.unwrap().unwrap();
        assert_eq!(deleted.started, Some(Started::Void { at: journal.now(), cause: VoidCause::Delete }));
        assert_eq!(journal.deleting(10).await.unwrap(), [id(1)]);
        assert!(list(&journal, &JobFilter::default(), 10, None).await.unwrap().jobs.is_empty());
        let late = journal.end(&id(1), &ended(&facts, Phase::Succeeded, journal.now())).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::JobDeleted);
        assert_eq!(journal.facts(&id(1)).await.unwrap().unwrap().ended, None);
        assert_eq!(journal.submit(&spec(1, "0xa")).await.unwrap_err().kind(), ErrorKind::JobDeleted);
        journal.forget(&id(1)).await.unwrap();
        journal.forget(&id(1)).await.unwrap();
        assert!(journal.deleting(10).await.unwrap().is_empty());
        assert_eq!(journal.tombstone(&id(1)).await.unwrap(), Some(facts.submitted.owner.clone()));
        assert_eq!(journal.submit(&spec(1, "0xa")).await.unwrap_err().kind(), ErrorKind::JobDeleted);
        let late = journal.end(&id(1), &ended(&facts, Phase::Succeeded, journal.now())).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::JobDeleted);
        // The tombstone and its entry.
        assert_eq!(place.files().await.len(), 2, "{:?}", place.files().await);
        hand.pass(SignedDuration::from_hours(23));
        assert!(journal.sweep().await.unwrap().is_empty());
        assert_eq!(place.files().await.len(), 2);
        hand.pass(SignedDuration::from_hours(2));
        assert!(journal.sweep().await.unwrap().is_empty());
        assert_eq!(place.files().await, Vec::<String>::new());
        let late = journal.end(&id(1), &ended(&facts, Phase::Succeeded, journal.now())).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::NotFound);
        assert_eq!(place.files().await, Vec::<String>::new());
        assert!(matches!(journal.submit(&spec(1, "0xa")).await.unwrap(), Submitted::New(_)));
    }
}

/// Otherwise the process of a job and the gateway would not understand each other.
#[test]
fn the_process_of_a_job_writes_the_same_facts() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let journal = Journal::local(folder.path(), PROVIDER, crate::common::keys()).unwrap();
    let facts = runtime.block_on(journal.submit(&spec(1, "0xa"))).unwrap().into_facts();
    let job = LocalJob::open(folder.path(), PROVIDER, id(1)).unwrap();
    assert_eq!(Some(job.folder()), journal.folder(&id(1)));
    assert!(job.start(&run(&journal)).unwrap().ours);
    assert!(!runtime.block_on(journal.start(&id(1), &run(&journal))).unwrap().ours);
    assert_eq!(job.stop().unwrap(), None);
    let stop = runtime.block_on(journal.stop(&id(1))).unwrap().stop;
    assert!(job.folder().join("stop").is_file());
    assert_eq!(job.stop().unwrap(), stop);
    let end = job.end(&ended(&facts, Phase::Stopped, journal.now())).unwrap();
    assert!(runtime.block_on(journal.open_jobs()).unwrap().is_empty());
    assert_eq!(runtime.block_on(journal.facts(&id(1))).unwrap().unwrap().ended, Some(end.fact.clone()));
    assert!(!job.is_deleted().unwrap());
    runtime.block_on(journal.delete(&id(1))).unwrap();
    assert!(job.folder().join("deleted").is_file());
    assert!(job.is_deleted().unwrap());
    assert_eq!(job.end(&end.fact).unwrap_err().kind(), ErrorKind::JobDeleted);
    assert_eq!(
        LocalJob::open(folder.path(), PROVIDER, id(2)).unwrap().end(&end.fact).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// Otherwise pages would hold a job twice, or not at all.
#[tokio::test]
async fn pages_are_in_order_and_whole() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        for n in 0..40 {
            journal.submit(&spec(n, if n % 2 == 0 { "0xa" } else { "0xb" })).await.unwrap();
            // Two at the same time, then a second, a minute, or a month.
            if n % 2 == 1 {
                hand.pass(SignedDuration::from_secs([1, 60, 2_592_000][n as usize % 3]));
            }
        }
        let all = pages(&journal, &JobFilter::default(), 7).await;
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7, 7, 7, 5]);
        let keys: Vec<_> = all.iter().flatten().map(|job| (job.created_at, job.id)).collect();
        let mut sorted = keys.clone();
        sorted.sort_by_key(|(at, id)| (std::cmp::Reverse(*at), *id));
        sorted.dedup();
        assert_eq!(keys, sorted);
        assert_eq!(keys.len(), 40);
        let owner = JobFilter { owner: Some("0xb".parse().unwrap()), ..JobFilter::default() };
        let of_owner = pages(&journal, &owner, 20).await;
        assert_eq!(of_owner.iter().map(Vec::len).collect::<Vec<_>>(), [20]);
        let bad = list(&journal, &owner, 7, Some("AQAA".to_owned())).await.unwrap_err();
        assert_eq!(bad.kind(), ErrorKind::InvalidCursor);
    }
}

/// Otherwise no backend could call the journal from its own futures. (Does not compile then.)
#[test]
fn all_futures_can_be_sent() {
    fn sent<T: Send>(_: T) {}
    fn all(journal: &'static Journal, spec: &'static brizo_backend::JobSpec) {
        sent(journal.submit(spec));
        sent(journal.facts(&spec.id));
        sent(journal.secrets(&spec.id));
        sent(journal.stop(&spec.id));
        sent(journal.delete(&spec.id));
        sent(journal.forget(&spec.id));
        sent(journal.deleting(1));
        sent(journal.open_jobs());
        sent(journal.count_open(&spec.owner));
        sent(journal.debris(1));
        sent(journal.sweep());
        sent(journal.ended_before(spec.created_at, 1));
        sent(journal.kept());
        sent(async {
            let backend = std::sync::Arc::new(());
            let (filter, page) = (JobFilter::default(), brizo_backend::Page { limit: 1, cursor: None });
            let view = |facts: brizo_backend::facts::Facts| {
                let backend = backend.clone();
                async move {
                    tokio::task::yield_now().await;
                    drop(backend);
                    Ok(facts.job(&brizo_backend::facts::Seen::default()))
                }
            };
            journal.list(&filter, &page, view).await
        });
    }
    let _ = all;
}

/// Otherwise a job of many datasets, or with much code, could be submitted and then not be read.
#[tokio::test]
async fn a_long_specification_comes_back_whole() {
    for place in Place::both() {
        let hand = Hand::new();
        let journal = hand.on(place.journal());
        let mut long = spec(1, "0xa");
        long.datasets = (0..100)
            .map(|n| brizo_backend::Dataset {
                did: format!("did:op:{n:064x}"),
                agreement: format!("0x{n:064x}").parse().unwrap(),
                files: 1,
            })
            .collect();
        let code = "print(1)\n".repeat(58_000);
        long.secrets.algorithm.as_mut().unwrap().source = brizo_backend::Source::Inline { code };
        journal.submit(&long).await.unwrap();
        let facts = place.journal().facts(&id(1)).await.unwrap().unwrap();
        assert_eq!(facts.submitted.datasets, long.datasets);
        assert_eq!(place.journal().secrets(&id(1)).await.unwrap(), long.secrets);
        for dataset in &long.datasets {
            let filter = JobFilter { agreement: Some(dataset.agreement.clone()), ..JobFilter::default() };
            assert_eq!(list(&journal, &filter, 10, None).await.unwrap().jobs.len(), 1);
        }
        journal.delete(&id(1)).await.unwrap();
        journal.forget(&id(1)).await.unwrap();
        assert_eq!(place.files().await.len(), 2);
    }
}
