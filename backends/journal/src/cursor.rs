//! Where a page ended, as clients carry it: opaque, and signed, so that nobody makes one up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brizo_backend::{Error, ErrorKind, Result};
use jiff::Timestamp;

use crate::keys::{Keys, SIGNATURE};
use crate::paths::Entry;

const VERSION: u8 = 1;

/// Of version, time and id.
const MESSAGE: usize = 1 + 8 + 16;

/// The cursor of the page after `last`.
pub(crate) fn write(last: &Entry, provider: &str, keys: &Keys) -> String {
    let mut message = vec![VERSION];
    message.extend(last.at.as_millisecond().to_be_bytes());
    message.extend(hex::decode(last.id.to_string()).unwrap_or_default());
    message.extend(keys.sign(&signed(provider, &message)));
    URL_SAFE_NO_PAD.encode(message)
}

/// The last entry of the page before.
pub(crate) fn read(cursor: &str, provider: &str, keys: &Keys) -> Result<Entry> {
    parse(cursor, provider, keys).ok_or_else(|| {
        let message = "This cursor is none that a list gave. Send `next` of the page before, as it is, or none.";
        Error::new(ErrorKind::InvalidCursor, "list", message)
    })
}

fn parse(cursor: &str, provider: &str, keys: &Keys) -> Option<Entry> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (message, signature) = bytes.split_at_checked(MESSAGE)?;
    let signature: &[u8; SIGNATURE] = signature.try_into().ok()?;
    if message.first() != Some(&VERSION) || !keys.verify(&signed(provider, message), signature) {
        return None;
    }
    let millis = i64::from_be_bytes(message.get(1..9)?.try_into().ok()?);
    let id = hex::encode(message.get(9..)?).parse().ok()?;
    Some(Entry::new(Timestamp::from_millisecond(millis).ok()?, id))
}

fn signed(provider: &str, message: &[u8]) -> Vec<u8> {
    [provider.as_bytes(), b"/", message].concat()
}
