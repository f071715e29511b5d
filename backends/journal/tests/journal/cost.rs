//! What a page costs, counted, not timed.

use std::sync::Arc;

use brizo_backend::facts::{Started, VoidCause};
use brizo_backend::{JobFilter, Phase};
use brizo_journal::Journal;
use jiff::SignedDuration;

use crate::common::{Hand, PROVIDER, agreement, ended, id, keys, list, spec};
use crate::probe::Probe;

/// Otherwise a consumer's list gets slower with each job that he ever ran.
#[tokio::test]
async fn a_page_costs_the_same_whatever_the_number_of_jobs() {
    let (store, hand) = (Probe::default(), Hand::new());
    let journal = hand.on(Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap());
    let owner = JobFilter { owner: Some("0xa".parse().unwrap()), ..JobFilter::default() };
    let bought = JobFilter { agreement: Some(agreement(1)), ..JobFilter::default() };
    let mut costs = Vec::new();
    let mut made = 0;
    for number in [100, 1000] {
        while made < number {
            let facts = journal.submit(&spec(made, "0xa")).await.unwrap().into_facts();
            let void = Started::Void { at: journal.now(), cause: VoidCause::Stop };
            journal.start(&facts.submitted.id, &void).await.unwrap();
            journal.end(&facts.submitted.id, &ended(&facts, Phase::Stopped, journal.now())).await.unwrap();
            hand.pass(SignedDuration::from_secs(9));
            made += 1;
        }
        for filter in [&owner, &bought, &JobFilter::default()] {
            // As another gateway, which has seen none of them.
            let fresh = Journal::over(Arc::new(store.clone()), PROVIDER, keys()).unwrap();
            let before = store.operations();
            let page = list(&fresh, filter, 20, None).await.unwrap();
            assert_eq!(page.jobs.len(), 20);
            costs.push(store.operations() - before);
        }
        let before = store.operations();
        assert!(journal.open_jobs().await.unwrap().is_empty());
        assert_eq!(journal.count_open(&"0xa".parse().unwrap()).await.unwrap(), 0);
        assert_eq!(store.operations() - before, 2);
        let before = store.operations();
        assert!(matches!(journal.facts(&id(1)).await, Ok(Some(_))));
        assert!(store.operations() - before <= 4);
    }
    assert_eq!(costs[..3], costs[3..]);
}
