//! Sealing: the URLs of an asset's files, readable by this gateway alone, and only inside the document they were made for.
//!
//! XChaCha20-Poly1305 with the DID and the publisher's address as associated data. The text form, which stands in a
//! document's `encryptedFiles`, is `brizo1.0x<address>.<base64url of nonce and ciphertext>`. See
//! docs/adr/0004-what-a-seal-is-bound-to.md.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use alloy_primitives::Address;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;

use crate::keys::{self, KeyError};
use crate::types::{Did, parse_address, show_address};

/// The version of the text form and of what it is bound to.
const VERSION: &str = "brizo1";
/// What the key that seals is derived under.
const LABEL: &str = "brizo seal 1";
/// Bytes of a nonce.
const NONCE: usize = 24;

/// Why there is no seal key.
#[derive(Debug, thiserror::Error)]
pub enum SealKeyError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] KeyError),
    /// It holds no key.
    #[error("the seal key file {0} holds neither 64 hex digits nor 32 bytes of base64; `brizo init` makes one")]
    Content(PathBuf),
    /// The system gives no random bytes.
    #[error("no random bytes can be had from the system")]
    Random,
}

/// Why a sealed text does not open. It does not say which of the bound things differ: nobody can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Another program's, or garbled.
    #[error("it is not sealed by a gateway of this kind ({VERSION}.…)")]
    Form,
    /// Made under another key, for another DID, for another publisher, or changed.
    #[error("it was sealed under another key, for another asset or for another publisher")]
    Closed,
    /// Sealing itself failed.
    #[error("sealing failed")]
    Failed,
}

/// One seal key: 32 random bytes.
struct SealKey(SecretBox<[u8; 32]>);

impl SealKey {
    fn load(file: &Path) -> Result<Self, SealKeyError> {
        let text = Zeroizing::new(keys::read(file)?);
        let text = text.trim();
        let mut key = Zeroizing::new([0_u8; 32]);
        if hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut *key).is_err() {
            let decoded = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
            if decoded.len() != key.len() {
                return Err(SealKeyError::Content(file.to_owned()));
            }
            key.copy_from_slice(&decoded);
        }
        Ok(Self(SecretBox::new(Box::new(*key))))
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0_u8; 32]);
        // The length is one that HKDF gives.
        let _ = Hkdf::<Sha256>::new(None, self.0.expose_secret()).expand(label.as_bytes(), &mut *key);
        key
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.derive(LABEL)))
    }
}

/// The seal key, and the former ones, which still open.
pub struct SealKeys {
    current: SealKey,
    previous: Vec<SealKey>,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeys(1 and {} former)", self.previous.len())
    }
}

impl SealKeys {
    /// Reads the key files; each may be readable by its owner alone.
    pub fn load(current: &Path, previous: &[PathBuf]) -> Result<Self, SealKeyError> {
        Ok(Self {
            current: SealKey::load(current)?,
            previous: previous.iter().map(|file| SealKey::load(file)).collect::<Result<_, _>>()?,
        })
    }

    /// The text of a new key file.
    pub fn new_key_text() -> Result<Zeroizing<String>, SealKeyError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *key).map_err(|_| SealKeyError::Random)?;
        Ok(Zeroizing::new(format!("{}\n", hex::encode(*key))))
    }

    /// A key for another use, under the current seal key. Each use has a label of its own.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        self.current.derive(label)
    }

    /// The same key under the current seal key and under each former one: for what was made before the key was changed.
    pub fn derive_all(&self, label: &str) -> Vec<Zeroizing<[u8; 32]>> {
        std::iter::once(&self.current).chain(&self.previous).map(|key| key.derive(label)).collect()
    }

    /// Seals for one asset of one publisher, under the current key.
    pub fn seal(&self, did: &Did, publisher: Address, plain: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let payload = Payload { msg: plain, aad: &bound_to(did, publisher) };
        let sealed = self.current.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Failed)?;
        Ok(Sealed { publisher, bytes: [&nonce[..], &sealed].concat() })
    }

    /// Opens what was sealed for this asset, under whichever key.
    pub fn open(&self, did: &Did, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, ciphertext) = sealed.bytes.split_first_chunk::<NONCE>().ok_or(SealError::Form)?;
        let aad = bound_to(did, sealed.publisher);
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find_map(|key| key.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad }).ok())
            .map(Zeroizing::new)
            .ok_or(SealError::Closed)
    }

    /// Whether the current key opens it, so that it need not be sealed again.
    pub(crate) fn is_current(&self, did: &Did, sealed: &Sealed) -> bool {
        let Some((nonce, ciphertext)) = sealed.bytes.split_first_chunk::<NONCE>() else { return false };
        let payload = Payload { msg: ciphertext, aad: &bound_to(did, sealed.publisher) };
        self.current.cipher().decrypt(&XNonce::from(*nonce), payload).is_ok()
    }
}

/// The associated data: version, DID, address, each with its length before it.
fn bound_to(did: &Did, publisher: Address) -> Vec<u8> {
    let mut bound = Vec::with_capacity(96);
    for part in [VERSION.as_bytes(), did.0.as_slice(), publisher.as_slice()] {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

/// A sealed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Whom it was sealed for. Part of what the seal is bound to: another address there opens nothing.
    pub publisher: Address,
    bytes: Vec<u8>,
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}.{}.{}", show_address(&self.publisher), URL_SAFE_NO_PAD.encode(&self.bytes))
    }
}

