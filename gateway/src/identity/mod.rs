//! Who signed this? Two families, both checked without any memory.
//!
//! - [`access`]: the new API's bearer, a typed (EIP-712) signature with audience, scopes and an end.
//! - [`personal`]: what the old clients sign, the text of their parameters (EIP-191) or a token with a time.
//!
//! Only externally owned accounts can sign: a contract's signature (EIP-1271) would need the chain to be checked.

pub mod access;
pub mod personal;

pub use crate::signature::{SignatureError, VRule, recover};
pub use access::{Access, Audiences, Scope, Scopes, issue_token};

use jiff::{SignedDuration, Timestamp};

/// How far a signer's clock may be from the gateway's, and how far past its end a signature is still taken.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Why nobody is known to have signed. The text is for the client, and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unauthenticated(pub String);

impl Unauthenticated {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// With the gateway's time, without which a wrong clock can't be told from a wrong signature.
    fn at(text: &str, now: Timestamp) -> Self {
        Self(format!("{text} The gateway's time is {}.", brizo_backend::rfc3339(now)))
    }
}

impl From<SignatureError> for Unauthenticated {
    fn from(error: SignatureError) -> Self {
        Self(error.to_string())
    }
}
