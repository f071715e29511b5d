use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is not the value that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct TextError {
    /// What would be right.
    pub expected: &'static str,
}

/// The id of a job: 32 hex digits in lower case. It comes from the gateway, never from a backend.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

/// The namespace of ids that are made from an `Idempotency-Key`.
const KEYED: Uuid = Uuid::from_u128(0x6272_697a_6f00_5000_8000_6b65_7965_6421);

impl JobId {
    /// A random id, for a submit without an `Idempotency-Key`.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id that belongs to this key of this owner at this provider: the same for every gateway, at any time.
    /// The parts are length-prefixed, so that no two triples meet.
    pub fn from_key(provider: &str, owner: &Owner, key: &str) -> Self {
        let mut name = Vec::new();
        for part in [provider, owner.as_str(), key] {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        Self(Uuid::new_v5(&KEYED, &name))
    }
}

impl FromStr for JobId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = TextError { expected: "a job id: 32 hex digits in lower case" };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(wrong);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| wrong)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

macro_rules! text_type {
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

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        ///
        /// Opaque: 1 to 256 visible ASCII characters. What it means is the gateway's affair.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The form for labels and names: the first 20 hex digits of the SHA-256 of the text.
            pub fn label(&self) -> String {
                hex::encode(Sha256::digest(self.0.as_bytes()))[..20].to_owned()
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                if (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(TextError { expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        text_type!($name);
    };
}

opaque!(
    /// Who a job belongs to.
    Owner,
    "an owner: 1 to 256 visible ASCII characters"
);
opaque!(
    /// What allowed a job to read a dataset.
    Agreement,
    "an agreement: 1 to 256 visible ASCII characters"
);

/// The path of an output below `/data/outputs`: UTF-8, parts joined by `/`, no empty part, no `.` or `..`, no NUL,
/// at most 1,024 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputPath(String);

impl OutputPath {
    /// The text, without a leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OutputPath {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if text.len() <= 1024 && text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError {
                expected: "a path of an output: relative, without empty, . or .. parts, at most 1024 bytes",
            })
        }
    }
}

impl fmt::Display for OutputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(JobId);
text_type!(OutputPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_ids_differ_wherever_a_part_ends() {
        let owner = |text: &str| text.parse::<Owner>().unwrap();
        let id = JobId::from_key("p", &owner("ab"), "c");
        assert_eq!(id, JobId::from_key("p", &owner("ab"), "c"));
        assert_ne!(id, JobId::from_key("p", &owner("a"), "bc"));
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert!("ABCDEF00000000000000000000000000".parse::<JobId>().is_err());
    }

    #[test]
    fn no_output_path_leaves_its_folder() {
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0"] {
            assert!(bad.parse::<OutputPath>().is_err(), "{bad:?}");
        }
        assert!("a/b c/ü.svg".parse::<OutputPath>().is_ok());
    }
}
