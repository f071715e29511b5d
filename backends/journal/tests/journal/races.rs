//! Two journals over one store, with their operations in any order.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use brizo_backend::facts::{Ended, Started, Stop, VoidCause};
use brizo_backend::{ErrorKind, JobFilter, Phase, Result};
use brizo_journal::{Decided, Journal, Submitted};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::common::{Hand, PROVIDER, Place, ended, id, keys, list, spec};
use crate::probe::Probe;

#[derive(Debug, Clone, Copy)]
enum Action {
    Submit { body: u8 },
    Run,
    Void,
    Stop,
    End,
    Delete,
    Forget,
    OpenJobs,
    Get,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (0..2u8).prop_map(|body| Action::Submit { body }),
        2 => Just(Action::Run),
        2 => Just(Action::Void),
        1 => Just(Action::Stop),
        2 => Just(Action::End),
        2 => Just(Action::Delete),
        1 => Just(Action::Forget),
        1 => Just(Action::OpenJobs),
        1 => Just(Action::Get),
    ]
}

/// What the actions gave.
#[derive(Debug, Default)]
struct Given {
    submits: Vec<(u8, Result<Submitted>)>,
    starts: Vec<Result<Decided<Started>>>,
    stops: Vec<Stop>,
    ends: Vec<Result<Decided<Ended>>>,
    deleted: bool,
}

async fn act(journal: Journal, action: Action, n: usize, given: Arc<Mutex<Given>>) {
    let at = journal.now();
    let job = id(1);
    match action {
        Action::Submit { body } => {
            let mut spec = spec(1, "0xa");
            spec.request.0.push(char::from(b'a' + body));
            let submitted = journal.submit(&spec).await;
            given.lock().unwrap().submits.push((body, submitted));
        }
        Action::Run => {
            // Told apart by the digest.
            let started = Started::Run { at, image_digest: Some(format!("sha256:{n:064x}")) };
            let started = journal.start(&job, &started).await;
            given.lock().unwrap().starts.push(started);
        }
        Action::Void => {
            let started = journal.start(&job, &Started::Void { at, cause: VoidCause::Deadline }).await;
            given.lock().unwrap().starts.push(started);
        }
        Action::Stop => {
            if let Ok(facts) = journal.stop(&job).await {
                given.lock().unwrap().stops.extend(facts.stop);
            }
        }
        Action::End => {
            let Ok(Some(facts)) = journal.facts(&job).await else { return };
            let mut ended = ended(&facts, Phase::Failed, at);
            ended.algorithm_sha256 = Some(format!("{n}"));
            let ended = journal.end(&job, &ended).await;
            given.lock().unwrap().ends.push(ended);
        }
        Action::Delete => {
            let deleted = journal.delete(&job).await.unwrap();
            given.lock().unwrap().deleted |= deleted.is_some();
        }
        Action::Forget => journal.forget(&job).await.unwrap(),
        Action::OpenJobs => drop(journal.open_jobs().await.unwrap()),
        Action::Get => {
            let was_deleted = given.lock().unwrap().deleted;
            let facts = journal.facts(&job).await.unwrap();
            // Never alive again once a delete has returned.
            assert!(!was_deleted || facts.is_none_or(|facts| facts.deleted.is_some()));
        }
    }
}

/// Polls the tasks in the order that `schedule` says, each up to its next operation on the store.
fn interleave(mut tasks: Vec<BoxFuture<'static, ()>>, schedule: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let mut schedule = schedule.iter().cycle();
    let mut polls = 0;
    while !tasks.is_empty() {
        let turn = usize::from(*schedule.next().unwrap()) % tasks.len();
        if tasks[turn].poll_unpin(&mut context).is_ready() {
            drop(tasks.remove(turn));
        }
        polls += 1;
        assert!(polls < 100_000, "the tasks come to no end");
    }
}

fn at_once<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(work)
}

