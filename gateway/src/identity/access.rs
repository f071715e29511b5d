//! The new API's bearer: `base64url(claims as JSON).0x<signature>`, the signature over EIP-712
//! `Access(address consumer,string audience,string scopes,uint256 issuedAt,uint256 expiresAt)` in the domain
//! {name "Brizo", version "1", chainId of the keeper's chain}.

use std::fmt;

use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync;
use alloy_sol_types::{SolStruct, eip712_domain};
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LEEWAY, Unauthenticated, VRule, recover};
use crate::types::{parse_address, show_address};

/// The longest that a bearer may live.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// What is no longer a bearer that this program would read.
const MOST_BYTES: usize = 8 * 1024;

mod typed {
    alloy_sol_types::sol! {
        struct Access {
            address consumer;
            string audience;
            string scopes;
            uint256 issuedAt;
            uint256 expiresAt;
        }
    }
}

/// What a bearer claims. The field names are those of the typed structure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Claims {
    consumer: String,
    audience: String,
    scopes: String,
    issued_at: u64,
    expires_at: u64,
}

impl Claims {
    fn hash(&self, consumer: Address, chain_id: u64) -> B256 {
        let domain = eip712_domain! { name: "Brizo", version: "1", chain_id: chain_id, };
        typed::Access {
            consumer,
            audience: self.audience.clone(),
            scopes: self.scopes.clone(),
            issuedAt: U256::from(self.issued_at),
            expiresAt: U256::from(self.expires_at),
        }
        .eip712_signing_hash(&domain)
    }
}

/// What a bearer allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Look at jobs, logs and outputs.
    Read,
    /// Start and stop jobs.
    Run,
    /// Delete jobs.
    Delete,
}

impl Scope {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Delete => "delete",
        }
    }
}

/// A set of scopes, written as their words with a blank between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes {
    read: bool,
    run: bool,
    delete: bool,
}

impl Scopes {
    /// All of them.
    pub const ALL: Self = Self { read: true, run: true, delete: true };

    /// Whether `scope` is among them.
    pub const fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Read => self.read,
            Scope::Run => self.run,
            Scope::Delete => self.delete,
        }
    }

    /// From words with blanks or commas between.
    pub fn parse(text: &str) -> Result<Self, Unauthenticated> {
        let mut scopes = Self::default();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            match word {
                "read" => scopes.read = true,
                "run" => scopes.run = true,
                "delete" => scopes.delete = true,
                _ => {
                    return Err(Unauthenticated::new(
                        "The bearer names a scope that there is none of; there are read, run and delete.",
                    ));
                }
            }
        }
        Ok(scopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = [Scope::Read, Scope::Run, Scope::Delete]
            .into_iter()
            .filter(|scope| self.has(*scope))
            .map(Scope::as_str)
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// The names under which this gateway is known: a bearer made for another one is refused.
#[derive(Debug, Clone)]
pub struct Audiences(Vec<String>);

impl Audiences {
    /// `public_url` first, then the aliases.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.trim_end_matches('/').to_owned()).collect())
    }

    /// Whether `name` is one of them; a trailing slash makes no difference.
    pub fn has(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        self.0.iter().any(|known| known == name)
    }

    /// The first name.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// Who asks, and what he may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The signer.
    pub consumer: Address,
    /// What the bearer allows.
    pub scopes: Scopes,
}

