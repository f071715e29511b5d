//! The publisher's side: new documents, new versions of them, and sealing anew.

use std::path::PathBuf;

use alloy_signer_local::PrivateKeySigner;
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::SetupError;
use super::config::{AssetsConfig, MetadataConfig};
use super::ddo::{Ddo, DdoError};
use super::document::{self, Change, DocumentError, Draft, DraftFile, TrustDraft};
use super::json::{Json, JsonError};
use super::resolve::container_checksum;
use super::seal::SealKeys;
use super::source::{self, SourceError};
use super::store::{Own, Store, StoreError};
use crate::types::Did;

/// Why something can't be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("{error}")]
    Store {
        #[from]
        error: StoreError,
    },
    #[error("{0} has no document in this metadata store")]
    Unknown(Did),
    #[error("the newest version of {did} can't be read: {why}")]
    Broken { did: Did, why: String },
    #[error("{what} can't be an asset's file: {why}")]
    File { what: String, why: SourceError },
    #[error("{did}: {error}")]
    Document { did: String, error: DocumentError },
    #[error("the document would be refused: {0}")]
    Refused(String),
    #[error(
        "{0} can't be pinned: its document states no SHA-256 of its file; publish it with `brizo publish --type algorithm`"
    )]
    NoPin(Did),
}

impl PublishError {
    fn broken(did: &Did) -> impl Fn(JsonError) -> Self {
        move |error| Self::Broken { did: *did, why: error.to_string() }
    }
}

/// Who publishes, where, and under which keys.
#[derive(Debug)]
pub(crate) struct Publisher {
    store: Store,
    seal: SealKeys,
    roots: Vec<PathBuf>,
    signer: PrivateKeySigner,
    chain_id: u64,
}

