//! Where documents are: the publisher's own storage, which keeps every version, or an Aquarius.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use url::Url;

use super::config::MetadataConfig;
use super::ddo::MAX_DOCUMENT;
use crate::types::Did;

/// How long an Aquarius may take for a document.
const PATIENCE: Duration = Duration::from_secs(5);
/// The path of a document on an Aquarius, and on this gateway.
pub const DDO_PATH: &str = "/api/v1/aquarius/assets/ddo/";

/// Why the store gives no answer. Its text is for the log and for the publisher: it may name hosts and paths.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A URL that nothing here reads.
    #[error(
        "metadata.url = {0:?} can't be used: this build reads file:// (an absolute folder) and http(s):// (an Aquarius)"
    )]
    Url(String),
    /// The folder can't be opened.
    #[error("the folder {folder} of metadata.url can't be opened ({cause}); make it, or run `brizo init`")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        cause: object_store::Error,
    },
    /// The own storage fails.
    #[error("the metadata store failed")]
    Object(#[from] object_store::Error),
    /// The Aquarius can't be reached, or broke off.
    #[error("the metadata store at {host} did not answer: {why}")]
    Remote {
        /// Which.
        host: String,
        /// Why.
        why: String,
    },
    /// Such a version exists already.
    #[error("version {version} of {did} exists already")]
    Exists {
        /// Of what.
        did: Did,
        /// Which.
        version: u64,
    },
    /// Only an own storage is written.
    #[error("metadata.url is an Aquarius, which `brizo` does not write; publish into a file:// storage")]
    ReadOnly,
}

/// One version of a document as it is listed, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Counted from 1.
    pub(crate) version: u64,
    /// Changes whenever the bytes may have.
    pub(crate) tag: String,
    /// When it was written, by the store's clock.
    pub(crate) written: Option<Timestamp>,
}

/// The store of documents.
#[derive(Debug)]
pub(crate) enum Store {
    Own(Own),
    Aquarius(Aquarius),
}

impl Store {
    pub(crate) fn open(config: &MetadataConfig) -> Result<Self, StoreError> {
        match config.url.scheme() {
            "file" => {
                let folder = config.url.to_file_path().map_err(|()| StoreError::Url(config.url.as_str().to_owned()))?;
                let store = LocalFileSystem::new_with_prefix(&folder)
                    .map_err(|cause| StoreError::Folder { folder, cause })?
                    .with_fsync(true);
                Ok(Self::Own(Own { store: Box::new(store) }))
            }
            "http" | "https" => Aquarius::new(&config.url).map(Self::Aquarius),
            _ => Err(StoreError::Url(config.url.as_str().to_owned())),
        }
    }
}

/// The publisher's own storage: `<did without did:op:>/<version>.json`, each object created once.
pub(crate) struct Own {
    store: Box<dyn ObjectStore>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Own({})", self.store)
    }
}

fn location(did: &Did, version: u64) -> Path {
    Path::from(format!("{}/{version}.json", did.digits()))
}

impl Own {
    /// The versions of a document, the newest last.
    pub(crate) async fn versions(&self, did: &Did) -> Result<Vec<Listed>, StoreError> {
        let folder = Path::from(did.digits());
        let listed = self.store.list_with_delimiter(Some(&folder)).await?;
        let mut versions: Vec<Listed> = listed
            .objects
            .into_iter()
            .filter_map(|meta| {
                let digits = meta.location.filename()?.strip_suffix(".json")?;
                let version = digits.parse().ok().filter(|version| *version > 0)?;
                let written = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok();
                let tag = meta.e_tag.unwrap_or_else(|| format!("{:?}-{}", meta.last_modified, meta.size));
                (location(did, version) == meta.location).then_some(Listed { version, tag, written })
            })
            .collect();
        versions.sort_unstable_by_key(|listed| listed.version);
        Ok(versions)
    }

    /// The bytes of one version, as they were published.
    pub(crate) async fn read(&self, did: &Did, version: u64) -> Result<Bytes, StoreError> {
        Ok(self.store.get(&location(did, version)).await?.bytes().await?)
    }

