use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;

use brizo_backend::{Output, OutputPath, Skipped};
use sha2::{Digest as _, Sha256};

/// Writes the manifest: a line with what was skipped, then a line for each output, sorted by path; JSON each. Returns
/// its SHA-256 in hex.
pub(super) fn write(path: &Path, outputs: &[Output], skipped: &[Skipped]) -> io::Result<String> {
    let half = path.with_extension("half");
    let mut file = Hashing { inner: BufWriter::new(File::create(&half)?), hasher: Sha256::new() };
    line(&mut file, &skipped)?;
    for output in outputs {
        line(&mut file, output)?;
    }
    file.inner.flush()?;
    file.inner.get_ref().sync_data()?;
    std::fs::rename(&half, path)?;
    Ok(hex::encode(file.hasher.finalize()))
}

fn line(to: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a manifest: a page costs what it holds, a search its logarithm, however many outputs there are.
#[derive(Debug)]
pub struct ManifestReader {
    file: File,
    /// Of the file.
    size: u64,
    /// Where the outputs begin.
    first: u64,
}

impl ManifestReader {
    /// Opens the manifest at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut reader = Self { file, size, first: 0 };
        reader.first = reader.line(0)?.len() as u64;
        Ok(reader)
    }

    /// What was skipped.
    pub fn skipped(&self) -> io::Result<Vec<Skipped>> {
        Ok(serde_json::from_slice(&self.line(0)?)?)
    }

    /// At most `limit` outputs from the place `at` on (0: from the first on), and the place of the next page. A place
    /// that no page gave is `InvalidInput`.
    pub fn page(&self, at: u64, limit: usize) -> io::Result<(Vec<Output>, Option<u64>)> {
        let garbled = || io::Error::new(io::ErrorKind::InvalidInput, "no place of a page");
        let mut at = if at == 0 { self.first } else { at };
        if at < self.first || at > self.size || self.byte_before(at)? != b'\n' {
            return Err(garbled());
        }
        let mut lines = BufReader::new(&self.file);
        lines.seek(SeekFrom::Start(at))?;
        let mut items = Vec::new();
        let mut text = Vec::new();
        while items.len() < limit && at < self.size {
            text.clear();
            at += lines.read_until(b'\n', &mut text)? as u64;
            items.push(serde_json::from_slice(&text)?);
        }
        Ok((items, (at < self.size).then_some(at)))
    }

    /// The output of this path.
    pub fn find(&self, path: &OutputPath) -> io::Result<Option<Output>> {
        // Of the lines that begin in low..high one may be it.
        let (mut low, mut high) = (self.first, self.size);
        while low < high {
            let middle = self.line_start(low, low + (high - low) / 2)?;
            let text = self.line(middle)?;
            let output: Output = serde_json::from_slice(&text)?;
            match output.path.cmp(path) {
                std::cmp::Ordering::Equal => return Ok(Some(output)),
                std::cmp::Ordering::Less => low = middle + text.len() as u64,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The start of the line that the byte `at` belongs to; `low` is the start of a line before it.
    fn line_start(&self, low: u64, at: u64) -> io::Result<u64> {
        const STEP: u64 = 512;
        let mut end = at;
        while end > low {
            let start = end.saturating_sub(STEP).max(low);
            let mut bytes = vec![0; (end - start) as usize];
            std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut bytes, start)?;
            if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
                return Ok(start + newline as u64 + 1);
            }
            end = start;
        }
        Ok(low)
    }

    fn line(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(at))?;
        let mut text = Vec::new();
        reader.read_until(b'\n', &mut text)?;
        Ok(text)
    }

    fn byte_before(&self, at: u64) -> io::Result<u8> {
        let mut byte = [0];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut byte, at - 1)?;
        Ok(byte[0])
    }
}
