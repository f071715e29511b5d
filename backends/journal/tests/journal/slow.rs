//! A gateway that sleeps in the middle of an operation, while others go on.

use std::sync::Arc;
use std::task::{Context, Waker};

use brizo_backend::facts::{Started, VoidCause};
use brizo_backend::{ErrorKind, JobFilter, Phase, Result};
use brizo_journal::Journal;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, Place, ended, id, keys, list, spec};
use crate::probe::Probe;

/// Polls `work` for `steps` operations; whether it came to its end, and with what.
fn begin<T>(work: &mut BoxFuture<'_, T>, steps: usize) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).find_map(|_| match work.poll_unpin(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    })
}

fn open(store: &Probe, hand: &Hand) -> Journal {
    hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap())
}

fn sweep(journal: &Journal) {
    block_on(async {
        assert_eq!(journal.sweep().await.unwrap(), []);
        for debris in journal.debris(10).await.unwrap() {
            journal.clear(&debris).await.unwrap();
        }
    });
}

/// Otherwise a submit that hangs for ten minutes would be swept halfway, and make a job that no list shows and nobody
/// drives.
#[test]
fn a_commit_that_comes_late_is_no_debris() {
    for steps in 0.. {
        let (store, hand) = (Probe::default(), Hand::new());
        let (sleeper, other) = (open(&store, &hand), open(&store, &hand));
        let submitted = spec(1, "0xa");
        let mut submit = sleeper.submit(&submitted).boxed();
        let ended = begin(&mut submit, steps).is_some();
        hand.pass(SignedDuration::from_mins(11));
        sweep(&other);
        if !ended {
            block_on(submit).unwrap();
        }
        assert_eq!(block_on(list(&other, &JobFilter::default(), 10, None)).unwrap().jobs.len(), 1, "step {steps}");
        assert_eq!(block_on(other.open_jobs()).unwrap().len(), 1, "step {steps}");
        if ended {
            assert!(steps > 5);
            break;
        }
    }
}

/// The same, with the sweeper asleep.
#[test]
fn a_sweep_that_comes_late_takes_no_job() {
    for steps in 0.. {
        let (store, hand) = (Probe::default(), Hand::new());
        let (first, sweeper) = (open(&store, &hand), open(&store, &hand));
        let submitted = spec(1, "0xa");
        // Up to its commit, which is the write that comes next.
        let mut submit = first.submit(&submitted).boxed();
        assert!(begin(&mut submit, 4).is_none());
        hand.pass(SignedDuration::from_mins(11));
        let debris = block_on(sweeper.debris(10)).unwrap();
        assert_eq!(debris.len(), 1);
        let mut clear = sweeper.clear(&debris[0]).boxed();
        let ended = begin(&mut clear, steps).is_some();
        block_on(submit).unwrap();
        if !ended {
            block_on(clear).unwrap();
        }
        assert_eq!(block_on(list(&sweeper, &JobFilter::default(), 10, None)).unwrap().jobs.len(), 1, "step {steps}");
        assert_eq!(block_on(sweeper.open_jobs()).unwrap().len(), 1, "step {steps}");
        if ended {
            assert!(steps > 5);
            break;
        }
    }
}

/// Otherwise the end of a job that was deleted, and whose tombstone has gone, would end the next job of the same key.
#[test]
fn what_is_written_after_the_tombstone_has_gone_is_taken_back() {
    type Late = for<'a> fn(&'a Journal) -> BoxFuture<'a, Result<()>>;
    let writers: [Late; 3] = [
        |journal| {
            let at = journal.now();
            async move {
                journal.start(&id(1), &Started::Void { at, cause: VoidCause::Deadline }).await?;
                Ok(())
            }
            .boxed()
        },
        |journal| async move { journal.stop(&id(1)).await.map(drop) }.boxed(),
        |journal| {
            async move {
                let Some(facts) = journal.facts(&id(1)).await? else { return Ok(()) };
                journal.end(&id(1), &ended(&facts, Phase::Failed, journal.now())).await?;
                Ok(())
            }
            .boxed()
        },
    ];
    for writer in writers {
        for steps in 0.. {
            let (store, hand) = (Probe::default(), Hand::new());
            let (sleeper, other) = (open(&store, &hand), open(&store, &hand));
            block_on(other.submit(&spec(1, "0xa"))).unwrap();
            let mut late = writer(&sleeper);
            let ended = begin(&mut late, steps).is_some();
            block_on(other.delete(&id(1))).unwrap();
            block_on(other.forget(&id(1))).unwrap();
            hand.pass(SignedDuration::from_hours(25));
            sweep(&other);
            if !ended && let Err(error) = block_on(late) {
                assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::JobDeleted), "{error:?}");
            }
            let files = block_on(Place::Objects(Arc::new(store.clone())).files());
            assert_eq!(files, Vec::<String>::new(), "step {steps}");
            if ended {
                break;
            }
        }
    }
}
