//! A chain with a publisher, a consumer, a stranger, an asset for 10, a keeper and a granter.

use std::sync::Arc;

use alloy_primitives::U256;
use alloy_signer_local::PrivateKeySigner;
use brizo::chain::Contracts;
use brizo::grants::{GrantError, Granter};
use brizo::keeper::{Authorized, Denied, Keeper, NotYet, Refusal, Why};
use brizo::types::Did;
use brizo_tests::chain::{Chain, Purchase, development_key};
use brizo_tests::deploy::Result;

use crate::support::{Shelf, keeper};

pub(crate) const PRICE: u64 = 10;

pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) shelf: Shelf,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) granter: Granter,
    pub(crate) provider: PrivateKeySigner,
    pub(crate) publisher: PrivateKeySigner,
    pub(crate) consumer: PrivateKeySigner,
    pub(crate) stranger: PrivateKeySigner,
    pub(crate) did: Did,
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        let chain = Chain::start().await?;
        let provider = development_key(1);
        let publisher = chain.account().await?;
        let consumer = chain.rich_account(100).await?;
        let stranger = chain.account().await?;
        let did = chain.register(&publisher, &[provider.address()]).await?;
        let shelf = Shelf::default();
        shelf.put(did, U256::from(PRICE));
        let keeper = keeper(&chain, &shelf, None)?;
        let granter = Granter::new(Arc::clone(&keeper), provider.clone())?;
        Ok(Self { chain, shelf, keeper, granter, provider, publisher, consumer, stranger, did })
    }

    pub(crate) fn contracts(&self) -> &Contracts {
        self.chain.contracts()
    }

    /// An honest purchase, not made yet.
    pub(crate) fn purchase(&self) -> Purchase {
        Purchase::honest(self.contracts(), self.did, PRICE, self.publisher.address(), self.consumer.address())
    }

    /// Makes and pays one.
    pub(crate) async fn pay(&self, purchase: &Purchase) -> Result<()> {
        self.chain.agree(&self.consumer, purchase).await?;
        self.chain.lock(&self.consumer, purchase).await
    }

    /// Makes, pays and grants an honest one.
    pub(crate) async fn bought(&self) -> Result<Purchase> {
        let purchase = self.purchase();
        self.pay(&purchase).await?;
        self.granter.grant(purchase.id).await?;
        Ok(purchase)
    }

    pub(crate) async fn start(&self, purchase: &Purchase) -> Result<Authorized, Refusal> {
        self.keeper.authorize(purchase.id, self.consumer.address()).await
    }

    /// The start is refused for good with this reason, and the grant too, without a transaction.
    pub(crate) async fn refused(&self, purchase: &Purchase, expected: Denied) -> Result<()> {
        assert_eq!(denied(self.start(purchase).await), expected);
        self.not_granted(purchase).await
    }

    /// The start has to wait for this.
    pub(crate) async fn not_yet(&self, purchase: &Purchase, expected: NotYet) {
        match self.start(purchase).await {
            Err(Refusal { why: Why::NotYet(why), .. }) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    }

    /// `brizo grant` refuses, and sends nothing.
    pub(crate) async fn not_granted(&self, purchase: &Purchase) -> Result<()> {
        let before = self.chain.chain().nonces(self.provider.address()).await?;
        match self.granter.grant(purchase.id).await {
            Err(GrantError::Refused(refusal)) => assert!(!matches!(refusal.why, Why::Unavailable(_)), "{refusal:?}"),
            other => panic!("granted: {other:?}"),
        }
        assert_eq!(self.chain.chain().nonces(self.provider.address()).await?, before);
        Ok(())
    }
}

pub(crate) fn denied<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Denied {
    match result {
        Err(Refusal { why: Why::Denied(denied), .. }) => denied,
        other => panic!("{other:?}"),
    }
}
