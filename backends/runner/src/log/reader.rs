use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use brizo_backend::{LogChunk, LogStream, LogTotals};
use bytes::Bytes;
use jiff::Timestamp;

use super::index::{RECORD, Record};
use super::{INDEX, MAX_PIECE, STDERR, STDOUT};

/// Reads a selection of a log from an offset on, while it is written or after its end, in constant memory.
#[derive(Debug)]
pub struct LogReader {
    stdout: File,
    stderr: File,
    index: File,
    selected: Option<LogStream>,
    /// Next byte, counted within what is selected.
    offset: u64,
    /// The record to look at next; `None` until the offset has been found.
    next: Option<u64>,
}

impl LogReader {
    /// Opens the log in the folder `at`; `None` if there is none (yet).
    pub fn open(at: &Path, selected: Option<LogStream>, offset: u64) -> io::Result<Option<Self>> {
        let open = |name: &str| match File::open(at.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        };
        // The writer makes the index last.
        let Some(index) = open(INDEX)? else { return Ok(None) };
        let (Some(stdout), Some(stderr)) = (open(STDOUT)?, open(STDERR)?) else { return Ok(None) };
        Ok(Some(Self { stdout, stderr, index, selected, offset, next: None }))
    }

    /// The next piece, of at most 64 KiB; `None` if nothing more has been written.
    pub fn next_chunk(&mut self) -> io::Result<Option<LogChunk>> {
        let records = self.records()?;
        let mut at = match self.next {
            Some(at) => at,
            None => self.find(records)?,
        };
        while at < records {
            let record = self.record(at)?;
            let end = record.end(self.selected);
            let mine = self.selected.is_none_or(|stream| stream == record.stream);
            if mine && end > self.offset {
                self.next = Some(at + 1);
                return self.piece(&record, end).map(Some);
            }
            at += 1;
        }
        // Past the end of what there is: remember where to go on, unless the offset lies further yet.
        self.next = (records > 0 && self.record(records - 1)?.end(self.selected) >= self.offset).then_some(records);
        Ok(None)
    }

    /// The piece of `record`, from the reader's offset on.
    fn piece(&mut self, record: &Record, end: u64) -> io::Result<LogChunk> {
        let length = (end - self.offset).min(u64::from(record.length)).min(MAX_PIECE as u64);
        let start = record.own_end().checked_sub(length).ok_or_else(broken)?;
        let mut bytes = vec![0; length as usize];
        let file = match record.stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        };
        file.read_exact_at(&mut bytes, start)?;
        let offset = end - length;
        self.offset = end;
        let at = Timestamp::from_millisecond(record.at_ms).map_err(|_| broken())?;
        Ok(LogChunk { stream: record.stream, offset, at, bytes: Bytes::from(bytes) })
    }

    /// The first record whose end lies past the offset.
    fn find(&self, records: u64) -> io::Result<u64> {
        let (mut low, mut high) = (0, records);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle)?.end(self.selected) > self.offset {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    fn records(&self) -> io::Result<u64> {
        Ok(self.index.metadata()?.len() / RECORD)
    }

    fn record(&self, at: u64) -> io::Result<Record> {
        let mut bytes = [0; RECORD as usize];
        self.index.read_exact_at(&mut bytes, at * RECORD)?;
        Record::decode(&bytes).ok_or_else(broken)
    }
}

/// Totals of the log in the folder `at`, as far as it has been written; none is an empty one.
pub fn log_totals(at: &Path) -> io::Result<LogTotals> {
    let Some(reader) = LogReader::open(at, None, 0)? else { return Ok(LogTotals::default()) };
    let records = reader.records()?;
    if records == 0 {
        return Ok(LogTotals::default());
    }
    let last = reader.record(records - 1)?;
    Ok(LogTotals { stdout_bytes: last.stdout_end, stderr_bytes: last.stderr_end })
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the log's index is damaged")
}
