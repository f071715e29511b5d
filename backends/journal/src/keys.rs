//! What is derived from the seal key: the key of the secrets, and the one that cursors are signed with.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a nonce, which stands before what is sealed with it.
const NONCE: usize = 24;

/// Bytes of a signature.
pub(crate) const SIGNATURE: usize = 16;

/// The keys of a journal: those of the current seal key, with which it seals and signs, and those of earlier ones, which
/// still open and verify.
#[derive(Clone)]
pub struct Keys(Vec<Derived>);

#[derive(Clone)]
struct Derived {
    secrets: [u8; 32],
    cursors: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} of them)", self.0.len())
    }
}

impl Keys {
    /// Derives the journal's keys, by HKDF-SHA256, from the seal key and the previous ones.
    pub fn new(seal_key: &[u8; 32], previous: &[[u8; 32]]) -> Self {
        let derived = std::iter::once(seal_key).chain(previous).map(|key| {
            let derive = |purpose: &str| {
                let mut derived = [0; 32];
                // 32 bytes are within the 8,160 that HKDF-SHA256 can give.
                let _ = Hkdf::<Sha256>::new(None, key).expand(purpose.as_bytes(), &mut derived);
                derived
            };
            Derived { secrets: derive("brizo/journal/secrets/1"), cursors: derive("brizo/journal/cursors/1") }
        });
        Self(derived.collect())
    }

    /// Seals `plain` to `associated`: a random nonce, then XChaCha20-Poly1305. `None` if there is no randomness.
    pub(crate) fn seal(&self, plain: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: plain, aad: associated };
        let cipher = XChaCha20Poly1305::new(&self.0.first()?.secrets.into());
        let mut sealed = nonce.to_vec();
        sealed.extend(cipher.encrypt(&XNonce::from(nonce), payload).ok()?);
        Some(sealed)
    }

    /// Opens what any of the keys sealed to `associated`.
    pub(crate) fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.0.iter().find_map(|keys| {
            let payload = Payload { msg: sealed, aad: associated };
            XChaCha20Poly1305::new(&keys.secrets.into()).decrypt(&XNonce::from(*nonce), payload).ok()
        })
    }

    /// Signs a cursor.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        if let Some(mac) = self.0.first().and_then(|keys| mac(keys, message)) {
            signature.copy_from_slice(&mac.finalize().into_bytes()[..SIGNATURE]);
        }
        signature
    }

    /// Whether any of the keys signed it.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        self.0.iter().any(|keys| mac(keys, message).is_some_and(|mac| mac.verify_truncated_left(signature).is_ok()))
    }
}

fn mac(keys: &Derived, message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&keys.cursors).ok()?;
    mac.update(message);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise secrets of one job would open in another's name, or be lost when the seal key changes.
    #[test]
    fn sealed_to_what_it_belongs_to_and_opened_by_previous_keys() {
        let old = Keys::new(&[1; 32], &[]);
        let sealed = old.seal(b"https://data.example/secret", b"job 1").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        let new = Keys::new(&[2; 32], &[[1; 32]]);
        assert_eq!(new.open(&sealed, b"job 1").unwrap(), b"https://data.example/secret");
        assert_eq!(new.open(&sealed, b"job 2"), None);
        assert_eq!(Keys::new(&[2; 32], &[]).open(&sealed, b"job 1"), None);
        assert_eq!(new.open(&sealed[..20], b"job 1"), None);
        let signature = old.sign(b"x");
        assert!(new.verify(b"x", &signature) && !new.verify(b"y", &signature));
    }
}
