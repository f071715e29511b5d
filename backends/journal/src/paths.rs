//! The layout: what lies where. Every path is relative to the store's root and begins with the provider's address.
//!
//! ```text
//! <provider>/jobs/<id>/{submitted,stop,started,ended,deleted}
//! <provider>/index/all/…              every job, newest first
//! <provider>/index/owner/<label>/…    of an owner, newest first
//! <provider>/index/agreement/<label>/…
//! <provider>/index/open/…             that have no `ended` yet, newest first
//! <provider>/index/closed/…           that have, by the time of their end, oldest first
//! <provider>/index/deleting/…         whose deletion is under way, oldest first
//! <provider>/index/graves/…           tombstones, oldest first
//! ```
//!
//! An entry's place below its index is its time in milliseconds as 12 hex digits (counted down where the newest comes
//! first), two to a folder; the last two begin the file's name, the id follows: `fe/69/…/a0/3f<id>`. So the order of
//! names is the order of (time, id), no folder of a file system holds more than 256 folders, one of files those of 256
//! milliseconds, and a page costs the same whatever the number of jobs.

use std::fmt;

use brizo_backend::{JobId, Owner};
use jiff::Timestamp;

/// The largest time that an entry can have: 48 bits of milliseconds.
const TIME_MAX: u64 = (1 << 48) - 1;

/// How many folders lie between an index and its entries.
pub(crate) const DEPTH: usize = 5;

/// The facts of a job, in the order in which they are read: what follows from another one before it, so that with a fact
/// its causes are seen; and the tombstone at last, since the others go after it.
pub(crate) const FACTS: [&str; 5] = [ENDED, STARTED, STOP, SUBMITTED, DELETED];
pub(crate) const SUBMITTED: &str = "submitted";
pub(crate) const STOP: &str = "stop";
pub(crate) const STARTED: &str = "started";
pub(crate) const ENDED: &str = "ended";
pub(crate) const DELETED: &str = "deleted";

/// An index of jobs by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Index {
    All,
    Owner(String),
    Agreement(String),
    Open,
    Closed,
    Deleting,
    Graves,
}

impl Index {
    /// Whether the newest comes first.
    const fn newest_first(&self) -> bool {
        matches!(self, Self::All | Self::Owner(_) | Self::Agreement(_) | Self::Open)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Owner(label) => write!(f, "owner/{label}"),
            Self::Agreement(label) => write!(f, "agreement/{label}"),
            Self::Open => f.write_str("open"),
            Self::Closed => f.write_str("closed"),
            Self::Deleting => f.write_str("deleting"),
            Self::Graves => f.write_str("graves"),
        }
    }
}

/// The paths of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    provider: String,
}

impl Paths {
    /// Of this provider; `None` if its text can't be a folder's name.
    pub(crate) fn new(provider: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        ((1..=64).contains(&provider.len()) && provider.bytes().all(plain))
            .then(|| Self { provider: provider.to_owned() })
    }

    pub(crate) fn provider(&self) -> &str {
        &self.provider
    }

    /// Where writes of a local file system begin, before they are linked into place.
    pub(crate) fn staging(&self) -> String {
        format!("{}/staging", self.provider)
    }

    pub(crate) fn folder(&self, id: &JobId) -> String {
        format!("{}/jobs/{id}", self.provider)
    }

    pub(crate) fn fact(&self, id: &JobId, name: &str) -> String {
        format!("{}/jobs/{id}/{name}", self.provider)
    }

    pub(crate) fn index(&self, index: &Index) -> String {
        format!("{}/index/{index}", self.provider)
    }

    pub(crate) fn entry(&self, index: &Index, entry: &Entry) -> String {
        format!("{}/{}", self.index(index), entry.name(index))
    }
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) id: JobId,
    /// What else its name says: `-` and words, or nothing.
    pub(crate) tail: String,
}

impl Entry {
    pub(crate) fn new(at: Timestamp, id: JobId) -> Self {
        Self { at, id, tail: String::new() }
    }

