//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Creates `path` with `bytes`, durably, unless it exists: then nothing changes and the answer is `false`. Of any number
/// of writers exactly one wins, and no reader ever sees a part.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let half = write_beside(path, bytes)?;
    let linked = fs::hard_link(&half, path);
    let _ = fs::remove_file(&half);
    match linked {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// As [`create`], but not durable: for what may be lost with the machine.
pub fn create_light(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let half = beside(path);
    let linked = fs::write(&half, bytes).and_then(|()| fs::hard_link(&half, path));
    let _ = fs::remove_file(&half);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes `path` anew, whole; what stood there before is gone. Not durable: for what may be lost with the machine.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let half = beside(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    let done = file.write_all(bytes).and_then(|()| fs::rename(&half, path));
    if done.is_err() {
        let _ = fs::remove_file(&half);
    }
    done
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let half = beside(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    let done = file.write_all(bytes).and_then(|()| file.sync_data());
    if let Err(error) = done {
        let _ = fs::remove_file(&half);
        return Err(error);
    }
    Ok(half)
}

/// A name that nobody else uses, in the same folder.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}#{}-{next}", std::process::id()))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_many_writers_one_wins_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fact");
        let won = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8_u8)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || super::create(path, &[n]).unwrap()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
