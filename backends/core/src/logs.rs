use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stream of the algorithm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Which part of a log to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// One stream, or both in the order in which they were written.
    pub stream: Option<LogStream>,
    /// The first byte to read, counted within what `stream` selects. Past the end: nothing.
    pub offset: u64,
    /// Whether to go on until the job has ended.
    pub follow: bool,
}

/// A piece of a log. Any bytes: nothing says that it is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written to.
    pub stream: LogStream,
    /// Of its first byte, counted as in [`LogOptions::offset`]; `offset + bytes.len()` goes on after it.
    pub offset: u64,
    /// When it was read from the algorithm.
    pub at: Timestamp,
    /// At most 64 KiB.
    pub bytes: Bytes,
}