    /// An open job's: its owner and agreements, so that they can be counted, and debris of them found, without reading.
    pub(crate) fn open(at: Timestamp, id: JobId, owner: &Owner, agreements: &[String]) -> Self {
        // A name has at most 255 bytes: a job of more agreements leaves an entry or two behind if it never commits,
        // which the lists then pass over.
        let mut tail = format!("-{}", owner.label());
        for agreement in agreements.iter().take(8) {
            tail.push('-');
            tail.push_str(agreement);
        }
        Self { at, id, tail }
    }

    /// A closed job's: its owner, and the bytes that are kept of it.
    pub(crate) fn closed(at: Timestamp, id: JobId, owner: &Owner, bytes: u64) -> Self {
        Self { at, id, tail: format!("-{}-{bytes}", owner.label()) }
    }

    /// The words of its tail.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.tail.split('-').skip(1)
    }

    /// Its path below its index.
    pub(crate) fn name(&self, index: &Index) -> String {
        format!("{}{}{}", place(index, self.at), self.id, self.tail)
    }

    /// Reads [`Entry::name`]; `None` for what is no entry.
    pub(crate) fn parse(index: &Index, name: &str) -> Option<Self> {
        let mut digits = String::with_capacity(12);
        let mut rest = name;
        for _ in 0..DEPTH {
            let (folder, below) = rest.split_once('/')?;
            if folder.len() != 2 {
                return None;
            }
            digits.push_str(folder);
            rest = below;
        }
        digits.push_str(rest.get(..2)?);
        let id = rest.get(2..34)?.parse().ok()?;
        let tail = &rest[34..];
        if !(tail.is_empty() || tail.starts_with('-')) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut millis = u64::from_str_radix(&digits, 16).ok()?;
        if index.newest_first() {
            millis = TIME_MAX - millis;
        }
        let at = Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?;
        Some(Self { at, id, tail: tail.to_owned() })
    }
}

/// The time's part of an entry's path: `aa/bb/cc/dd/ee/ff`.
fn place(index: &Index, at: Timestamp) -> String {
    let mut millis = u64::try_from(at.as_millisecond()).unwrap_or(0).min(TIME_MAX);
    if index.newest_first() {
        millis = TIME_MAX - millis;
    }
    let digits = format!("{millis:012x}");
    let mut place = String::with_capacity(18);
    for (n, pair) in digits.as_bytes().chunks(2).enumerate() {
        if n > 0 {
            place.push('/');
        }
        place.extend(pair.iter().map(|b| char::from(*b)));
    }
    place
}

/// The path that comes before all entries of `at` and later (in the order of the index).
pub(crate) fn position(index: &Index, at: Timestamp) -> String {
    place(index, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    /// Otherwise a list would not be in the order of commit.
    #[test]
    fn names_sort_by_time_and_id_and_come_back() {
        let id = |n: u8| format!("{n:032x}").parse::<JobId>().unwrap();
        let owner: Owner = "0xabc".parse().unwrap();
        for index in [Index::All, Index::Closed] {
            let mut entries = vec![
                Entry::new(at(1_700_000_000_000), id(2)),
                Entry::new(at(1_700_000_000_255), id(1)),
                Entry::open(at(1_700_000_000_256), id(3), &owner, &["aa".to_owned()]),
                Entry::closed(at(1_700_000_070_000), id(4), &owner, 12),
                Entry::new(at(1_900_000_000_000), id(5)),
            ];
            if index.newest_first() {
                entries.reverse();
            }
            let names: Vec<_> = entries.iter().map(|entry| entry.name(&index)).collect();
            assert!(names.is_sorted(), "{names:?}");
            for (name, entry) in names.iter().zip(&entries) {
                assert_eq!(Entry::parse(&index, name).as_ref(), Some(entry));
            }
        }
        for bad in ["", "aa/bb", "aa/bb/cc/dd/ee/ff", "aa/bb/cc/dd/e/ff00000000000000000000000000000001"] {
            assert_eq!(Entry::parse(&Index::All, bad), None, "{bad}");
        }
    }

    /// A provider's text that leaves its folder would let one provider sweep another's jobs.
    #[test]
    fn a_provider_is_one_folder() {
        for bad in ["", ".", "..", "a/b", "0x12 "] {
            assert!(Paths::new(bad).is_none(), "{bad:?}");
        }
        assert!(Paths::new("0x00Bd138aBD70e2F00903268F3Db08f2D25677C9e").is_some());
    }
}
