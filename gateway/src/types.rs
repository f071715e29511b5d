//! The gateway's own vocabulary: values that are parsed once, at the door, and are types from then on.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::B256;
pub use alloy_primitives::{Address, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the value that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not {expected}")]
pub struct ParseError {
    /// What would be right.
    pub expected: &'static str,
    /// What came, shortened to 80 characters.
    pub got: String,
}

impl ParseError {
    fn new(expected: &'static str, got: &str) -> Self {
        Self { expected, got: got.chars().take(80).collect() }
    }
}

/// The id of a Service Agreement: 32 bytes that its consumer chose. Written as `0x` and 64 hex digits in lower case;
/// read with or without `0x`, in any case (squid-js leaves `0x` out).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgreementId(pub B256);

/// The id of an asset: `did:op:` and 64 hex digits. On chain it is the 32 bytes alone.
/// Read with or without `did:op:` or `0x`; written in full, in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Did(pub B256);

fn hash_from_hex(text: &str) -> Option<B256> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(B256::from(bytes))
}

impl FromStr for AgreementId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        hash_from_hex(text.strip_prefix("0x").unwrap_or(text))
            .map(Self)
            .ok_or_else(|| ParseError::new("an agreement id: 0x and 64 hex digits", text))
    }
}

impl FromStr for Did {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = text.strip_prefix("did:op:").unwrap_or(text);
        hash_from_hex(digits.strip_prefix("0x").unwrap_or(digits))
            .map(Self)
            .ok_or_else(|| ParseError::new("a DID: did:op: and 64 hex digits", text))
    }
}

impl fmt::Display for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl Did {
    /// The 64 hex digits without `did:op:`; the name of its folder among an algorithm's inputs.
    pub fn digits(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:op:{}", hex::encode(self.0))
    }
}

/// Parses an address in any case, with or without `0x`. A wrong checksum case is no error: wallets and old clients differ.
pub fn parse_address(text: &str) -> Result<Address, ParseError> {
    let mut bytes = [0_u8; 20];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
        .map_err(|_| ParseError::new("an address: 0x and 40 hex digits", text))?;
    Ok(Address::from(bytes))
}

/// An address as the wire shows it: `0x` and 40 hex digits in lower case.
pub fn show_address(address: &Address) -> String {
    format!("0x{}", hex::encode(address))
}

macro_rules! text_serde {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text_serde!(AgreementId);
text_serde!(Did);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_spelling_and_written_in_one() {
        let digits = "AB".repeat(32);
        let agreement: AgreementId = digits.parse().unwrap();
        assert_eq!(agreement, format!("0x{digits}").parse().unwrap());
        assert_eq!(agreement.to_string(), format!("0x{}", "ab".repeat(32)));
        let did: Did = format!("did:op:{digits}").parse().unwrap();
        assert_eq!(did, format!("did:op:0x{digits}").parse().unwrap());
        assert_eq!(did.to_string(), format!("did:op:{}", "ab".repeat(32)));
        for bad in ["", "0x", "did:op:", "0x12", &"g".repeat(64), &"a".repeat(65)] {
            assert!(bad.parse::<AgreementId>().is_err(), "{bad}");
            assert!(bad.parse::<Did>().is_err(), "{bad}");
        }
    }
}
