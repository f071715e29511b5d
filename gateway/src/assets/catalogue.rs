//! Documents as they are used: read from the store, judged, and kept for a moment.
//!
//! What a document says is never kept longer than a second, so that a gateway sees its own and others' publishing; what a
//! version's bytes parse to is kept, since they never change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use bytes::Bytes;
use jiff::Timestamp;
use moka::future::Cache;
use tracing::warn;

use super::config::MetadataConfig;
use super::ddo::{Ddo, DdoError};
use super::json::Json;
use super::proof;
use super::store::{Listed, Own, Store, StoreError};
use crate::problem::{Code, Problem};
use crate::types::{Did, show_address};

/// How long an answer of the store is taken for the present.
const FRESH: Duration = Duration::from_millis(500);
/// How many bytes of documents are kept parsed.
const PARSED: u64 = 16 << 20;

/// One version of a document.
#[derive(Debug)]
pub struct Version {
    /// Counted from 1 in an own store; an Aquarius keeps one, whose number is that of its signature, else 1.
    pub number: u64,
    /// Since when it is in force: what it says itself, else when it was written.
    pub published_at: Option<Timestamp>,
    /// What it says.
    pub ddo: Ddo,
    /// As it was published, byte for byte.
    pub bytes: Bytes,
    /// Why it does not count, if so: nobody who may sell here is known to have written it.
    pub discounted: Option<String>,
}

/// A document with all versions that the store keeps.
#[derive(Debug)]
pub struct Asset {
    /// Of what.
    pub did: Did,
    current: Arc<Version>,
    former: Vec<Arc<Version>>,
}

impl Asset {
    /// The version in force.
    pub fn current(&self) -> &Version {
        &self.current
    }

    /// All versions, the newest first.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&*self.current).chain(self.former.iter().rev().map(|version| &**version))
    }
}

/// Why a document can't be had.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("version {version} of {did}: {cause}")]
    Document { did: Did, version: u64, cause: DdoError },
}

/// The documents.
#[derive(Debug)]
pub(crate) struct Catalogue {
    store: Store,
    trusted: bool,
    publishers: HashSet<Address>,
    chain_id: u64,
    assets: Cache<Did, Option<Arc<Asset>>>,
    parsed: Cache<(Did, u64, String), Arc<Version>>,
}

impl Catalogue {
    pub(crate) fn open(
        config: &MetadataConfig,
        publishers: HashSet<Address>,
        chain_id: u64,
    ) -> Result<Self, StoreError> {
        let weigh =
            |_: &(Did, u64, String), version: &Arc<Version>| u32::try_from(version.bytes.len() * 4).unwrap_or(u32::MAX);
        Ok(Self {
            store: Store::open(config)?,
            trusted: config.trusted,
            publishers,
            chain_id,
            assets: Cache::builder().max_capacity(10_000).time_to_live(FRESH).build(),
            parsed: Cache::builder().max_capacity(PARSED).weigher(weigh).build(),
        })
    }

    pub(crate) fn is_listed(&self, publisher: Address) -> bool {
        self.publishers.contains(&publisher)
    }

    /// The publisher's own storage, if it is one.
    #[cfg(test)]
    pub(crate) fn own(&self) -> Result<&Own, StoreError> {
        match &self.store {
            Store::Own(own) => Ok(own),
            Store::Aquarius(_) => Err(StoreError::ReadOnly),
        }
    }

    /// All assets of an own storage.
    pub(crate) async fn dids(&self) -> Result<Vec<Did>, StoreError> {
        match &self.store {
            Store::Own(own) => own.dids().await,
            Store::Aquarius(_) => Ok(vec![]),
        }
    }

    /// Whether the store answers.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        match &self.store {
            Store::Own(own) => own.versions(&Did([0; 32].into())).await.map(drop),
            Store::Aquarius(aquarius) => aquarius.probe().await,
        }
    }

    /// Forgets what is kept of an asset.
    #[cfg(test)]
    pub(crate) async fn forget(&self, did: &Did) {
        self.assets.invalidate(did).await;
    }

    /// The document of an asset. One look into the store serves all requests of the moment.
    pub(crate) async fn find(&self, did: &Did) -> Result<Option<Arc<Asset>>, Problem> {
        self.assets.try_get_with(*did, self.load(did)).await.map_err(|error| match &*error {
            LoadError::Store(_) => Problem::new(
                Code::Unavailable,
                "The store of asset documents does not answer. Try again; if it lasts, tell the gateway's operator.",
            )
            .because(error),
            LoadError::Document { did, cause, .. } => {
                let text = format!("The metadata store has no usable document of {did}: {cause}.");
                Problem::not_found(text).because(error)
            }
        })
    }

    async fn load(&self, did: &Did) -> Result<Option<Arc<Asset>>, LoadError> {
        match &self.store {
            Store::Own(own) => {
                let mut listed = own.versions(did).await?;
                let Some(newest) = listed.pop() else { return Ok(None) };
                let current = self.parse_own(own, did, newest).await?;
                let mut former = Vec::with_capacity(listed.len());
                for older in listed {
                    match self.parse_own(own, did, older).await {
                        Ok(version) => former.push(version),
                        Err(LoadError::Document { version, cause, .. }) => {
                            warn!(%did, version, %cause, "A former version of a document can't be read; it is left out");
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(Some(Arc::new(Asset { did: *did, current, former })))
            }
            Store::Aquarius(aquarius) => {
                let Some(bytes) = aquarius.read(did).await? else { return Ok(None) };
                let version =
                    self.judge(did, bytes).map_err(|cause| LoadError::Document { did: *did, version: 1, cause })?;
                Ok(Some(Arc::new(Asset { did: *did, current: Arc::new(version), former: vec![] })))
            }
        }
    }

    async fn parse_own(&self, own: &Own, did: &Did, listed: Listed) -> Result<Arc<Version>, LoadError> {
        let key = (*did, listed.version, listed.tag);
        if let Some(version) = self.parsed.get(&key).await {
            return Ok(version);
        }
        let number = listed.version;
        let bytes = own.read(did, number).await?;
        let ddo = Ddo::parse(&bytes, did).map_err(|cause| LoadError::Document { did: *did, version: number, cause })?;
        let published_at = ddo.stated_at.or(listed.written);
        let version = Arc::new(Version { number, published_at, ddo, bytes, discounted: None });
        self.parsed.insert(key, Arc::clone(&version)).await;
        Ok(version)
    }

    /// A document of an Aquarius counts if only the publisher can write there, or if one who may sell here signed it.
    fn judge(&self, did: &Did, bytes: Bytes) -> Result<Version, DdoError> {
        let ddo = Ddo::parse(&bytes, did)?;
        let published_at = ddo.stated_at;
        let proof = Json::parse(&bytes).map_err(DdoError::from).map(|json| proof::verify(&json, did, self.chain_id))?;
        let number = proof.as_ref().map_or(1, |(_, version)| *version);
        let discounted = match proof {
            _ if self.trusted => None,
            Ok((publisher, _)) if self.is_listed(publisher) => None,
            Ok((publisher, _)) => {
                Some(format!("it is signed by {}, who is none of this gateway's publishers", show_address(&publisher)))
            }
            Err(error) => Some(error.to_string()),
        };
        Ok(Version { number, published_at, ddo, bytes, discounted })
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
