//! What the algorithm has written: counted several times a second, since a file system without quotas stops nobody.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes on disk, of files that are open and have no name any more too.
    pub(crate) bytes: u64,
    /// Files and folders.
    pub(crate) files: u64,
    /// The largest file's size.
    pub(crate) largest: u64,
    /// Folders in one another, at most.
    pub(crate) depth: usize,
}

impl Written {
    /// The more of both.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.max(other.bytes);
        self.files = self.files.max(other.files);
        self.largest = self.largest.max(other.largest);
        self.depth = self.depth.max(other.depth);
    }
}

/// Bytes of one unit of `st_blocks`.
const BLOCK: u64 = 512;
/// Deeper than this nothing is counted; whoever goes so deep is ended for that.
const DEEPEST: usize = 512;

/// Counts what lies below `folders`, and what the processes `pids` hold open of it without a name.
pub(crate) fn count(folders: &[PathBuf], pids: &[i32]) -> Written {
    let mut written = Written::default();
    let mut seen = HashSet::new();
    let mut devices = HashSet::new();
    for folder in folders {
        if let Ok(metadata) = fs::symlink_metadata(folder) {
            devices.insert(metadata.dev());
        }
        below(folder, 1, &mut written, &mut seen);
    }
    for pid in pids {
        let _ = unnamed(*pid, &devices, &mut written, &mut seen);
    }
    written
}

/// All processes below `init`, itself included: whoever loses his parent becomes its child.
pub(crate) fn processes(init: i32) -> Vec<i32> {
    let mut pids = vec![init];
    let mut at = 0;
    while at < pids.len() {
        let pid = pids[at];
        at += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    pids
}

fn below(folder: &Path, depth: usize, written: &mut Written, seen: &mut HashSet<u64>) {
    written.depth = written.depth.max(depth);
    if depth > DEEPEST {
        return;
    }
    // A folder may vanish, or be closed to its owner, while it is looked at: what is below it then counts no more.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let _ = one(&entry, depth, written, seen);
    }
}

fn one(entry: &DirEntry, depth: usize, written: &mut Written, seen: &mut HashSet<u64>) -> io::Result<()> {
    // Of the entry itself, never of what a link leads to.
    let metadata = entry.metadata()?;
    written.files += 1;
    if metadata.nlink() < 2 || metadata.is_dir() || seen.insert(metadata.ino()) {
        written.bytes += metadata.blocks() * BLOCK;
    }
    if metadata.is_file() {
        written.largest = written.largest.max(metadata.len());
    }
    if metadata.is_dir() {
        below(&entry.path(), depth + 1, written, seen);
    }
    Ok(())
}

fn unnamed(pid: i32, devices: &HashSet<u64>, written: &mut Written, seen: &mut HashSet<u64>) -> io::Result<()> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_file()
            && metadata.nlink() == 0
            && devices.contains(&metadata.dev())
            && seen.insert(metadata.ino())
        {
            written.files += 1;
            written.bytes += metadata.blocks() * BLOCK;
            written.largest = written.largest.max(metadata.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_links_count_once_links_lead_nowhere_and_a_deleted_file_still_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), vec![1; 8192]).unwrap();
        fs::create_dir(at("d")).unwrap();
        fs::hard_link(at("a"), at("d/b")).unwrap();
        std::os::unix::fs::symlink("/usr", at("d/usr")).unwrap();
        let folders = [dir.path().to_owned()];
        let me = [std::process::id().cast_signed()];
        let named = count(&folders, &me);
        assert_eq!((named.files, named.largest), (4, 8192));
        let held = fs::File::open(at("a")).unwrap();
        fs::remove_file(at("a")).unwrap();
        fs::remove_file(at("d/b")).unwrap();
        let unnamed = count(&folders, &me);
        assert_eq!(unnamed.bytes, named.bytes, "removing a file that is open frees nothing");
        drop(held);
        assert!(count(&folders, &me).bytes < named.bytes);
    }
}
