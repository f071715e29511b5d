//! Assets: documents (DDOs), what they sell and whom they trust, and where their files are.
//!
//! A document counts only if the publisher wrote it: it comes from his own storage, or carries his signature. A file's URL
//! is sealed: it opens only inside the document of the asset that it was sealed for. [`Assets`] answers what a request
//! needs: what is sold ([`Assets::offers`]), whether it may be sold at all ([`Assets::check_sale`]), and what a job reads
//! and runs ([`Assets::resolve`]). Nothing here knows the chain; owners come from whoever asked it.

mod catalogue;
pub mod config;
mod container;
mod ddo;
mod did;
pub(crate) mod document;
mod json;
mod price;
mod privacy;
mod proof;
pub(crate) mod publisher;
mod resolve;
mod seal;
mod source;
mod store;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use alloy_primitives::{Address, U256};
use bytes::Bytes;
use jiff::Timestamp;
use url::Url;

use brizo_runner::guard::Guard;
use catalogue::Catalogue;
pub use catalogue::{Asset, Version};
use config::{AssetsConfig, GuardConfig, MetadataConfig};
pub use container::ContainerRequest;
pub use ddo::{AssetType, Ddo, DdoError, Service, ServiceKind};
pub use json::JsonError;
pub use price::Price;
pub use privacy::Privacy;
pub use proof::ProofError;
pub use resolve::{AlgorithmRequest, Bought, Resolved};
pub use seal::{SealError, SealKeyError, SealKeys, Sealed};
pub use source::SourceError;
pub use store::{DDO_PATH, StoreError};

use crate::problem::{Code, Problem};
use crate::types::{Did, show_address};

/// What [`Assets`] is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `[assets]`.
    pub assets: AssetsConfig,
    /// `[metadata]`.
    pub metadata: MetadataConfig,
    /// `[guard]`.
    pub guard: GuardConfig,
    /// The provider, whose assets are always sold here.
    pub provider: Address,
    /// `server.public_url` and its aliases: what a compute service must name.
    pub endpoints: Vec<Url>,
    /// The chain that signatures of documents are made for.
    pub chain_id: u64,
}

/// Why the assets can't be served at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No seal key.
    #[error(transparent)]
    Key(#[from] SealKeyError),
    /// No store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one version of a document asks for one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferFacts {
    /// The document's version.
    pub version: u64,
    /// Since when it is in force, where that is known.
    pub published_at: Option<Timestamp>,
    /// Since when the next version is; none for the current one.
    pub superseded_at: Option<Timestamp>,
    /// For what.
    pub kind: ServiceKind,
    /// In the token's smallest unit.
    pub price: U256,
    /// How long an agreement is good for, in seconds from its making; 0 for ever.
    pub timeout_s: u64,
}

/// The assets of this gateway.
#[derive(Debug)]
pub struct Assets {
    catalogue: Catalogue,
    seal: SealKeys,
    roots: Vec<PathBuf>,
    guard: Guard,
    endpoints: Vec<Url>,
}

impl Assets {
    /// Reads the seal keys and opens the store. Nothing is asked over the network.
    pub fn open(setup: Setup) -> Result<Self, SetupError> {
        let mut publishers: HashSet<Address> = setup.assets.publishers.into_iter().collect();
        publishers.insert(setup.provider);
        Ok(Self {
            catalogue: Catalogue::open(&setup.metadata, publishers, setup.chain_id)?,
            seal: SealKeys::load(&setup.assets.seal_key_file, &setup.assets.previous_seal_key_files)?,
            roots: setup.assets.roots,
            guard: Guard { allow: setup.guard.allow },
            endpoints: setup.endpoints,
        })
    }

    /// The seal keys, for keys of other uses.
    pub fn seal_keys(&self) -> &SealKeys {
        &self.seal
    }

    /// Whether assets of this owner are sold here.
    pub fn is_listed(&self, publisher: Address) -> bool {
        self.catalogue.is_listed(publisher)
    }

