//! Goes through an index in its order, reading no more of it than is asked for.

use brizo_backend::Result;
use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::files::Files;
use crate::paths::{DEPTH, Entry, Index, Paths};
use crate::store::{Store, StoreError};

/// A walk through one index.
pub(crate) struct Walk {
    index: Index,
    operation: &'static str,
    prefix: String,
    after: String,
    source: Source,
    /// How many names of the file system were read for it.
    #[cfg(test)]
    names: usize,
}

enum Source {
    /// A file system lists in no order, but a folder is small: what is left of each level, the last name first.
    Files { files: Files, levels: Vec<(String, Vec<String>)> },
    /// Listed by the store in the order of names.
    Objects(BoxStream<'static, std::result::Result<String, StoreError>>),
}

impl Walk {
    /// Through the entries of `index` whose name is greater than `after`; all of them if that is empty.
    pub(crate) fn new(store: &Store, paths: &Paths, index: Index, after: String, operation: &'static str) -> Self {
        let prefix = paths.index(&index);
        let source = match store {
            Store::Files(files) => Source::Files { files: files.clone(), levels: Vec::new() },
            Store::Objects(objects) => Source::Objects(list(objects.as_ref(), &prefix, &after)),
        };
        let mut walk = Self {
            index,
            operation,
            prefix,
            after,
            source,
            #[cfg(test)]
            names: 0,
        };
        if let Source::Files { levels, .. } = &mut walk.source {
            levels.push((String::new(), vec![String::new()]));
        }
        walk
    }

    /// The next entry; what is no entry is passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let Some(name) = self.next_name().await.map_err(|error| error.during(self.operation))? else {
                return Ok(None);
            };
            if let Some(entry) = Entry::parse(&self.index, &name) {
                return Ok(Some(entry));
            }
        }
    }

    /// At most `count` entries; fewer only at the end.
    pub(crate) async fn some(&mut self, count: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        while entries.len() < count {
            match self.next().await? {
                Some(entry) => entries.push(entry),
                None => break,
            }
        }
        Ok(entries)
    }

    async fn next_name(&mut self) -> std::result::Result<Option<String>, StoreError> {
        let (files, levels) = match &mut self.source {
            Source::Objects(names) => return names.next().await.transpose(),
            Source::Files { files, levels } => (files, levels),
        };
        // levels[0] holds the index itself; levels[n] the folders of depth n; levels[DEPTH + 1] the files.
        loop {
            let depth = levels.len();
            let Some((folder, names)) = levels.last_mut() else { return Ok(None) };
            let Some(name) = names.pop() else {
                levels.pop();
                continue;
            };
            let path = match (folder.is_empty(), name.is_empty()) {
                (true, _) => name,
                (false, _) => format!("{folder}/{name}"),
            };
            if depth == DEPTH + 2 {
                return Ok(Some(path));
            }
            let full = if path.is_empty() { self.prefix.clone() } else { format!("{}/{path}", self.prefix) };
            let level = Store::level(files, full).await?;
            let mut below = if depth == DEPTH + 1 { level.files } else { level.folders };
            #[cfg(test)]
            {
                self.names += below.len();
            }
            let files = depth == DEPTH + 1;
            below.retain(|name| {
                let name = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                if files { name > self.after } else { may_hold_after(&name, &self.after) }
            });
            below.reverse();
            levels.push((path, below));
        }
    }
}

/// Whether names below `folder` can be greater than `after`.
fn may_hold_after(folder: &str, after: &str) -> bool {
    after.get(..folder.len()).is_none_or(|start| folder >= start)
}

fn list(
    objects: &dyn ObjectStore,
    prefix: &str,
    after: &str,
) -> BoxStream<'static, std::result::Result<String, StoreError>> {
    let root = Path::from(prefix);
    let listed = if after.is_empty() {
        objects.list(Some(&root))
    } else {
        objects.list_with_offset(Some(&root), &Path::from(format!("{prefix}/{after}")))
    };
    let start = prefix.len() + 1;
    listed
        .map(move |meta| {
            let location = meta?.location;
            Ok(location.as_ref().get(start..).unwrap_or_default().to_owned())
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    /// Otherwise a page on a disk costs more, the more jobs there are.
    #[test]
    fn a_page_on_a_disk_reads_few_small_folders() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new("0x1").unwrap();
        let store = Store::Files(Files::open(folder.path(), &paths.staging()).unwrap());
        let mut at = Timestamp::from_second(1_790_000_000).unwrap();
        let mut entries = Vec::new();
        let mut costs = Vec::new();
        for number in [100, 3000] {
            while entries.len() < number {
                let entry = Entry::new(at, format!("{:032x}", entries.len()).parse().unwrap());
                let path = folder.path().join(paths.entry(&Index::All, &entry));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, b"").unwrap();
                entries.insert(0, entry);
                at = at.checked_add(SignedDuration::from_millis(171)).unwrap();
            }
            let mut walk = Walk::new(&store, &paths, Index::All, String::new(), "list");
            // Without a runtime all is done at the first poll.
            let page = futures::FutureExt::now_or_never(walk.some(100)).unwrap().unwrap();
            assert_eq!(page, entries[..100]);
            costs.push(walk.names);
            let after = format!("{}z", entries[49].name(&Index::All));
            let mut walk = Walk::new(&store, &paths, Index::All, after, "list");
            let page = futures::FutureExt::now_or_never(walk.some(50)).unwrap().unwrap();
            assert_eq!(page, entries[50..100]);
            costs.push(walk.names);
        }
        assert!(costs.iter().all(|names| *names < 1000), "{costs:?}");
    }

    /// Otherwise a page would begin before or behind its cursor.
    #[test]
    fn folders_before_the_cursor_are_passed_over() {
        let after = "aa/bb/cc/dd/ee/ff0123";
        for (folder, right) in [("a9", false), ("aa", true), ("ab", true), ("aa/ba", false), ("aa/bb/cd", true)] {
            assert_eq!(may_hold_after(folder, after), right, "{folder}");
        }
        assert!(may_hold_after("00", ""));
    }
}
