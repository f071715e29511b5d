//! What the journal asks of a store: create once, read, remove, list in order.

use std::io;
use std::sync::Arc;

use brizo_backend::{Error, ErrorKind};
use bytes::Bytes;
use futures::future::try_join_all;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::files::Files;

/// How many requests of one operation are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// How often a folder is read anew when objects vanish meanwhile.
const ATTEMPTS: usize = 8;

/// Where the objects are.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// A folder of the local file system.
    Files(Files),
    /// An object store that lists in the order of names.
    Objects(Arc<dyn ObjectStore>),
}

/// A fact's file, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: &'static str,
    /// Differs from that of any other object that ever was there.
    pub(crate) tag: String,
    /// `None` if the caller knew the tag.
    pub(crate) bytes: Option<Bytes>,
}

/// A folder's names, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    pub(crate) folders: Vec<String>,
    pub(crate) files: Vec<String>,
}

/// What is in a job's folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    pub(crate) files: Vec<String>,
    /// Whether there are folders in it.
    pub(crate) others: bool,
}

/// Why a store did not do it.
#[derive(Debug)]
pub(crate) struct StoreError {
    full: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// As an error of `operation`.
    pub(crate) fn during(self, operation: &'static str) -> Error {
        if self.full {
            let message = "There is no room left where jobs are recorded. Delete jobs, or make room.";
            Error::new(ErrorKind::StorageFull, operation, message).source(self.source)
        } else {
            let message = "The store of the jobs does not answer as it should. Try again.";
            Error::new(ErrorKind::Unavailable, operation, message).source(self.source)
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(source: io::Error) -> Self {
        let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self { full, source: source.into() }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(source: object_store::Error) -> Self {
        Self { full: false, source: source.into() }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// Runs `work` where it may block: in the runtime's pool, or here if there is no runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Ok(work()?);
    }
    Ok(tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??)
}

impl Store {
    /// Creates the empty `entries`, in this order as far as a crash of this process can tell, then `path` with `bytes`,
    /// which does not exist before they are durable. False if `path` exists. Durable when it returns.
    pub(crate) async fn commit(&self, entries: Vec<String>, path: String, bytes: Vec<u8>) -> Result<bool> {
        match self {
            Self::Files(files) => {
                let files = files.clone();
                blocking(move || files.commit(&entries, &path, &bytes)).await
            }
            Self::Objects(objects) => {
                let mut entries = entries.into_iter();
                if let Some(first) = entries.next() {
                    put(objects, &first, Vec::new()).await?;
                }
                let entries: Vec<_> = entries.collect();
                for entries in entries.chunks(AT_ONCE) {
                    try_join_all(entries.iter().map(|entry| put(objects, entry, Vec::new()))).await?;
                }
                put(objects, &path, bytes).await
            }
        }
    }

    /// Creates `path`; false if it exists. Durable when it returns.
    pub(crate) async fn create(&self, path: String, bytes: Vec<u8>) -> Result<bool> {
        match self {
            Self::Files(files) => {
                let files = files.clone();
                blocking(move || files.create(&path, &bytes)).await
            }
            Self::Objects(objects) => put(objects, &path, bytes).await,
        }
    }

    /// The first `limit` bytes of an object; `None` if there is none.
    pub(crate) async fn read(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        match self {
            Self::Files(files) => {
                let (files, path) = (files.clone(), path.to_owned());
                Ok(blocking(move || files.read(&path, limit)).await?.map(Into::into))
            }
            Self::Objects(objects) => get(objects, &Path::from(path), limit).await,
        }
    }

    /// Of the objects `names` in `folder`, those that are there, in the order of `names`: with their first `limit` bytes,
    /// unless `known` has their tag.
    pub(crate) async fn read_folder<const N: usize>(
        &self,
        folder: &str,
        names: [&'static str; N],
        known: [Option<String>; N],
        limit: u64,
    ) -> Result<Vec<Object>> {
        match self {
            Self::Files(files) => {
                let (files, folder) = (files.clone(), folder.to_owned());
                blocking(move || files.read_folder(&folder, &names, &known, limit)).await
            }
            Self::Objects(objects) => {
                for _ in 0..ATTEMPTS {
                    if let Some(found) = read_objects(objects, folder, &names, &known, limit).await? {
                        return Ok(found);
                    }
                }
                Err(io::Error::other("objects vanish while they are read").into())
            }
        }
    }

    /// Removes objects, one after the other; a missing one is fine.
    pub(crate) async fn remove(&self, paths: Vec<String>) -> Result<()> {
        match self {
            Self::Files(files) => {
                let files = files.clone();
                blocking(move || files.remove(&paths)).await
            }
            Self::Objects(objects) => {
                for path in paths {
                    match objects.delete(&Path::from(path)).await {
                        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
        }
    }

    /// What is in a job's folder.
    pub(crate) async fn contents(&self, folder: &str) -> Result<Folder> {
        match self {
            Self::Files(files) => {
                let (files, folder) = (files.clone(), folder.to_owned());
                blocking(move || files.contents(&folder)).await
            }
            Self::Objects(objects) => {
                let listed = objects.list_with_delimiter(Some(&Path::from(folder))).await?;
                let files = listed.objects.iter().filter_map(|meta| meta.location.filename().map(str::to_owned));
                Ok(Folder { files: files.collect(), others: !listed.common_prefixes.is_empty() })
            }
        }
    }

    /// Removes a folder of the file system that is empty.
    pub(crate) async fn remove_folder(&self, folder: &str) -> Result<()> {
        let Self::Files(files) = self else { return Ok(()) };
        let (files, folder) = (files.clone(), folder.to_owned());
        blocking(move || {
            files.remove_folder(&folder);
            Ok(())
        })
        .await
    }

    /// The names in a folder of the file system.
    pub(crate) async fn level(files: &Files, folder: String) -> Result<Level> {
        let files = files.clone();
        blocking(move || files.level(&folder)).await
    }

    /// Whether the store answers, and (a local one) takes files.
    pub(crate) async fn probe(&self, provider: &str) -> Result<()> {
        match self {
            Self::Files(files) => {
                let files = files.clone();
                blocking(move || files.probe()).await
            }
            Self::Objects(objects) => get(objects, &Path::from(format!("{provider}/health")), 1).await.map(|_| ()),
        }
    }

    /// Removes what crashes have left of writes that began more than ten minutes ago.
    pub(crate) async fn sweep_staging(&self) -> Result<()> {
        let Self::Files(files) = self else { return Ok(()) };
        let files = files.clone();
        blocking(move || match std::time::SystemTime::now().checked_sub(std::time::Duration::from_mins(10)) {
            Some(before) => files.sweep_staging(before),
            None => Ok(()),
        })
        .await
    }
}

/// As [`Store::read_folder`]; `None` if an object that was listed is gone: then others may be gone as well, and what is
/// left would tell of a job that never was like this.
async fn read_objects(
    objects: &Arc<dyn ObjectStore>,
    folder: &str,
    names: &[&'static str],
    known: &[Option<String>],
    limit: u64,
) -> Result<Option<Vec<Object>>> {
    let listed = objects.list_with_delimiter(Some(&Path::from(folder))).await?.objects;
    let mut found = Vec::new();
    for (name, known) in names.iter().zip(known) {
        if let Some(meta) = listed.iter().find(|meta| meta.location.filename() == Some(name)) {
            let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{}-{}", meta.last_modified, meta.size));
            let known = known.as_ref() == Some(&tag);
            found.push((Object { name, tag, bytes: None }, known, &meta.location));
        }
    }
    let unknown = found.iter().filter(|(_, known, _)| !known);
    let mut read = try_join_all(unknown.map(|(_, _, location)| get(objects, location, limit))).await?.into_iter();
    let mut objects = Vec::new();
    for (mut object, known, _) in found {
        if !known {
            let Some(bytes) = read.next().flatten() else { return Ok(None) };
            object.bytes = Some(bytes);
        }
        objects.push(object);
    }
    Ok(Some(objects))
}

async fn put(objects: &Arc<dyn ObjectStore>, path: &str, bytes: Vec<u8>) -> Result<bool> {
    let options = PutOptions::from(PutMode::Create);
    match objects.put_opts(&Path::from(path), PutPayload::from(bytes), options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn get(objects: &Arc<dyn ObjectStore>, path: &Path, limit: u64) -> Result<Option<Bytes>> {
    let options = GetOptions { range: Some(GetRange::Bounded(0..limit)), ..GetOptions::default() };
    match objects.get_opts(path, options).await {
        Ok(result) => Ok(Some(result.bytes().await?)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