impl FromStr for Sealed {
    type Err = SealError;
    fn from_str(text: &str) -> Result<Self, SealError> {
        let parts: Vec<&str> = text.split('.').collect();
        let [VERSION, publisher, bytes] = parts[..] else { return Err(SealError::Form) };
        Ok(Self {
            publisher: parse_address(publisher).map_err(|_| SealError::Form)?,
            bytes: URL_SAFE_NO_PAD.decode(bytes).map_err(|_| SealError::Form)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    pub(crate) fn keys(current: u8, previous: &[u8]) -> SealKeys {
        let key = |byte: &u8| SealKey(SecretBox::new(Box::new([*byte; 32])));
        SealKeys { current: key(&current), previous: previous.iter().map(key).collect() }
    }

    const PUBLISHER: Address = Address::repeat_byte(0xaa);

    fn did(byte: u8) -> Did {
        Did([byte; 32].into())
    }

    #[test]
    fn it_opens_only_for_its_asset_and_its_publisher() {
        let keys = keys(1, &[]);
        let text = keys.seal(&did(1), PUBLISHER, b"secret").unwrap().to_string();
        let sealed: Sealed = text.parse().unwrap();
        assert_eq!(keys.open(&did(1), &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(keys.open(&did(2), &sealed), Err(SealError::Closed), "copied into another document");
        let claimed = Sealed { publisher: Address::repeat_byte(0xbb), ..sealed.clone() };
        assert_eq!(keys.open(&did(1), &claimed), Err(SealError::Closed), "under another's name");
        let mut changed = sealed.clone();
        changed.bytes[30] ^= 1;
        assert_eq!(keys.open(&did(1), &changed), Err(SealError::Closed));
        let stranger = tests::keys(9, &[]).seal(&did(1), PUBLISHER, b"secret").unwrap();
        assert_eq!(keys.open(&did(1), &stranger), Err(SealError::Closed), "made by a stranger");
        assert!(!text.contains("secret"));
        assert_ne!(text, keys.seal(&did(1), PUBLISHER, b"secret").unwrap().to_string());
    }

    #[test]
    fn a_former_key_still_opens_and_only_the_current_one_seals() {
        let sealed = keys(1, &[]).seal(&did(1), PUBLISHER, b"secret").unwrap();
        let both = keys(2, &[7, 1]);
        assert_eq!(both.open(&did(1), &sealed).unwrap().as_slice(), b"secret");
        assert!(!both.is_current(&did(1), &sealed));
        let again = both.seal(&did(1), PUBLISHER, b"secret").unwrap();
        assert!(both.is_current(&did(1), &again));
        assert_eq!(keys(2, &[]).open(&did(1), &again).unwrap().as_slice(), b"secret");
        assert_eq!(keys(1, &[]).open(&did(1), &again), Err(SealError::Closed));
    }

    #[test]
    fn what_is_no_sealed_text_is_told_from_one_that_stays_closed() {
        for text in [
            "",
            "0x2e48ceef",
            "brizo1",
            "brizo1.0xaa.AAAA",
            "brizo2.0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.AAAA",
            "brizo1.0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.!!",
            "brizo1.0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.AAAA.AAAA",
        ] {
            assert_eq!(text.parse::<Sealed>(), Err(SealError::Form), "{text}");
        }
        let short: Sealed = format!("brizo1.{PUBLISHER}.AAAA").parse().unwrap();
        assert_eq!(keys(1, &[]).open(&did(1), &short), Err(SealError::Form));
    }

    #[test]
    fn each_use_has_a_key_of_its_own() {
        let keys = keys(1, &[2]);
        assert_ne!(*keys.derive("links"), *keys.derive("job secrets"));
        assert_eq!(*keys.derive("links"), *keys.derive_all("links")[0]);
        assert_ne!(*keys.derive_all("links")[0], *keys.derive_all("links")[1]);
        assert!(!format!("{keys:?}").contains('['));
    }

    fn file(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let file = folder.join(format!("{}-{mode:o}", text.len()));
        let mut out =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&file).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn key_files_are_their_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let new = SealKeys::new_key_text().unwrap();
        let hex = file(folder.path(), &new, 0o600);
        let bytes = hex::decode(new.trim()).unwrap();
        let base64 = file(folder.path(), &STANDARD.encode(&bytes), 0o600);
        let sealed = SealKeys::load(&hex, &[]).unwrap().seal(&did(1), PUBLISHER, b"x").unwrap();
        assert!(SealKeys::load(&base64, &[]).unwrap().open(&did(1), &sealed).is_ok(), "both spellings are one key");
        let open = file(folder.path(), &new, 0o644);
        assert!(SealKeys::load(&open, &[]).unwrap_err().to_string().contains("chmod 600"));
        let short = file(folder.path(), "hunter2", 0o600);
        let error = SealKeys::load(&short, &[]).unwrap_err().to_string();
        assert!(error.contains("brizo init") && !error.contains("hunter2"), "{error}");
    }
}
