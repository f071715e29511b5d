use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::FileFault;

/// A file that is being staged: counts, hashes and bounds what is written to it.
pub(crate) struct Sink {
    file: File,
    mode: u32,
    hasher: Sha256,
    bytes: u64,
    most: u64,
}

impl Sink {
    /// A new file at `path`, which gets `mode` at the end.
    pub(super) fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, mode, hasher: Sha256::new(), bytes: 0, most: u64::MAX })
    }

    /// Bounds what may come.
    pub(super) fn expect(&mut self, most: Option<u64>) {
        self.most = most.unwrap_or(u64::MAX);
    }

    /// Whether `bytes` of them could come at all.
    pub(super) fn announce(&self, bytes: u64) -> Result<(), FileFault> {
        if bytes > self.most { Err(self.too_large()) } else { Ok(()) }
    }

    /// Appends a piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), FileFault> {
        self.announce(self.bytes.saturating_add(piece.len() as u64))?;
        self.file.write_all(piece).map_err(FileFault::Host)?;
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Forgets what came, for another try.
    pub(super) fn restart(&mut self) -> Result<(), FileFault> {
        self.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.file)).map_err(FileFault::Host)?;
        self.hasher = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    /// The end: checks what came, and opens it to its reader.
    pub(super) fn finish(&mut self, expected: Option<&str>) -> Result<(), FileFault> {
        if let Some(expected) = expected {
            let found = self.sha256();
            if !expected.eq_ignore_ascii_case(&found) {
                return Err(FileFault::Definite(format!("has the SHA-256 {found}, and {expected} was demanded")));
            }
        }
        self.file.set_permissions(Permissions::from_mode(self.mode)).map_err(FileFault::Host)
    }

    /// The most bytes that may come.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hasher.clone().finalize())
    }

    fn too_large(&self) -> FileFault {
        FileFault::Definite(format!("is larger than the {} bytes that it may have", self.most))
    }
}
