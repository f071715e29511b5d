//! Every write fails once, and every process dies at every point: nothing is lost that was promised, nothing is half
//! there, and nothing stays for ever.

use std::sync::Arc;
use std::task::{Context, Waker};

use brizo_backend::facts::Started;
use brizo_backend::{ErrorKind, JobFilter, Phase, Result};
use brizo_journal::Journal;
use futures::FutureExt;
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, Place, ended, id, keys, list, spec};
use crate::probe::{Fault, Probe};

/// How far the life of a job came: what was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promised {
    Nothing,
    Submitted,
    Started,
    Stopped,
    Ended,
    Deleted,
    Forgotten,
}

async fn live(journal: &Journal, promised: &std::sync::Mutex<Promised>) -> Result<()> {
    let reach = |reached| *promised.lock().unwrap() = reached;
    let job = id(1);
    let facts = journal.submit(&spec(1, "0xa")).await?.into_facts();
    reach(Promised::Submitted);
    journal.start(&job, &Started::Run { at: journal.now(), image_digest: None }).await?;
    reach(Promised::Started);
    journal.stop(&job).await?;
    reach(Promised::Stopped);
    journal.end(&job, &ended(&facts, Phase::Stopped, journal.now())).await?;
    reach(Promised::Ended);
    journal.delete(&job).await?;
    reach(Promised::Deleted);
    journal.forget(&job).await?;
    reach(Promised::Forgotten);
    Ok(())
}

/// What another gateway finds.
fn check(store: &Probe, hand: &Hand, promised: Promised, place: &str) {
    let wait = futures::executor::block_on::<std::pin::Pin<Box<dyn Future<Output = ()>>>>;
    let journal = hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap());
    let files = Place::Objects(Arc::new(store.clone()));
    wait(Box::pin(async move {
        let facts = journal.facts(&id(1)).await.unwrap();
        let listed = list(&journal, &JobFilter::default(), 10, None).await.unwrap().jobs.len();
        let open = journal.open_jobs().await.unwrap().len();
        let alive = facts.clone().filter(|facts| facts.deleted.is_none());
        if promised < Promised::Deleted {
            assert!(alive.is_some() || promised == Promised::Nothing || facts.is_some(), "{place}: lost");
        } else {
            assert!(alive.is_none(), "{place}: back");
        }
        if let Some(alive) = &alive {
            assert_eq!(listed, 1, "{place}: half there");
            assert_eq!(open, usize::from(alive.ended.is_none()), "{place}: half there");
            assert!(promised < Promised::Started || alive.started.is_some(), "{place}");
            assert!(promised < Promised::Stopped || alive.stop.is_some(), "{place}");
            assert!(promised < Promised::Ended || alive.ended.is_some(), "{place}");
            assert_eq!(journal.secrets(&id(1)).await.unwrap(), spec(1, "0xa").secrets);
        } else {
            assert_eq!((listed, open), (0, 0), "{place}");
        }
        // The same submit again finds the job, or makes it, or is told that it was deleted.
        match journal.submit(&spec(1, "0xa")).await {
            Ok(_) => {
                assert!(promised < Promised::Deleted, "{place}");
                let listed = list(&journal, &JobFilter::default(), 10, None).await.unwrap().jobs.len();
                assert_eq!(listed, 1, "{place}: listed by an entry of the attempt that failed");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::JobDeleted, "{place}"),
        }
        // Whoever drives finishes what was begun.
        journal.delete(&id(1)).await.unwrap();
        for job in journal.deleting(10).await.unwrap() {
            journal.forget(&job).await.unwrap();
        }
        hand_over(&journal).await;
        assert_eq!(files.files().await, Vec::<String>::new(), "{place}: debris");
    }));
}

/// What `drive` does a day later.
async fn hand_over(journal: &Journal) {
    let later = journal.clone().with_clock({
        let now = journal.now().checked_add(SignedDuration::from_hours(25)).unwrap();
        Arc::new(move || now)
    });
    for _ in 0..2 {
        assert_eq!(later.sweep().await.unwrap(), []);
        for debris in later.debris(10).await.unwrap() {
            later.clear(&debris).await.unwrap();
        }
        later.ended_before(later.now(), 10).await.unwrap();
    }
}

/// Otherwise a hiccup of the store loses a job, or leaves one that no list shows.
#[test]
fn every_write_fails_once() {
    for fault in [Fault::Before, Fault::After] {
        for writes_before in 0.. {
            let (store, hand) = (Probe::default(), Hand::new());
            let journal = hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap());
            store.fail(writes_before, fault);
            let promised = std::sync::Mutex::new(Promised::Nothing);
            let lived = futures::executor::block_on(live(&journal, &promised));
            let came = !store.mend();
            assert!(lived.is_err() || !came || fault == Fault::After, "write {writes_before} failed unseen");
            if let Err(error) = &lived {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
            hand.pass(SignedDuration::from_secs(1));
            check(&store, &hand, *promised.lock().unwrap(), &format!("{fault:?} {writes_before}"));
            if !came {
                assert!(writes_before > 20);
                break;
            }
        }
    }
}

/// Otherwise a gateway that is killed loses a job, or leaves one that no list shows.
#[test]
fn the_gateway_dies_at_every_point() {
    for steps in 0.. {
        let (store, hand) = (Probe::default(), Hand::new());
        let journal = hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap());
        let promised = std::sync::Mutex::new(Promised::Nothing);
        let mut life = live(&journal, &promised).boxed();
        let mut context = Context::from_waker(Waker::noop());
        let mut ended = false;
        for _ in 0..steps {
            if life.poll_unpin(&mut context).is_ready() {
                ended = true;
                break;
            }
        }
        drop(life);
        hand.pass(SignedDuration::from_secs(1));
        check(&store, &hand, *promised.lock().unwrap(), &format!("step {steps}"));
        if ended {
            assert!(steps > 20);
            break;
        }
    }
}
