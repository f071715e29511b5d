//! `collect`: what the algorithm left in its outputs, with sizes and SHA-256, in a manifest that is read in pages.
//!
//! Runs when nothing of the algorithm runs any more. No link is ever followed: what is no plain file of its own is
//! listed as skipped, with the reason, and fails nothing.

mod manifest;
mod walk;

use std::io;

use brizo_backend::facts::ManifestFact;
use brizo_backend::{Output, OutputTotals, SkipReason, Skipped};

use crate::layout::Layout;

pub use manifest::ManifestReader;
pub use walk::open_output;

/// How much is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files.
    pub files: usize,
}

/// The most files that are published of one job.
pub const MAX_FILES: usize = 100_000;
/// The most folders in one another that are looked into.
const MAX_DEPTH: usize = 64;
/// The most skipped entries that are listed; more are only counted.
const MAX_SKIPPED: usize = 1000;

/// What was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// For the job's end.
    pub manifest: ManifestFact,
    /// Bytes that the algorithm wrote to its outputs, if they were more than may be published: then of the files, in the
    /// order of their paths, only those are published that fit.
    pub over: Option<u64>,
}

/// Walks the outputs in `layout`, and writes the manifest.
pub fn collect(layout: &Layout, caps: Caps) -> io::Result<Collected> {
    let mut found = walk::walk(&layout.outputs(), caps.files)?;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut outputs: Vec<Output> = Vec::with_capacity(found.files.len());
    let (mut bytes, mut written) = (0_u64, 0_u64);
    for file in found.files {
        written = written.saturating_add(file.bytes);
        if bytes.saturating_add(file.bytes) > caps.bytes {
            found.skipped.push(file.path.to_string(), SkipReason::TooMany);
            continue;
        }
        match walk::hash(&layout.outputs(), &file) {
            Ok(output) => {
                bytes += output.bytes;
                outputs.push(output);
            }
            Err(_) => found.skipped.push(file.path.to_string(), SkipReason::Unreadable),
        }
    }
    // What is listed must be there after the machine has fallen.
    walk::sync(&layout.outputs(), &outputs)?;
    let totals = OutputTotals { count: outputs.len() as u64, bytes, skipped: found.skipped.total };
    found.skipped.listed.sort_by(|a, b| a.path.cmp(&b.path));
    let sha256 = manifest::write(&layout.manifest(), &outputs, &found.skipped.listed)?;
    Ok(Collected { manifest: ManifestFact { totals, sha256 }, over: (written > caps.bytes).then_some(written) })
}

/// What is skipped: all of it counted, the first of it listed.
#[derive(Debug, Default)]
struct SkippedSoFar {
    total: u64,
    listed: Vec<Skipped>,
}

impl SkippedSoFar {
    fn push(&mut self, path: String, why: SkipReason) {
        self.total += 1;
        if self.listed.len() < MAX_SKIPPED {
            self.listed.push(Skipped { path, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    const CAPS: Caps = Caps { bytes: 1 << 20, files: MAX_FILES };

    fn outputs() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir(layout.outputs()).unwrap();
        (dir, layout)
    }

    #[test]
    fn nested_and_empty_files_are_found_links_and_devices_only_named() {
        let (dir, layout) = outputs();
        let at = layout.outputs();
        fs::create_dir_all(at.join("a/b")).unwrap();
        fs::create_dir(at.join("e")).unwrap();
        fs::write(at.join("a/b/c.txt"), "hello").unwrap();
        fs::write(at.join("done"), "").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink(dir.path().join("secret"), at.join("x")).unwrap();
        symlink(".", at.join("loop")).unwrap();
        fs::hard_link(dir.path().join("secret"), at.join("hard")).unwrap();
        nix::unistd::mkfifo(&at.join("p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at.join("s")).unwrap();
        fs::write(at.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        fs::write(at.join("closed"), "c").unwrap();
        fs::set_permissions(at.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();

        let collected = collect(&layout, CAPS).unwrap();
        assert_eq!(collected.manifest.totals, OutputTotals { count: 3, bytes: 6, skipped: 6 });
        assert_eq!(collected.over, None);
        let reader = ManifestReader::open(&layout.manifest()).unwrap();
        let (items, next) = reader.page(0, 10).unwrap();
        let paths: Vec<_> = items.iter().map(|output| output.path.as_str()).collect();
        assert_eq!(paths, ["a/b/c.txt", "closed", "done"]);
        assert_eq!(next, None);
        assert_eq!(items[0].sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(items[2].bytes, 0);
        let skipped: Vec<_> = reader.skipped().unwrap().into_iter().map(|s| (s.path, s.why)).collect();
        assert_eq!(
            skipped,
            [
                ("bad\u{fffd}".to_owned(), SkipReason::Name),
                ("hard".to_owned(), SkipReason::HardLink),
                ("loop".to_owned(), SkipReason::SymbolicLink),
                ("p".to_owned(), SkipReason::Fifo),
                ("s".to_owned(), SkipReason::Socket),
                ("x".to_owned(), SkipReason::SymbolicLink),
            ]
        );
    }

    #[test]
    fn a_manifest_is_paged_and_searched_without_reading_it_whole() {
        let (_dir, layout) = outputs();
        for n in 0..500 {
            fs::write(layout.outputs().join(format!("{n:04}-{}", "é".repeat(n % 40))), n.to_string()).unwrap();
        }
        collect(&layout, CAPS).unwrap();
        let reader = ManifestReader::open(&layout.manifest()).unwrap();
        let (mut at, mut all) = (0, Vec::new());
        loop {
            let (items, next) = reader.page(at, 7).unwrap();
            assert!(items.len() <= 7);
            all.extend(items);
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        assert_eq!(all.len(), 500);
        assert!(all.is_sorted_by(|a, b| a.path < b.path));
        for output in &all {
            assert_eq!(reader.find(&output.path).unwrap().as_ref(), Some(output));
        }
        assert_eq!(reader.find(&"0000".parse().unwrap()).unwrap(), None);
        assert_eq!(reader.find(&"zzz".parse().unwrap()).unwrap(), None);
        assert!(reader.page(4, 7).is_err(), "a garbled cursor is refused");
    }

    #[test]
    fn what_is_over_the_limit_is_not_published() {
        let (_dir, layout) = outputs();
        for (name, size) in [("a", 10), ("b", 100), ("c", 10)] {
            fs::write(layout.outputs().join(name), vec![0; size]).unwrap();
        }
        let collected = collect(&layout, Caps { bytes: 50, files: 10 }).unwrap();
        assert_eq!(collected.over, Some(120));
        assert_eq!(collected.manifest.totals, OutputTotals { count: 2, bytes: 20, skipped: 1 });
        let few = collect(&layout, Caps { bytes: 500, files: 2 }).unwrap();
        assert_eq!(few.manifest.totals.count, 2);
    }
}
