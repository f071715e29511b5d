//! Private keys in files: the provider's, and a consumer's.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use alloy_signer_local::PrivateKeySigner;

/// Why a key can't be had. Never holds any of the file's bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("the key file {file} can't be read: {cause}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Others may read the file.
    #[error("the key file {file} can be read by others (mode {mode:o}); run `chmod 600 {file}`")]
    Mode {
        /// Which.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds no key.
    #[error("the key file {file} holds neither 64 hex digits nor a keystore (JSON)")]
    Content {
        /// Which.
        file: PathBuf,
    },
    /// A keystore needs its password.
    #[error("{file} is a keystore; name the file of its password (--password-file)")]
    NoPassword {
        /// Which.
        file: PathBuf,
    },
    /// The keystore does not open.
    #[error("the keystore {file} does not open with that password")]
    Password {
        /// Which.
        file: PathBuf,
    },
    /// The file can't be written.
    #[error("the key file {file} can't be written: {cause}")]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// The most that a key file may hold, in bytes.
const MAX: u64 = 64 * 1024;

/// Reads a private key: 64 hex digits (with or without `0x`), or a Web3 keystore (version 3), which needs the file of its
/// password. A file that others than its owner may read is refused.
pub fn load(file: &Path, password_file: Option<&Path>) -> Result<PrivateKeySigner, KeyError> {
    let text = read(file)?;
    let trimmed = text.trim();
    if trimmed.starts_with('{') {
        let password_file = password_file.ok_or_else(|| KeyError::NoPassword { file: file.to_owned() })?;
        let password = read(password_file)?;
        return PrivateKeySigner::decrypt_keystore(file, password.trim_end_matches(['\r', '\n']))
            .map_err(|_| KeyError::Password { file: file.to_owned() });
    }
    let mut key = [0_u8; 32];
    hex::decode_to_slice(trimmed.strip_prefix("0x").unwrap_or(trimmed), &mut key)
        .map_err(|_| KeyError::Content { file: file.to_owned() })?;
    PrivateKeySigner::from_slice(&key).map_err(|_| KeyError::Content { file: file.to_owned() })
}

/// Makes a new random key and writes it to `file`, which must not exist; only its owner may read it.
pub fn create(file: &Path) -> Result<PrivateKeySigner, KeyError> {
    let write = |cause| KeyError::Write { file: file.to_owned(), cause };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        std::fs::create_dir_all(folder).map_err(write)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(write)?;
    }
    let signer = PrivateKeySigner::random();
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(write)?;
    writeln!(out, "{}", hex::encode(signer.to_bytes())).and_then(|()| out.sync_all()).map_err(write)?;
    Ok(signer)
}

/// The text of a file that only its owner may read.
pub fn read(file: &Path) -> Result<String, KeyError> {
    let error = |cause| KeyError::Read { file: file.to_owned(), cause };
    let open = File::open(file).map_err(error)?;
    let mode = open.metadata().map_err(error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode { file: file.to_owned(), mode });
    }
    let mut text = String::new();
    (&open).take(MAX).read_to_string(&mut text).map_err(error)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_its_owners_alone_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/key");
        let key = create(&file).unwrap();
        assert_eq!(load(&file, None).unwrap().address(), key.address());
        assert!(matches!(create(&file), Err(KeyError::Write { .. })), "an existing key is never overwritten");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(load(&file, None).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_file_that_is_no_key_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hunter2").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let text = load(&file, None).unwrap_err().to_string();
        assert!(text.contains("64 hex digits") && !text.contains("hunter2"), "{text}");
    }
}