/// Makes a bearer: `scopes` at the gateway `audience` on the chain `chain_id`, from `now` for `lifetime` (at most a day).
pub fn issue_token(
    signer: &(impl SignerSync + alloy_signer::Signer),
    chain_id: u64,
    audience: &str,
    scopes: Scopes,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<String, alloy_signer::Error> {
    let issued_at = u64::try_from(now.as_second()).unwrap_or(0);
    let claims = Claims {
        consumer: show_address(&signer.address()),
        audience: audience.trim_end_matches('/').to_owned(),
        scopes: scopes.to_string(),
        issued_at,
        expires_at: issued_at + u64::try_from(lifetime.min(LONGEST).as_secs()).unwrap_or(0),
    };
    let signature = signer.sign_hash_sync(&claims.hash(signer.address(), chain_id))?;
    let json = serde_json::to_vec(&claims).map_err(alloy_signer::Error::other)?;
    Ok(format!("{}.0x{}", URL_SAFE_NO_PAD.encode(json), hex::encode(signature.as_bytes())))
}

/// Checks a bearer (without the word `Bearer`): its form, audience, times, scopes and signature.
pub fn verify(bearer: &str, chain_id: u64, audiences: &Audiences, now: Timestamp) -> Result<Access, Unauthenticated> {
    let form = || {
        Unauthenticated::new(
            "The bearer is not base64url(claims).0xsignature with the claims consumer, audience, scopes, issuedAt and \
             expiresAt (seconds); `brizo token` makes one.",
        )
    };
    if bearer.len() > MOST_BYTES {
        return Err(form());
    }
    let (claims, signature) = bearer.split_once('.').ok_or_else(form)?;
    let json = URL_SAFE_NO_PAD.decode(claims).or_else(|_| URL_SAFE.decode(claims)).map_err(|_| form())?;
    let claims: Claims = serde_json::from_slice(&json).map_err(|_| form())?;
    let consumer = parse_address(&claims.consumer).map_err(|_| form())?;
    if !audiences.has(&claims.audience) {
        return Err(Unauthenticated::new(format!(
            "The bearer is for another gateway; its audience should be {}.",
            audiences.first()
        )));
    }
    check_times(claims.issued_at, claims.expires_at, now)?;
    let scopes = Scopes::parse(&claims.scopes)?;
    let signed_by = recover(signature, &claims.hash(consumer, chain_id), VRule::Strict)?;
    if signed_by != consumer {
        return Err(Unauthenticated::new(format!(
            "The bearer's signature is not {}'s over these claims on chain {chain_id}. Only externally owned accounts \
             can sign here, not contracts.",
            show_address(&consumer)
        )));
    }
    Ok(Access { consumer, scopes })
}

/// Whether a bearer of these times (Unix seconds) counts now.
fn check_times(issued_at: u64, expires_at: u64, now: Timestamp) -> Result<(), Unauthenticated> {
    let leeway = LEEWAY.as_secs().unsigned_abs();
    let longest = LONGEST.as_secs().unsigned_abs();
    let second = u64::try_from(now.as_second()).unwrap_or(0);
    let refuse = |text: &str| Err(Unauthenticated::at(text, now));
    if expires_at <= issued_at {
        return refuse("The bearer ends before it begins.");
    }
    if expires_at - issued_at > longest + leeway {
        return refuse("The bearer is valid for more than a day.");
    }
    if issued_at > second.saturating_add(leeway) {
        return refuse("The bearer begins in the future; is the clock of the machine that made it right?");
    }
    if second > expires_at.saturating_add(leeway) {
        return refuse("The bearer has expired; `brizo token` makes a new one.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_signer_local::PrivateKeySigner;

    use super::*;

    const DAY: SignedDuration = LONGEST;

    fn now() -> Timestamp {
        Timestamp::from_second(1_767_607_200).unwrap()
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn audiences() -> Audiences {
        Audiences::new(["http://gw:8030".to_owned(), "http://localhost:8030/".to_owned()])
    }

    fn made(key: &PrivateKeySigner, audience: &str, at: Timestamp, life: SignedDuration) -> String {
        issue_token(key, 31_337, audience, Scopes::ALL, at, life).unwrap()
    }

    fn check(bearer: &str) -> Result<Access, Unauthenticated> {
        verify(bearer, 31_337, &audiences(), now())
    }

    #[test]
    fn the_consumer_of_a_bearer_is_its_signer() {
        let key = PrivateKeySigner::random();
        for audience in ["http://gw:8030", "http://gw:8030/", "http://localhost:8030"] {
            let access = check(&made(&key, audience, now(), seconds(60))).unwrap();
            assert_eq!(access, Access { consumer: key.address(), scopes: Scopes::ALL });
        }
        let bearer = issue_token(&key, 31_337, "http://gw:8030", Scopes::parse("read").unwrap(), now(), DAY).unwrap();
        let scopes = check(&bearer).unwrap().scopes;
        assert!(scopes.has(Scope::Read) && !scopes.has(Scope::Run) && !scopes.has(Scope::Delete));
    }

    #[test]
    fn clocks_may_differ_by_a_minute_and_no_more() {
        let key = PrivateKeySigner::random();
        let at = |from: i64, life: SignedDuration| check(&made(&key, "http://gw:8030", now() + seconds(from), life));
        assert!(at(20, DAY).is_ok(), "made 20 s ahead, valid for exactly a day");
        assert!(at(-80, seconds(60)).is_ok(), "expired 20 s ago");
        for (from, life) in [(600, DAY), (-200, seconds(60))] {
            let text = at(from, life).unwrap_err().to_string();
            assert!(text.contains("2026-01-05T10:00:00.000Z"), "{text}");
        }
        assert!(check_times(1_000, 1_000 + 86_460, Timestamp::from_second(1_000).unwrap()).is_ok());
        assert!(check_times(1_000, 1_000 + 86_461, Timestamp::from_second(1_000).unwrap()).is_err());
        assert!(check_times(u64::MAX - 1, u64::MAX, now()).is_err());
        assert!(check_times(0, u64::MAX, now()).is_err());
    }

    #[test]
    fn a_bearer_counts_at_its_gateway_on_its_chain_alone() {
        let key = PrivateKeySigner::random();
        let bearer = made(&key, "http://other:8030", now(), DAY);
        assert!(check(&bearer).unwrap_err().to_string().contains("http://gw:8030"));
        let bearer = made(&key, "http://gw:8030", now(), DAY);
        let error = verify(&bearer, 1, &audiences(), now()).unwrap_err();
        assert!(error.to_string().contains("externally owned"), "{error}");
    }

    #[test]
    fn changed_claims_are_not_signed() {
        let key = PrivateKeySigner::random();
        let bearer = made(&key, "http://gw:8030", now(), DAY);
        let (claims, signature) = bearer.split_once('.').unwrap();
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let other = show_address(&PrivateKeySigner::random().address());
        for changed in [
            json.replace("read run delete", "read run"),
            json.replace(&show_address(&key.address()), &other),
            json.replace("\"issuedAt\":1767607200", "\"issuedAt\":1767607201"),
        ] {
            assert_ne!(changed, json);
            assert!(check(&format!("{}.{signature}", URL_SAFE_NO_PAD.encode(changed))).is_err());
        }
    }

    #[test]
    fn hardware_wallets_and_the_compact_form_pass() {
        let key = PrivateKeySigner::random();
        let bearer = made(&key, "http://gw:8030", now(), DAY);
        let (rest, v) = bearer.split_at(bearer.len() - 2);
        let v = u8::from_str_radix(v, 16).unwrap() - 27;
        assert_eq!(check(&format!("{rest}{v:02x}")).unwrap().consumer, key.address());
        assert!(check(&format!("{rest}25")).unwrap_err().to_string().contains("27 or 28"));
        let (claims, signature) = bearer.split_once('.').unwrap();
        let mut bytes = hex::decode(&signature[2..130]).unwrap();
        bytes[32] |= v << 7;
        assert_eq!(check(&format!("{claims}.0x{}", hex::encode(bytes))).unwrap().consumer, key.address());
    }

    #[test]
    fn garbage_is_refused_with_the_form_that_would_be_right() {
        for bad in ["", ".", "a.b", "e30.0x00", "é.é", &"a".repeat(9_000), "eyJhIjoxfQ.0x"] {
            assert!(check(bad).unwrap_err().to_string().contains("brizo token"), "{bad}");
        }
    }
}