    /// Writes a new version; an existing one is never overwritten.
    pub(crate) async fn create(&self, did: &Did, version: u64, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&location(did, version), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(StoreError::Exists { did: *did, version }),
            Err(error) => Err(error.into()),
        }
    }

    /// All assets that have a document here.
    pub(crate) async fn dids(&self) -> Result<Vec<Did>, StoreError> {
        let listed = self.store.list_with_delimiter(None).await?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| prefix.filename()?.parse().ok()).collect())
    }
}

/// An Aquarius, which keeps the current version alone.
#[derive(Debug)]
pub(crate) struct Aquarius {
    base: String,
    host: String,
    client: reqwest::Client,
}

impl Aquarius {
    fn new(url: &Url) -> Result<Self, StoreError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let text = url.as_str();
        let base = text.find("/api/v1/aquarius").map_or(text, |end| &text[..end]).trim_end_matches('/').to_owned();
        let client =
            reqwest::Client::builder()
                .timeout(PATIENCE)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| StoreError::Remote { host: host.clone(), why: error.without_url().to_string() })?;
        Ok(Self { base, host, client })
    }

    fn failed(&self, why: impl Into<String>) -> StoreError {
        StoreError::Remote { host: self.host.clone(), why: why.into() }
    }

    fn broke(&self, error: reqwest::Error) -> StoreError {
        let why = if error.is_timeout() {
            format!("it took longer than {} s", PATIENCE.as_secs())
        } else {
            error.without_url().to_string()
        };
        self.failed(why)
    }

    /// The current document, if there is one.
    pub(crate) async fn read(&self, did: &Did) -> Result<Option<Bytes>, StoreError> {
        let url = format!("{}{DDO_PATH}{did}", self.base);
        let response = self.client.get(url).send().await.map_err(|error| self.broke(error))?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(self.failed(format!("it answered {status}"))),
        }
        let mut body = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(|error| self.broke(error))? {
            if body.len() + chunk.len() > MAX_DOCUMENT {
                return Err(self.failed(format!("the document of {did} is larger than {MAX_DOCUMENT} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    /// Whether it answers at all.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        self.client.get(format!("{}/", self.base)).send().await.map(drop).map_err(|error| self.broke(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (tempfile::TempDir, Own) {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(folder.path()).unwrap();
        let Store::Own(own) = Store::open(&MetadataConfig { url, trusted: false }).unwrap() else { panic!() };
        (folder, own)
    }

    #[tokio::test]
    async fn versions_are_kept_and_never_overwritten() {
        let (folder, own) = own();
        let did = Did([1; 32].into());
        assert!(own.versions(&did).await.unwrap().is_empty());
        let bytes = Bytes::from_static("{\"name\": \"Añejo ― データ\"}\n".as_bytes());
        own.create(&did, 1, bytes.clone()).await.unwrap();
        assert!(matches!(own.create(&did, 1, "{}".into()).await, Err(StoreError::Exists { version: 1, .. })));
        for version in 2..=11 {
            own.create(&did, version, format!("{{\"v\": {version}}}").into()).await.unwrap();
        }
        assert_eq!(own.read(&did, 1).await.unwrap(), bytes, "as it was published, byte for byte");
        std::fs::write(folder.path().join(did.digits()).join("notes.txt"), "x").unwrap();
        std::fs::write(folder.path().join(did.digits()).join("012.json"), "x").unwrap();
        let versions: Vec<_> = own.versions(&did).await.unwrap().iter().map(|listed| listed.version).collect();
        assert_eq!(versions, (1..=11).collect::<Vec<_>>());
        assert_eq!(own.dids().await.unwrap(), [did]);
    }

    #[test]
    fn a_store_that_can_not_be_used_is_told_with_what_can() {
        let open = |url: &str| Store::open(&MetadataConfig { url: url.parse().unwrap(), trusted: false });
        let s3 = open("s3://bucket/assets").unwrap_err().to_string();
        assert!(s3.contains("file://") && s3.contains("Aquarius"), "{s3}");
        assert!(open("file:///no/such/folder").unwrap_err().to_string().contains("brizo init"));
        for url in
            ["http://aquarius:5000", "http://aquarius:5000/", "http://aquarius:5000/api/v1/aquarius/assets/ddo/{did}"]
        {
            let Ok(Store::Aquarius(aquarius)) = open(url) else { panic!("{url}") };
            assert_eq!(aquarius.base, "http://aquarius:5000");
        }
    }
}
