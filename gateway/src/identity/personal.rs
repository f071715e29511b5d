//! The old clients' signatures: EIP-191 over the text of their parameters, or an authentication token in its place.

use alloy_primitives::{Address, eip191_hash_message};
use jiff::Timestamp;

use super::{LEEWAY, Unauthenticated, VRule, recover};
use crate::types::show_address;

/// The first line of what an authentication token signs.
pub const TOKEN_MESSAGE: &str = "Ocean Protocol Authentication";

/// How long an authentication token lives.
const TOKEN_LIFE_S: i64 = 86_400;

/// The address whose key signed `message`.
pub fn signer(message: &str, signature: &str) -> Result<Address, Unauthenticated> {
    Ok(recover(signature, &eip191_hash_message(message), VRule::Parity)?)
}

/// Whether `signature` is `expected`'s: over `message`, or an authentication token `<0x signature>-<unix time>` over
/// [`TOKEN_MESSAGE`], a line feed and the time. A token lives for a day; one from the future is refused.
pub fn verify(expected: Address, message: &str, signature: &str, now: Timestamp) -> Result<(), Unauthenticated> {
    let signed_by = match token(signature) {
        Some((signature, time)) => {
            let age = now.as_second().saturating_sub(time);
            if age < -LEEWAY.as_secs() {
                return Err(Unauthenticated::at("The authentication token is from the future.", now));
            }
            if age > TOKEN_LIFE_S + LEEWAY.as_secs() {
                return Err(Unauthenticated::at("The authentication token has expired; it lives for a day.", now));
            }
            signer(&format!("{TOKEN_MESSAGE}\n{time}"), signature)?
        }
        None => signer(message, signature)?,
    };
    if signed_by == expected {
        Ok(())
    } else {
        Err(Unauthenticated::new(format!(
            "The signature is {}'s, not {}'s. Only externally owned accounts can sign here, not contracts.",
            show_address(&signed_by),
            show_address(&expected)
        )))
    }
}

/// The parts of an authentication token, if it is one: it begins with `0x` and has exactly one `-`, before a time.
fn token(text: &str) -> Option<(&str, i64)> {
    let (signature, time) = text.split_once('-')?;
    if !signature.starts_with("0x") || time.is_empty() || !time.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((signature, time.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::types::parse_address;

    fn vectors() -> Vec<Value> {
        let text = include_str!("../../../tests/fixtures/signature-vectors.json");
        let document: Value = serde_json::from_str(text).unwrap();
        document["vectors"].as_array().unwrap().clone()
    }

    fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
        vector[key].as_str().unwrap()
    }

    #[test]
    fn what_the_old_clients_signed_is_still_known_to_be_theirs() {
        for vector in vectors() {
            let expected = parse_address(text(&vector, "signer")).unwrap();
            let message = text(&vector, "message");
            let signature = vector.get("signature").or_else(|| vector.get("token")).unwrap().as_str().unwrap();
            let made = message.rsplit('\n').next().unwrap().parse().unwrap_or(0);
            let now = Timestamp::from_second(made + 3_600).unwrap();
            verify(expected, message, signature, now).unwrap_or_else(|error| panic!("{}: {error}", vector["name"]));
            assert!(verify(Address::ZERO, message, signature, now).is_err());
        }
    }

    #[test]
    fn a_hardware_wallets_last_byte_is_taken() {
        let vector = &vectors()[0];
        let expected = parse_address(text(vector, "signer")).unwrap();
        let signature = text(vector, "signature");
        let (rest, v) = signature.split_at(signature.len() - 2);
        let other = if v == "1b" { "00" } else { "01" };
        let now = brizo_backend::now();
        verify(expected, text(vector, "message"), &format!("{rest}{other}"), now).unwrap();
        assert!(verify(expected, "another text", signature, now).is_err());
    }

    #[test]
    fn tokens_of_the_future_and_of_the_day_before_yesterday_are_refused() {
        let vectors = vectors();
        let vector = vectors.iter().find(|vector| vector["name"] == "auth token").unwrap();
        let expected = parse_address(text(vector, "signer")).unwrap();
        let token = text(vector, "token");
        let made: i64 = token.rsplit('-').next().unwrap().parse().unwrap();
        let at = |second| verify(expected, "", token, Timestamp::from_second(second).unwrap());
        assert!(at(made).is_ok() && at(made - 60).is_ok() && at(made + TOKEN_LIFE_S + 60).is_ok());
        for second in [made - 61, made - 600, made + TOKEN_LIFE_S + 61] {
            let error = at(second).unwrap_err();
            assert!(error.to_string().contains("gateway's time"), "{error}");
        }
    }

    #[test]
    fn nothing_that_only_looks_like_a_token_is_one() {
        for bad in ["", "-", "0x-", "0x12-", "0x12--1", "0x12-1-2", "12-5", "0x12-9999999999999999999999"] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }
}
