//! Links to outputs and logs that need no bearer: they name their end, and carry a MAC under a key derived from the seal key.

use std::fmt;

use brizo_backend::{JobId, OutputPath};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use crate::problem::{Code, Problem};

/// How long a link works, in seconds.
pub(crate) const LINK_LIFE_S: i64 = 3_600;

/// What stands as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The key that signs links; never shown.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

impl LinkKey {
    /// Derived from the seal key, so that every gateway of a provider makes and takes the same links.
    pub fn derive(seal_key: &[u8]) -> Self {
        let mut key = [0_u8; 32];
        // 32 bytes are far below what HKDF-SHA256 can give; it can't fail.
        let _ = Hkdf::<Sha256>::new(None, seal_key).expand(b"brizo output links 1", &mut key);
        Self(key)
    }

    fn mac(&self, id: &JobId, what: Linked<'_>, expires: i64) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        let id = id.to_string();
        let (kind, path) = match what {
            Linked::Output(path) => ("output", path.as_str()),
            Linked::Log => ("log", ""),
        };
        for part in [kind.as_bytes(), id.as_bytes(), path.as_bytes(), &expires.to_be_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// The link to `what`, good from `now` (Unix seconds) for an hour.
    pub(crate) fn link(&self, public_url: &str, id: &JobId, what: Linked<'_>, now: i64) -> String {
        let expires = now + LINK_LIFE_S;
        let mac = hex::encode(self.mac(id, what, expires).finalize().into_bytes());
        let place = match what {
            Linked::Output(path) => format!("outputs/{}", encode_path(path)),
            Linked::Log => "logs".to_owned(),
        };
        format!("{public_url}/api/v1/jobs/{id}/{place}?expires={expires}&mac={mac}")
    }

    /// Whether `mac` is a link's of ours to `what` that has not ended.
    pub(crate) fn check(&self, id: &JobId, what: Linked<'_>, expires: i64, mac: &str, now: i64) -> Result<(), Problem> {
        let refuse = |text| Err(Problem::new(Code::Unauthenticated, text));
        let mut bytes = [0_u8; 32];
        if hex::decode_to_slice(mac, &mut bytes).is_err() || self.mac(id, what, expires).verify_slice(&bytes).is_err() {
            return refuse("The link is not one of this gateway's; ask again for a fresh one.");
        }
        if now > expires {
            return refuse("The link has expired; ask again for a fresh one.");
        }
        Ok(())
    }
}

/// What a link opens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Linked<'a> {
    /// One output of a job.
    Output(&'a OutputPath),
    /// The job's log.
    Log,
}

/// A path as it stands in a URL: each part percent-encoded, the slashes between them as they are.
fn encode_path(path: &OutputPath) -> String {
    let parts: Vec<_> = path.as_str().split('/').map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_its_output_alone_and_only_for_an_hour() {
        let key = LinkKey::derive(b"seal key");
        let (id, other) = (JobId::random(), JobId::random());
        let path: OutputPath = "plots/roc ü.svg".parse().unwrap();
        let what = Linked::Output(&path);
        let link = key.link("http://gw", &id, what, 1_000);
        assert!(link.starts_with(&format!("http://gw/api/v1/jobs/{id}/outputs/plots/roc%20%C3%BC.svg?")), "{link}");
        let mac = link.rsplit('=').next().unwrap();
        let expires = 1_000 + LINK_LIFE_S;
        assert!(key.check(&id, what, expires, mac, expires).is_ok());
        assert!(key.check(&id, what, expires, mac, expires + 1).unwrap_err().detail().contains("expired"));
        assert!(key.check(&id, what, expires + 1, mac, 1_000).is_err());
        assert!(key.check(&other, what, expires, mac, 1_000).is_err());
        assert!(key.check(&id, Linked::Output(&"plots".parse().unwrap()), expires, mac, 1_000).is_err());
        assert!(key.check(&id, Linked::Log, expires, mac, 1_000).is_err());
        assert!(key.check(&id, what, expires, "", 1_000).is_err());
        assert!(LinkKey::derive(b"another").check(&id, what, expires, mac, 1_000).is_err());
        assert!(!format!("{key:?}").contains(&hex::encode(key.0)));
    }
}
