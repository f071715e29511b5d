//! Which algorithms a dataset's publisher admits: one pure function over the privacy rules of all datasets of a job.

use super::json::Json;
use crate::types::Did;

/// What a publisher demands of a trusted algorithm besides its DID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Nothing.
    None,
    /// This SHA-256, in lower-case hex.
    Sha256(String),
    /// Something that can't be read: nothing fulfils it.
    Unreadable,
}

impl Pin {
    /// `<64 hex>`, with or without `0x` or `sha256:`.
    fn read(field: Option<&Json>) -> Self {
        let text = match field {
            None | Some(Json::Null) => return Self::None,
            Some(Json::Text(text)) => text,
            Some(_) => return Self::Unreadable,
        };
        let digits = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("0x")).unwrap_or(text);
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Self::Sha256(digits.to_ascii_lowercase())
        } else {
            Self::Unreadable
        }
    }
}

/// One entry of `trustedAlgorithms`: a DID, or an object of `did`, `filesChecksum` (the SHA-256 of the algorithm's file) and
/// `containerSectionChecksum` (the SHA-256 of the RFC 8785 form of its container section).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trusted {
    /// None where it can't be read; the entry then stands for nothing, but the list is not empty.
    did: Option<Did>,
    file: Pin,
    container: Pin,
}

/// `attributes.main.privacy` of a compute service. The default, which an absent section means, allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privacy {
    allow_raw: bool,
    allow_network: bool,
    trusted: Vec<Trusted>,
}

impl Privacy {
    /// Reads the section. Only a literal `true` allows.
    pub(crate) fn read(section: Option<&Json>) -> Self {
        let Some(section) = section else { return Self::default() };
        let allows = |key| section.get(key) == Some(&Json::Bool(true));
        let trusted = match section.get("trustedAlgorithms") {
            None | Some(Json::Null) => vec![],
            Some(Json::Array(entries)) => entries.iter().map(trusted).collect(),
            Some(_) => vec![Trusted { did: None, file: Pin::None, container: Pin::None }],
        };
        Self { allow_raw: allows("allowRawAlgorithm"), allow_network: allows("allowNetworkAccess"), trusted }
    }

    /// Whether code that nobody published may run.
    pub fn allows_raw(&self) -> bool {
        self.allow_raw
    }

    /// Whether the algorithm may have the network.
    pub fn allows_network(&self) -> bool {
        self.allow_network
    }
}

fn trusted(entry: &Json) -> Trusted {
    match entry {
        Json::Text(text) => Trusted { did: text.parse().ok(), file: Pin::None, container: Pin::None },
        entry => Trusted {
            did: entry.get("did").and_then(Json::text).and_then(|text| text.parse().ok()),
            file: Pin::read(entry.get("filesChecksum")),
            container: Pin::read(entry.get("containerSectionChecksum")),
        },
    }
}

/// The algorithm that wants to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate<'a> {
    /// Code or a URL that the consumer sent.
    Unpublished,
    /// A published one.
    Published {
        /// Its DID.
        did: Did,
        /// The SHA-256 of its container section.
        container: &'a str,
        /// Whether its document counts; one that does not is as good as sent by the consumer.
        counts: bool,
    },
}

/// What the rules give to an admitted algorithm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// All datasets allow the network.
    pub(crate) network: bool,
    /// The SHA-256 that the algorithm's file must have.
    pub(crate) file: Option<String>,
}

/// Why the algorithm is not admitted: the dataset's place in the job, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) dataset: usize,
    pub(crate) why: &'static str,
}

