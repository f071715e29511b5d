//! The index of a log: one fixed-width record for each piece that was read from the algorithm.
//!
//! A record holds where the log stood *after* its piece, in each stream; both numbers only grow, so that a byte of any
//! selection (stdout, stderr, both) is found by a binary search, whatever the length of the log. A piece is written
//! before its record: what has no whole record was never there, so a torn tail needs no repair.

use brizo_backend::LogStream;

/// Bytes of a record.
pub(crate) const RECORD: u64 = 32;

/// One piece of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Bytes of stdout so far, this piece's included.
    pub(crate) stdout_end: u64,
    /// Bytes of stderr so far, this piece's included.
    pub(crate) stderr_end: u64,
    /// When it was read, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Its length.
    pub(crate) length: u32,
    /// Its stream.
    pub(crate) stream: LogStream,
}

impl Record {
    /// The bytes of the record.
    pub(crate) fn encode(&self) -> [u8; RECORD as usize] {
        let mut bytes = [0; RECORD as usize];
        bytes[0..8].copy_from_slice(&self.stdout_end.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stderr_end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.at_ms.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28] = match self.stream {
            LogStream::Stdout => 1,
            LogStream::Stderr => 2,
        };
        bytes
    }

    /// The record of these bytes, if they are one.
    pub(crate) fn decode(bytes: &[u8; RECORD as usize]) -> Option<Self> {
        let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let stream = match bytes[28] {
            1 => LogStream::Stdout,
            2 => LogStream::Stderr,
            _ => return None,
        };
        Some(Self {
            stdout_end: word(0)?,
            stderr_end: word(8)?,
            at_ms: word(16)?.cast_signed(),
            length: u32::from_le_bytes(bytes[24..28].try_into().ok()?),
            stream,
        })
    }

    /// Where the log stands after it, counted within what is selected.
    pub(crate) fn end(&self, selected: Option<LogStream>) -> u64 {
        match selected {
            None => self.stdout_end.saturating_add(self.stderr_end),
            Some(LogStream::Stdout) => self.stdout_end,
            Some(LogStream::Stderr) => self.stderr_end,
        }
    }

    /// Where its piece ends in its own stream.
    pub(crate) fn own_end(&self) -> u64 {
        self.end(Some(self.stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record =
            Record { stdout_end: 7, stderr_end: u64::MAX - 1, at_ms: -5, length: 65_536, stream: LogStream::Stderr };
        assert_eq!(Record::decode(&record.encode()), Some(record));
        assert_eq!(Record::decode(&[0; RECORD as usize]), None, "a hole left by a crash is no record");
    }
}
