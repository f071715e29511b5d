//! The store on a local file system: plain files, created once, durable when the call returns.
//!
//! object_store's `LocalFileSystem` is not used for this. It can sync (`with_fsync`), but: it syncs one thing after the
//! other, about ten flushes of the disk for a submit where two rounds of simultaneous ones do; a folder that another
//! writer has just made counts as durable there although that one's sync is still to come; its half-written files lie
//! in the job's own folder after a crash; it lists in no order; and the process that runs a job has to write the same
//! files, with the same care, without a runtime. The files and folders are laid out as `LocalFileSystem` would.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::store::{Folder, Level, Object};

/// How often a write begins anew when a folder vanishes under it, since a remover saw it empty.
const ATTEMPTS: usize = 32;

/// Of a thread that only syncs.
const STACK: usize = 64 << 10;

/// How many folders are remembered as durable.
const REMEMBERED: usize = 4096;

/// A folder of the local file system as a store.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    root: PathBuf,
    staging: PathBuf,
    durable: Arc<Mutex<HashMap<PathBuf, Incarnation>>>,
    /// Whether all folders that it writes to are durable, and it starts no thread.
    settled: bool,
}

/// Tells a folder from another one that was made later under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Incarnation {
    inode: u64,
    created: SystemTime,
}

impl Incarnation {
    /// `None` where the file system keeps no time of birth: then nothing is remembered.
    fn of(folder: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(folder)?;
        Ok(metadata.created().ok().map(|created| Self { inode: metadata.ino(), created }))
    }
}

impl Files {
    /// Opens `root`, an absolute folder, which is made if it is missing.
    pub(crate) fn open(root: &Path, staging: &str) -> io::Result<Self> {
        let durable = Arc::new(Mutex::new(HashMap::new()));
        let files = Self { root: root.to_owned(), staging: root.join(staging), durable, settled: false };
        make_folders(&files.staging)?;
        Ok(files)
    }