/// Judges an algorithm by the rules of all datasets. Raw code and the network need the leave of all; a published
/// algorithm must stand in each list that is not empty, and every pin holds.
pub(crate) fn admit(rules: &[&Privacy], candidate: Candidate<'_>) -> Result<Admission, Denial> {
    let mut file: Option<String> = None;
    for (dataset, rule) in rules.iter().enumerate() {
        let deny = |why| Err(Denial { dataset, why });
        let (did, container, counts) = match candidate {
            Candidate::Unpublished if rule.allow_raw => continue,
            Candidate::Unpublished if rule.trusted.is_empty() => {
                return deny(
                    "its publisher admits no algorithm of the consumer's own (privacy.allowRawAlgorithm is not true)",
                );
            }
            Candidate::Unpublished => {
                return deny("its publisher admits only the algorithms that he trusts; name one by its DID");
            }
            Candidate::Published { did, container, counts } => (did, container, counts),
        };
        if rule.trusted.is_empty() {
            // Else a stranger would publish his code and run it.
            if rule.allow_raw {
                continue;
            }
            return deny("its publisher trusts no algorithm (privacy.trustedAlgorithms is empty)");
        }
        let mut entries = rule.trusted.iter().filter(|entry| entry.did == Some(did)).peekable();
        if entries.peek().is_none() {
            return deny("its publisher does not trust this algorithm");
        }
        // Several entries of one DID: each pin of each holds.
        let mut pinned = false;
        for entry in entries {
            match &entry.container {
                Pin::None => {}
                Pin::Sha256(pin) if pin == container => {}
                _ => {
                    return deny(
                        "its publisher trusts another version of this algorithm: the container section differs from the pinned one",
                    );
                }
            }
            match (&entry.file, &file) {
                (Pin::None, _) => {}
                (Pin::Unreadable, _) => return deny("its publisher's pin of this algorithm's file can't be read"),
                (Pin::Sha256(pin), Some(other)) if pin != other => {
                    return deny("it and another dataset pin different versions of this algorithm's file");
                }
                (Pin::Sha256(pin), _) => file = Some(pin.clone()),
            }
            pinned |= matches!((&entry.file, &entry.container), (Pin::Sha256(_), Pin::Sha256(_)));
        }
        if !counts && !pinned && !rule.allow_raw {
            return deny(
                "the algorithm's document is not signed by a publisher of this gateway, and the dataset's publisher has \
                 not pinned its file and its container section",
            );
        }
    }
    Ok(Admission { network: !rules.is_empty() && rules.iter().all(|rule| rule.allow_network), file })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "did:op:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "did:op:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const CONTAINER: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

    fn rule(section: &str) -> Privacy {
        let section = section.replace("$A", &format!("\"{A}\"")).replace("$B", &format!("\"{B}\""));
        Privacy::read(Some(&Json::parse(section.as_bytes()).unwrap()))
    }

    fn raw(sections: &[&str]) -> bool {
        let rules: Vec<_> = sections.iter().map(|section| rule(section)).collect();
        admit(&rules.iter().collect::<Vec<_>>(), Candidate::Unpublished).is_ok()
    }

    fn by_did(sections: &[&str], counts: bool) -> Result<Admission, Denial> {
        let rules: Vec<_> = sections.iter().map(|section| rule(section)).collect();
        let candidate = Candidate::Published { did: A.parse().unwrap(), container: CONTAINER, counts };
        admit(&rules.iter().collect::<Vec<_>>(), candidate)
    }

    const RAW: &str = r#"{"allowRawAlgorithm": true}"#;
    const NOTHING: &str = "{}";
    const TRUST_A: &str = r#"{"trustedAlgorithms": [$A]}"#;
    const TRUST_B: &str = r#"{"trustedAlgorithms": [$B]}"#;
    const RAW_AND_A: &str = r#"{"allowRawAlgorithm": true, "trustedAlgorithms": [$A]}"#;
    const RAW_AND_B: &str = r#"{"allowRawAlgorithm": true, "trustedAlgorithms": [$B]}"#;

    #[test]
    fn code_of_the_consumers_own_needs_a_literal_true_of_every_publisher() {
        let table: &[(&[&str], bool)] = &[
            (&[RAW], true),
            (&[RAW_AND_A], true),
            (&[NOTHING], false),
            (&[TRUST_A], false),
            (&[RAW, RAW], true),
            (&[RAW, NOTHING], false),
            (&[RAW, TRUST_A], false),
            (&[r#"{"allowRawAlgorithm": "true"}"#], false),
            (&[r#"{"allowRawAlgorithm": 1}"#], false),
            (&[r#"{"allowRawAlgorithm": null}"#], false),
            (&[r#"{"allowRawAlgorithm": false}"#], false),
            (&["[]"], false),
        ];
        for (sections, allowed) in table {
            assert_eq!(raw(sections), *allowed, "{sections:?}");
        }
        assert!(admit(&[&Privacy::read(None)], Candidate::Unpublished).is_err(), "an absent section allows nothing");
    }

    #[test]
    fn a_published_algorithm_must_stand_in_every_list() {
        let table: &[(&[&str], bool)] = &[
            (&[TRUST_A], true),
            (&[TRUST_B], false),
            (&[RAW_AND_A], true),
            (&[RAW_AND_B], false),
            (&[RAW], true),
            (&[NOTHING], false),
            (&[r#"{"trustedAlgorithms": []}"#], false),
            (&[r#"{"trustedAlgorithms": null, "allowRawAlgorithm": true}"#], true),
            (&[r#"{"trustedAlgorithms": "x", "allowRawAlgorithm": true}"#], false),
            (&[r#"{"trustedAlgorithms": ["x"], "allowRawAlgorithm": true}"#], false),
            (&[r#"{"trustedAlgorithms": [$A, $B]}"#, TRUST_A], true),
            (&[r#"{"trustedAlgorithms": [$A, $B]}"#, TRUST_B], false),
            (&[TRUST_A, RAW], true),
            (&[TRUST_A, NOTHING], false),
            (&[r#"{"trustedAlgorithms": [{"did": $A}]}"#], true),
        ];
        for (sections, allowed) in table {
            assert_eq!(by_did(sections, true).is_ok(), *allowed, "{sections:?}");
        }
        assert_eq!(by_did(&[RAW, TRUST_B], true).unwrap_err().dataset, 1);
    }

    fn pinned(file: &str, container: &str) -> String {
        format!(
            r#"{{"trustedAlgorithms": [{{"did": $A, "filesChecksum": "{file}", "containerSectionChecksum": "{container}"}}]}}"#
        )
    }

    #[test]
    fn every_pin_holds() {
        let file = "dd".repeat(32);
        let both = pinned(&format!("sha256:{}", "DD".repeat(32)), CONTAINER);
        assert_eq!(by_did(&[&both], true).unwrap().file, Some(file.clone()));
        assert!(by_did(&[&pinned(&file, &"ee".repeat(32))], true).is_err());
        assert!(by_did(&[&pinned("latest", CONTAINER)], true).is_err());
        assert!(by_did(&[&pinned(&file, "latest")], true).is_err());
        assert!(by_did(&[&both, &pinned(&"ff".repeat(32), CONTAINER)], true).is_err());
        assert_eq!(by_did(&[&both, TRUST_A], true).unwrap().file, Some(file));
    }

    #[test]
    fn an_unsigned_document_is_trusted_only_if_pinned() {
        let both = pinned(&"dd".repeat(32), CONTAINER);
        assert!(by_did(&[TRUST_A], false).is_err());
        assert!(by_did(&[&both], false).is_ok());
        assert!(by_did(&[RAW], false).is_ok(), "it counts as if the consumer had sent it");
        assert!(by_did(&[RAW_AND_A], false).is_ok());
        let half = pinned(&"dd".repeat(32), CONTAINER).replace("containerSectionChecksum", "other");
        assert!(by_did(&[&half], false).is_err(), "an entrypoint is code too");
    }

    #[test]
    fn the_network_needs_a_literal_true_of_every_publisher() {
        let network = |sections: &[&str]| {
            let rules: Vec<_> = sections.iter().map(|section| rule(section)).collect();
            admit(&rules.iter().collect::<Vec<_>>(), Candidate::Unpublished).unwrap().network
        };
        let open = r#"{"allowRawAlgorithm": true, "allowNetworkAccess": true}"#;
        assert!(network(&[open]));
        assert!(network(&[open, open]));
        assert!(!network(&[open, RAW]));
        assert!(!network(&[r#"{"allowRawAlgorithm": true, "allowNetworkAccess": "true"}"#]));
        assert!(!network(&[]));
    }
}
