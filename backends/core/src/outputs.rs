use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{OutputPath, Result};

/// A published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Below `/data/outputs`.
    pub path: OutputPath,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

/// Something in `/data/outputs` that was not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its path as far as it can be shown; what is no UTF-8 is replaced.
    pub path: String,
    /// Why.
    pub why: SkipReason,
}

/// Why something was not published. It fails nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link, wherever it leads.
    SymbolicLink,
    /// A file with a second name.
    HardLink,
    /// A device node.
    Device,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// Its name is no UTF-8, or its path longer than 1,024 bytes.
    Name,
    /// A folder deeper than the publisher walks.
    TooDeep,
    /// Past the number of files that are published.
    TooMany,
    /// It could not be read.
    Unreadable,
}

/// What publish stored: written once beside the outputs; `ended` holds its count, bytes and SHA-256.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Sorted by path.
    pub outputs: Vec<Output>,
    /// Sorted by path.
    pub skipped: Vec<Skipped>,
}

/// A page of outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputPage {
    /// Sorted by path.
    pub items: Vec<Output>,
    /// On the first page, all that was skipped (at most 1,000 entries).
    pub skipped: Vec<Skipped>,
    /// The next page's cursor; `None` on the last one.
    pub next: Option<String>,
}

/// A range of bytes, as RFC 9110 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last byte, both included; without a last one to the end.
    From {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix(u64),
}

impl ByteRange {
    /// The half-open range in a file of `size` bytes; `None` if it can't be satisfied.
    pub fn resolve(self, size: u64) -> Option<std::ops::Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1)).min(size),
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The bytes of an output, streamed.
pub struct ByteStream {
    /// The whole file's facts.
    pub output: Output,
    /// Which bytes of it come.
    pub range: std::ops::Range<u64>,
    /// They, in pieces of at most 1 MiB.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("output", &self.output).field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ByteRange;

    #[test]
    fn ranges_of_rfc_9110() {
        let from = |first, last| ByteRange::From { first, last };
        assert_eq!(from(0, Some(0)).resolve(10), Some(0..1));
        assert_eq!(from(5, None).resolve(10), Some(5..10));
        assert_eq!(from(5, Some(99)).resolve(10), Some(5..10));
        assert_eq!(from(10, None).resolve(10), None);
        assert_eq!(from(3, Some(2)).resolve(10), None);
        assert_eq!(from(0, Some(u64::MAX)).resolve(10), Some(0..10));
        assert_eq!(ByteRange::Suffix(3).resolve(10), Some(7..10));
        assert_eq!(ByteRange::Suffix(99).resolve(10), Some(0..10));
        assert_eq!(ByteRange::Suffix(0).resolve(10), None);
        assert_eq!(from(0, None).resolve(0), None, "nothing of an empty file can be had as a range");
    }
}
