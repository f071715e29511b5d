//! What a publisher's document offered, and when: all that the keeper knows of assets.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::chain::contracts::{ACCESS_TEMPLATE, COMPUTE_TEMPLATE};
use crate::types::{Address, Did, U256};

/// Which of the two services of Ocean's Keeper contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    /// An algorithm is run next to the data.
    Compute,
    /// The data is downloaded.
    Access,
}

impl ServiceKind {
    /// The kind that a template's id stands for.
    pub fn of_template(id: &alloy_primitives::B256) -> Option<Self> {
        match *id {
            COMPUTE_TEMPLATE => Some(Self::Compute),
            ACCESS_TEMPLATE => Some(Self::Access),
            _ => None,
        }
    }

    /// The id of its agreements' template.
    pub fn template(self) -> alloy_primitives::B256 {
        match self {
            Self::Compute => COMPUTE_TEMPLATE,
            Self::Access => ACCESS_TEMPLATE,
        }
    }
}

/// One service of one version of an asset's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The document's version, counted from 1.
    pub version: u64,
    /// Since when this version counts.
    pub published_at: Timestamp,
    /// When the next version of the document took its place, whether that still offers the service or not; `None` for the
    /// document's current version.
    pub superseded_at: Option<Timestamp>,
    /// Which service.
    pub kind: ServiceKind,
    /// What it costs, in the token's smallest unit: of the whole numbers that the document names the higher one. A service
    /// without any is no offer.
    pub price: U256,
    /// Seconds from the agreement's block until it expires; 0: never.
    pub timeout_s: u64,
}

/// Why there are no offers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffersError {
    /// There is no document of this DID here.
    #[error("this gateway knows no asset of that DID")]
    Unknown,
    /// There is one, and it is not sold here. The text is for the consumer.
    #[error("{0}")]
    NotSold(String),
    /// The metadata store does not answer. The text is for the operator's log.
    #[error("the metadata store does not answer: {0}")]
    Unavailable(String),
}

/// Where the keeper asks for offers.
#[async_trait]
pub trait Offers: Send + Sync + std::fmt::Debug {
    /// All offers of an asset, of its current version and of earlier ones, newest first.
    async fn offers(&self, did: &Did) -> Result<Vec<Offer>, OffersError>;

    /// Whether this gateway sells assets of that owner.
    fn is_listed(&self, owner: &Address) -> bool;
}