fn all_equal<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Otherwise two gateways run a job twice, disagree on its end, or bring a deleted job back.
    #[test]
    fn one_winner_and_no_resurrection(
        actions in prop::collection::vec(action(), 1..9),
        submitted in any::<bool>(),
        ticking in any::<bool>(),
        schedule in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let store = Probe::default();
        let hand = Hand::new();
        let journals = [0, 1].map(|_| {
            let journal = Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap();
            let hand = hand.clone();
            journal.with_clock(Arc::new(move || {
                if ticking { hand.pass(SignedDuration::from_millis(1)) }
                hand.now()
            }))
        });
        let given = Arc::new(Mutex::new(Given::default()));
        if submitted {
            at_once(act(journals[0].clone(), Action::Submit { body: 0 }, 99, given.clone()));
        }
        let tasks = actions.iter().enumerate().map(|(n, action)| {
            act(journals[n % 2].clone(), *action, n, given.clone()).boxed()
        });
        interleave(tasks.collect(), &schedule);
        let given = std::mem::take(&mut *given.lock().unwrap());
        check(&given, &Place::Objects(Arc::new(store)), &hand)?;
    }
}

fn check(given: &Given, place: &Place, hand: &Hand) -> std::result::Result<(), TestCaseError> {
    let journal = hand.on(place.journal());
    // One winner of each fact.
    let starts: Vec<_> = given.starts.iter().flatten().collect();
    prop_assert!(all_equal(&starts.iter().map(|decided| &decided.fact).collect::<Vec<_>>()));
    prop_assert!(starts.iter().filter(|decided| decided.ours).count() <= 1);
    let ends: Vec<_> = given.ends.iter().flatten().collect();
    prop_assert!(all_equal(&ends.iter().map(|decided| &decided.fact).collect::<Vec<_>>()));
    prop_assert!(ends.iter().filter(|decided| decided.ours).count() <= 1);
    prop_assert!(all_equal(&given.stops));
    // One job of one request.
    let made: Vec<_> = given.submits.iter().filter(|(_, submitted)| submitted.is_ok()).collect();
    prop_assert!(all_equal(&made.iter().map(|(body, _)| *body).collect::<Vec<_>>()));
    prop_assert!(made.iter().filter(|(_, made)| matches!(made, Ok(Submitted::New(_)))).count() <= 1);
    for error in given.submits.iter().filter_map(|(_, submitted)| submitted.as_ref().err()) {
        prop_assert!(matches!(error.kind(), ErrorKind::KeyReused | ErrorKind::JobDeleted), "{error:?}");
    }
    let facts = at_once(journal.facts(&id(1))).unwrap();
    let listed = at_once(list(&journal, &JobFilter::default(), 10, None)).unwrap().jobs.len();
    let open = at_once(journal.open_jobs()).unwrap().len();
    if given.deleted {
        prop_assert!(facts.is_none_or(|facts| facts.deleted.is_some()));
        prop_assert_eq!((listed, open), (0, 0));
        prop_assert_eq!(at_once(journal.submit(&spec(1, "0xa"))).unwrap_err().kind(), ErrorKind::JobDeleted);
        let void = Started::Void { at: Timestamp::UNIX_EPOCH, cause: VoidCause::Stop };
        prop_assert_eq!(at_once(journal.start(&id(1), &void)).unwrap_err().kind(), ErrorKind::JobDeleted);
    } else if !made.is_empty() {
        let facts = facts.unwrap();
        prop_assert_eq!(listed, 1);
        prop_assert_eq!(open, usize::from(facts.ended.is_none()));
        prop_assert!(starts.iter().all(|decided| Some(&decided.fact) == facts.started.as_ref()));
        prop_assert!(ends.iter().all(|decided| Some(&decided.fact) == facts.ended.as_ref()));
        // Its commit, its facts, its entry in each of four indexes, and no debris.
        let of_job = 1 + [facts.stop.is_some(), facts.started.is_some(), facts.ended.is_some()]
            .map(usize::from)
            .iter()
            .sum::<usize>();
        prop_assert_eq!(at_once(place.files()).len(), of_job + 4, "{:?}", at_once(place.files()));
        at_once(journal.delete(&id(1))).unwrap();
    }
    // Whatever happened, nothing stays.
    at_once(journal.forget(&id(1))).unwrap();
    hand.pass(SignedDuration::from_hours(25));
    for _ in 0..2 {
        prop_assert_eq!(at_once(journal.sweep()).unwrap(), []);
        for debris in at_once(journal.debris(10)).unwrap() {
            at_once(journal.clear(&debris)).unwrap();
        }
        at_once(journal.ended_before(journal.now(), 10)).unwrap();
    }
    prop_assert_eq!(at_once(place.files()), Vec::<String>::new());
    Ok(())
}