impl Publisher {
    pub(crate) fn open(
        assets: &AssetsConfig,
        metadata: &MetadataConfig,
        signer: PrivateKeySigner,
        chain_id: u64,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            store: Store::open(metadata)?,
            seal: SealKeys::load(&assets.seal_key_file, &assets.previous_seal_key_files)?,
            roots: assets.roots.clone(),
            signer,
            chain_id,
        })
    }

    fn own(&self) -> Result<&Own, StoreError> {
        match &self.store {
            Store::Own(own) => Ok(own),
            Store::Aquarius(_) => Err(StoreError::ReadOnly),
        }
    }

    /// A file of an asset: a path, which must lie under a root, or a URL. With `fixed` its content becomes part of the deal.
    pub(crate) fn file(&self, what: &str, fixed: bool) -> Result<DraftFile, PublishError> {
        let fail = |why| PublishError::File { what: what.to_owned(), why };
        let is_url = what.contains("://");
        let url = if is_url {
            Url::parse(what).map_err(|_| fail(SourceError::Url))?
        } else {
            let (root, below) = source::below_roots(std::path::Path::new(what), &self.roots).map_err(fail)?;
            Url::from_file_path(root.join(below)).map_err(|()| fail(SourceError::Url))?
        };
        source::of_publisher(url.as_str(), &self.roots).map_err(fail)?;
        let name = url
            .path_segments()
            .and_then(|mut parts| parts.next_back())
            .filter(|name| !name.is_empty())
            .map(|name| percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned());
        let content_type =
            mime_guess::from_path(name.as_deref().unwrap_or_default()).first_or_octet_stream().to_string();
        let local = url.to_file_path().ok().filter(|_| url.scheme() == "file");
        let missing = |path: &std::path::Path| {
            let path = path.to_owned();
            move |cause| fail(SourceError::Missing { path, cause })
        };
        let (mut content_length, mut sha256) = (None, None);
        if let Some(path) = &local {
            content_length = Some(std::fs::metadata(path).map_err(missing(path))?.len());
            if fixed {
                let mut hash = Sha256::new();
                let mut file = std::fs::File::open(path).map_err(missing(path))?;
                std::io::copy(&mut file, &mut HashInto(&mut hash)).map_err(missing(path))?;
                sha256 = Some(hex::encode(hash.finalize()));
            }
        }
        Ok(DraftFile { url: url.into(), name, content_type, content_length, sha256 })
    }

    /// What a dataset says of an algorithm that it trusts; `pin`ned to the file and container of now.
    pub(crate) async fn trust(&self, did: Did, pin: bool) -> Result<TrustDraft, PublishError> {
        if !pin {
            return Ok(TrustDraft { did, file: None, container: None });
        }
        let (_, json) = self.newest(&did).await?;
        let ddo = Ddo::read(&json).map_err(|error: DdoError| PublishError::Broken { did, why: error.to_string() })?;
        let file = ddo.files.first().and_then(|file| file.sha256.clone()).ok_or(PublishError::NoPin(did))?;
        let container = ddo.container.as_ref().ok_or(PublishError::NoPin(did))?;
        let container =
            container_checksum(container).map_err(|error| PublishError::Broken { did, why: error.to_string() })?;
        Ok(TrustDraft { did, file: Some(file), container: Some(container) })
    }

    async fn newest(&self, did: &Did) -> Result<(u64, Json), PublishError> {
        let own = self.own()?;
        let newest = own.versions(did).await?.pop().ok_or(PublishError::Unknown(*did))?;
        let json = Json::parse(&own.read(did, newest.version).await?).map_err(PublishError::broken(did))?;
        Ok((newest.version, json))
    }

    async fn write(&self, did: &Did, version: u64, document: &Json) -> Result<(), PublishError> {
        let text = document.pretty();
        let ddo = Ddo::parse(text.as_bytes(), did).map_err(|error| PublishError::Refused(error.to_string()))?;
        if let Some(problem) = ddo.problems().first() {
            return Err(PublishError::Refused(problem.clone()));
        }
        Ok(self.own()?.create(did, version, Bytes::from(text)).await?)
    }

    /// Publishes a new asset.
    pub(crate) async fn create(&self, draft: &Draft) -> Result<Did, PublishError> {
        let (did, document) = draft
            .finish(&self.seal, &self.signer, self.chain_id)
            .map_err(|error| PublishError::Document { did: "the new asset".to_owned(), error })?;
        self.write(&did, 1, &document).await?;
        Ok(did)
    }

    /// Publishes a new version of an asset, and says which.
    pub(crate) async fn update(&self, did: &Did, change: &Change, files: &[DraftFile]) -> Result<u64, PublishError> {
        let fail = |error| PublishError::Document { did: did.to_string(), error };
        let (version, mut document) = self.newest(did).await?;
        document::change(&mut document, change, Timestamp::now());
        if !files.is_empty() {
            document::set_files(&mut document, did, files, &self.seal, self.signer.address()).map_err(fail)?;
        }
        document::sign(&mut document, did, version + 1, self.chain_id, &self.signer).map_err(fail)?;
        self.write(did, version + 1, &document).await?;
        Ok(version + 1)
    }

    /// The newest version of an asset.
    pub(crate) async fn version(&self, did: &Did) -> Result<u64, PublishError> {
        Ok(self.newest(did).await?.0)
    }

    /// Seals every document anew that the current key does not open; each becomes a new version. A signature of somebody
    /// else's goes: it would no longer fit.
    pub(crate) async fn reseal(&self) -> Result<Vec<(Did, u64)>, PublishError> {
        let mut resealed = Vec::new();
        for did in self.own()?.dids().await? {
            let fail = |error| PublishError::Document { did: did.to_string(), error };
            let (version, mut document) = match self.newest(&did).await {
                Ok(newest) => newest,
                Err(PublishError::Unknown(_)) => continue,
                Err(error) => return Err(error),
            };
            if !document::reseal(&mut document, &did, &self.seal).map_err(fail)? {
                continue;
            }
            document::change(&mut document, &Change::default(), Timestamp::now());
            let signed_by = document::signed_by(&document);
            if signed_by == Some(self.signer.address()) {
                document::sign(&mut document, &did, version + 1, self.chain_id, &self.signer).map_err(fail)?;
            } else {
                document::unsign(&mut document);
            }
            self.write(&did, version + 1, &document).await?;
            resealed.push((did, version + 1));
        }
        Ok(resealed)
    }
}

/// Lets bytes be copied into a hash.
struct HashInto<'a>(&'a mut Sha256);

impl std::io::Write for HashInto<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