    /// Whether the store answers.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.catalogue.probe().await
    }

    /// A document with its versions; a 404 if there is none.
    pub async fn asset(&self, did: &Did) -> Result<Arc<Asset>, Problem> {
        self.catalogue
            .find(did)
            .await?
            .ok_or_else(|| Problem::not_found(format!("There is no asset {did} in this gateway's metadata store.")))
    }

    /// The bytes of a document as they were published, for whoever asks.
    pub async fn document(&self, did: &Did) -> Result<Bytes, Problem> {
        Ok(self.asset(did).await?.current().bytes.clone())
    }

    /// What the document sells, in all versions, the current one first. Refused if the document does not count, if its
    /// current version states no price, if its compute service is elsewhere, or if its files were not sealed for it: such an
    /// asset is neither run nor granted.
    pub async fn offers(&self, did: &Did) -> Result<Vec<OfferFacts>, Problem> {
        let asset = self.asset(did).await?;
        counted(asset.current(), did)?;
        if let Some(service) = asset.current().ddo.compute() {
            self.is_here(did, service)?;
        }
        self.files(did, &asset.current().ddo)?;
        for service in &asset.current().ddo.services {
            if service.price.value.is_none() {
                let why = service.price.problems.join("; ");
                return Err(Problem::new(
                    Code::NotAuthorized,
                    format!("The document of {did} states no price that could be paid: {why}. Tell its publisher."),
                ));
            }
        }
        let mut offers = Vec::new();
        let mut superseded_at = None;
        for version in asset.versions() {
            offers.extend(version.ddo.services.iter().filter_map(|service| {
                Some(OfferFacts {
                    version: version.number,
                    published_at: version.published_at,
                    superseded_at,
                    kind: service.kind,
                    price: service.price.value?,
                    timeout_s: service.timeout_s,
                })
            }));
            superseded_at = version.published_at.or(superseded_at);
        }
        Ok(offers)
    }

    /// Whether this asset of this owner (by the chain) may be sold here: the owner is listed, the document counts, its
    /// compute service names this gateway, and its files were sealed for it. For whoever grants; [`Assets::resolve`] asks
    /// the same.
    pub async fn check_sale(&self, did: &Did, owner: Address) -> Result<(), Problem> {
        let asset = self.asset(did).await?;
        self.sold(&asset, owner)?;
        self.files(did, &asset.current().ddo).map(drop)
    }

    /// Seals a text for an asset of a listed publisher: what the old clients' `publish` asks for, after the publisher's
    /// signature was checked. The text is the JSON array of the asset's files.
    pub fn seal_for(&self, did: &Did, publisher: Address, text: &str) -> Result<String, Problem> {
        self.listed(publisher, did)?;
        let files = json::Json::parse(text.as_bytes())
            .map_err(|error| Problem::invalid_at("document", format!("The document is {error}.")))?;
        if !files.items().iter().any(|file| ddo::read_file(file).url.is_some()) {
            let text = "The document is a JSON array of files, each an object with a url.";
            return Err(Problem::invalid_at("document", text));
        }
        let sealed = self.seal.seal(did, publisher, text.as_bytes()).map_err(Problem::internal)?;
        Ok(sealed.to_string())
    }

    fn listed(&self, publisher: Address, did: &Did) -> Result<(), Problem> {
        if self.is_listed(publisher) {
            return Ok(());
        }
        Err(Problem::new(Code::NotAuthorized, format!("{did} is not sold here: {}", not_listed(&publisher))))
    }

    /// What is wrong with the documents of the publisher's own storage, one line each: for `brizo check`. Of an Aquarius
    /// nothing is told, whose documents can't be listed.
    pub async fn faults(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        for did in self.catalogue.dids().await? {
            let asset = match self.asset(&did).await {
                Ok(asset) => asset,
                Err(problem) => {
                    faults.push(problem.to_string());
                    continue;
                }
            };
            let ddo = &asset.current().ddo;
            faults.extend(ddo.problems().iter().map(|why| format!("{did}: {why}")));
            let elsewhere = ddo.compute().map_or(Ok(()), |service| self.is_here(&did, service));
            let sealed = self.files(&did, ddo).map(drop);
            faults.extend([elsewhere, sealed].into_iter().filter_map(Result::err).map(|problem| problem.to_string()));
        }
        Ok(faults)
    }
}

/// Why nothing of this owner's is sold here.
fn not_listed(owner: &Address) -> String {
    format!(
        "its owner {} is none of this gateway's publishers. The operator lists them in assets.publishers.",
        show_address(owner)
    )
}

/// Refuses a document that nobody who may sell here is known to have written.
fn counted(version: &Version, did: &Did) -> Result<(), Problem> {
    match &version.discounted {
        None => Ok(()),
        Some(why) => Err(Problem::new(
            Code::NotAuthorized,
            format!("The document of {did} does not count at this gateway: {why}. Its publisher can sign it."),
        )),
    }
}
