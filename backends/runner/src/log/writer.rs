use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use brizo_backend::{LogStream, LogTotals};

use super::index::{RECORD, Record};
use super::{INDEX, STDERR, STDOUT};

/// Keeps both streams of one algorithm, each byte as it came.
#[derive(Debug)]
pub struct LogWriter {
    stdout: File,
    stderr: File,
    index: File,
    totals: LogTotals,
    records: u64,
}

impl LogWriter {
    /// A new log in the folder `at`, which must exist and hold none.
    pub fn create(at: &Path) -> io::Result<Self> {
        let open = |name| OpenOptions::new().append(true).create_new(true).mode(0o600).open(at.join(name));
        Ok(Self {
            stdout: open(STDOUT)?,
            stderr: open(STDERR)?,
            index: open(INDEX)?,
            totals: LogTotals::default(),
            records: 0,
        })
    }

    /// Appends a piece, read at `at_ms` (milliseconds since 1970). The piece goes before its record, so that a reader
    /// never sees a record whose bytes are not there.
    pub fn append(&mut self, stream: LogStream, at_ms: i64, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(super::MAX_PIECE) {
            let length = piece.len() as u64;
            match stream {
                LogStream::Stdout => {
                    self.stdout.write_all(piece)?;
                    self.totals.stdout_bytes += length;
                }
                LogStream::Stderr => {
                    self.stderr.write_all(piece)?;
                    self.totals.stderr_bytes += length;
                }
            }
            let record = Record {
                stdout_end: self.totals.stdout_bytes,
                stderr_end: self.totals.stderr_bytes,
                at_ms,
                length: piece.len() as u32,
                stream,
            };
            self.index.write_all(&record.encode())?;
            self.records += 1;
        }
        Ok(())
    }

    /// Bytes of both streams so far.
    pub fn totals(&self) -> LogTotals {
        self.totals
    }

    /// What the log takes on disk, its index included.
    pub fn disk_bytes(&self) -> u64 {
        self.totals.stdout_bytes + self.totals.stderr_bytes + self.records * RECORD
    }

    /// Makes it durable.
    pub fn sync(&self) -> io::Result<()> {
        self.stdout.sync_data()?;
        self.stderr.sync_data()?;
        self.index.sync_data()
    }
}
