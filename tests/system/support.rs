//! What the modules share: one runtime, a time limit for each trial, offers made by hand.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use brizo::keeper::{Keeper, Offer, Offers, OffersError, ServiceKind};
use brizo::types::{Address, Did, U256};
use brizo_tests::chain::{Chain, development_key};
use brizo_tests::deploy::Result;
use jiff::Timestamp;
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Runtime;
use url::Url;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// No trial takes longer, or it hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// A trial of an asynchronous function.
pub(crate) fn trial<F>(name: &str, test: fn() -> F) -> Trial
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Trial::test(name, move || {
        RUNTIME.block_on(async {
            // A panic of an assertion is the harness's to catch.
            match tokio::time::timeout(LIMIT, test()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Failed::from(error.to_string())),
                Err(_) => Err(Failed::from(format!("not done after {LIMIT:?}"))),
            }
        })
    })
}

/// Offers that a test sets, where a gateway would read documents. Sells for every owner but those struck off.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shelf(Arc<Mutex<HashMap<Did, Vec<Offer>>>>, Arc<Mutex<HashSet<Address>>>);

impl Shelf {
    /// Puts an offer of a compute service for a day in force since an hour ago.
    pub(crate) fn put(&self, did: Did, price: U256) {
        self.set(did, vec![offer(1, price, 3_600, None)]);
    }

    /// Sells nothing of this owner from now on.
    pub(crate) fn strike_off(&self, owner: Address) {
        self.1.lock().expect("no panic holds it").insert(owner);
    }

    /// Puts these, newest first.
    pub(crate) fn set(&self, did: Did, offers: Vec<Offer>) {
        self.0.lock().expect("no panic holds it").insert(did, offers);
    }
}

/// A compute offer in force since and until so many seconds ago.
pub(crate) fn offer(version: u64, price: U256, since: i64, until: Option<i64>) -> Offer {
    let ago = |seconds: i64| Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    Offer {
        version,
        published_at: ago(since),
        superseded_at: until.map(ago),
        kind: ServiceKind::Compute,
        price,
        timeout_s: 86_400,
    }
}

#[async_trait]
impl Offers for Shelf {
    async fn offers(&self, did: &Did) -> Result<Vec<Offer>, OffersError> {
        self.0.lock().expect("no panic holds it").get(did).cloned().ok_or(OffersError::Unknown)
    }

    fn is_listed(&self, owner: &Address) -> bool {
        !self.1.lock().expect("no panic holds it").contains(owner)
    }
}

/// A keeper of the development provider over a chain, through a proxy if there is one.
pub(crate) fn keeper(chain: &Chain, shelf: &Shelf, proxy: Option<&Url>) -> Result<Arc<Keeper>> {
    let config = chain.keeper_config(proxy);
    let opened = Arc::new(config.open()?);
    let keeper = Keeper::new(opened, config, development_key(1).address(), Arc::new(shelf.clone()));
    Ok(Arc::new(keeper.with_escrow_wait(Duration::from_millis(500))))
}