    /// For writes into folders that were durable before, such as a submitted job's; no thread is started for them.
    pub(crate) fn settled(self) -> Self {
        Self { settled: true, ..self }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Creates `path` with `bytes`; false if it exists, durable in either case.
    pub(crate) fn create(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        self.commit(&[], path, bytes)
    }

    /// Creates the empty `entries`, in their order, then `path` with `bytes`, which does not exist before all entries
    /// are durable. False if `path` exists.
    pub(crate) fn commit(&self, entries: &[String], path: &str, bytes: &[u8]) -> io::Result<bool> {
        let target = self.path(path);
        let folder = parent(&target)?;
        let mut unsynced = Unsynced::default();
        for entry in entries {
            let entry = self.path(entry);
            anew(|| {
                make_folders(parent(&entry)?)?;
                match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&entry) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                    _ => Ok(()),
                }
            })?;
            unsynced.add(parent(&entry)?);
            self.above(parent(&entry)?, &mut unsynced)?;
        }
        let staged = Staged::new(&self.staging, bytes)?;
        anew(|| make_folders(folder))?;
        unsynced.file = Some(&staged.file);
        self.above(folder, &mut unsynced)?;
        self.sync(unsynced)?;
        let created = anew(|| {
            make_folders(folder)?;
            match fs::hard_link(&staged.path, &target) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })?;
        drop(staged);
        // The folder may be another one by now; and who finds the file there must know that it is durable as well.
        let mut unsynced = Unsynced::default();
        unsynced.add(folder);
        self.above(folder, &mut unsynced)?;
        self.sync(unsynced)?;
        Ok(created)
    }

    /// Adds what has to be synced so that `folder` itself is durable.
    fn above(&self, folder: &Path, unsynced: &mut Unsynced<'_>) -> io::Result<()> {
        if self.settled {
            return Ok(());
        }
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folder.ancestors().take_while(|folder| *folder != self.root) {
            // Gone again: what was in it is gone too, and the link that follows will say so.
            let incarnation = match Incarnation::of(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                incarnation => incarnation?,
            };
            if incarnation.is_none() || durable.get(folder) != incarnation.as_ref() {
                unsynced.add(parent(folder)?);
                unsynced.learned.extend(incarnation.map(|incarnation| (folder.to_owned(), incarnation)));
            }
        }
        Ok(())
    }

    /// Syncs all at once: simultaneous flushes cost the disk little more than one.
    fn sync(&self, unsynced: Unsynced<'_>) -> io::Result<()> {
        std::thread::scope(|scope| {
            let mut folders = unsynced.folders.iter();
            // One of them is this thread's.
            let own = if unsynced.file.is_none() { folders.next() } else { None };
            let others: Vec<_> = folders
                .map(|folder| {
                    // Where no thread can be had, one after the other.
                    let thread = std::thread::Builder::new().stack_size(STACK);
                    thread.spawn_scoped(scope, move || sync_folder(folder)).map_err(|_| sync_folder(folder))
                })
                .collect();
            let own = own.map_or(Ok(()), |folder| sync_folder(folder));
            let file = unsynced.file.map_or(Ok(()), File::sync_all);
            let others = others.into_iter().map(|other| match other {
                Ok(thread) => thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that syncs panicked"))),
                Err(synced) => synced,
            });
            others.fold(own.and(file), io::Result::and)
        })?;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() > REMEMBERED {
            durable.clear();
        }
        durable.extend(unsynced.learned);
        Ok(())
    }

    /// The first `limit` bytes of a file; `None` if there is none.
    pub(crate) fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = found(File::open(self.path(path)))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Of the files `names` in `folder`, those that are there: with their bytes, unless `known` has their tag.
    pub(crate) fn read_folder(
        &self,
        folder: &str,
        names: &[&'static str],
        known: &[Option<String>],
        limit: u64,
    ) -> io::Result<Vec<Object>> {
        let folder = self.path(folder);
        let mut objects = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let Some(file) = found(File::open(folder.join(name)))? else { continue };
            let metadata = file.metadata()?;
            let tag = format!("{}-{}-{}", metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
            let bytes = if known.get(n).is_some_and(|known| known.as_ref() == Some(&tag)) {
                None
            } else {
                let mut bytes = Vec::new();
                file.take(limit).read_to_end(&mut bytes)?;
                Some(bytes.into())
            };
            objects.push(Object { name, tag, bytes });
        }
        Ok(objects)
    }

    /// Removes files, and the folders that are empty then. Not synced: a removal that is lost is made again.
    pub(crate) fn remove(&self, paths: &[String]) -> io::Result<()> {
        for path in paths {
            let path = self.path(path);
            found(fs::remove_file(&path))?;
            for folder in path.ancestors().skip(1).take_while(|folder| folder.parent() != Some(&*self.root)) {
                if *folder == *self.root || fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The names in a folder, sorted; none if it is missing.
    pub(crate) fn level(&self, folder: &str) -> io::Result<Level> {
        let mut level = Level::default();
        let Some(entries) = found(fs::read_dir(self.path(folder)))? else { return Ok(level) };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                level.folders.push(name);
            } else if kind.is_file() {
                level.files.push(name);
            }
        }
        level.folders.sort_unstable();
        level.files.sort_unstable();
        Ok(level)
    }

    /// What is in a job's folder.
    pub(crate) fn contents(&self, folder: &str) -> io::Result<Folder> {
        let level = self.level(folder)?;
        Ok(Folder { files: level.files, others: !level.folders.is_empty() })
    }

    /// Removes an empty folder; one that is not empty, or not there, is left.
    pub(crate) fn remove_folder(&self, folder: &str) {
        let _ = fs::remove_dir(self.path(folder));
    }

    /// Whether files can be written.
    pub(crate) fn probe(&self) -> io::Result<()> {
        Staged::new(&self.staging, b"probe").map(drop)
    }

    /// Removes what crashes have left of writes that began before `before`.
    pub(crate) fn sweep_staging(&self, before: SystemTime) -> io::Result<()> {
        let Some(entries) = found(fs::read_dir(&self.staging))? else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if found(entry.metadata())?.is_some_and(|metadata| metadata.modified().is_ok_and(|at| at < before)) {
                found(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }
}

/// What has to be synced before a write is durable.
#[derive(Default)]
struct Unsynced<'a> {
    file: Option<&'a File>,
    folders: Vec<PathBuf>,
    /// What is known once it is.
    learned: Vec<(PathBuf, Incarnation)>,
}

impl Unsynced<'_> {
    fn add(&mut self, folder: &Path) {
        if !self.folders.iter().any(|known| known == folder) {
            self.folders.push(folder.to_owned());
        }
    }
}

/// A file that is written, and not yet in its place. Removed when dropped.
struct Staged {
    path: PathBuf,
    file: File,
}

impl Staged {
    fn new(staging: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let path = staging.join(hex::encode(name));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match file {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_folders(staging)?;
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?
            }
            file => file?,
        };
        let mut staged = Self { path, file };
        staged.file.write_all(bytes)?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Tries again while a folder vanishes between its making and its use.
fn anew<T>(mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match write() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
    }
    write()
}

/// Nobody but the gateway's own user reads them.
fn make_folders(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        // It was there, and had vanished when it was looked at what it was.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !folder.is_file() => {
            Err(io::Error::new(ErrorKind::NotFound, error))
        }
        made => made,
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    // Removed meanwhile: then nothing of ours is in it, and its entry above need not last.
    found(File::open(folder))?.map_or(Ok(()), |folder| folder.sync_all())
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a path without a folder"))
}

/// `None` for what is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
