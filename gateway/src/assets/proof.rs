//! `proof.brizo`: a publisher's signature of his document, without which a document from a store that others can write
//! does not count.

use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolStruct as _, eip712_domain};
use sha2::{Digest as _, Sha256};

use super::json::Json;
use crate::signature::{VRule, recover};
use crate::types::{Did, parse_address, show_address};

mod typed {
    alloy_sol_types::sol! {
        struct Document {
            bytes32 did;
            uint256 version;
            bytes32 sha256;
        }
    }
}

/// Why a document can't be signed, or its signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is none.
    #[error("it carries no proof.brizo")]
    None,
    /// The fields are not what they should be.
    #[error("its proof.brizo has no publisher (an address), version (a whole number) and signature")]
    Form,
    /// A number that has no canonical form.
    #[error("it can't be signed: {0}")]
    Canonical(String),
    /// No signature of that publisher over this document.
    #[error("its proof.brizo is no signature of {} over this document: {why}", show_address(publisher))]
    Signature {
        /// Whose it should be.
        publisher: Address,
        /// What is wrong.
        why: String,
    },
}

/// The EIP-712 hash of a document: `Document(bytes32 did,uint256 version,bytes32 sha256)` over the SHA-256 of its RFC 8785
/// form without `proof.brizo`.
fn hash(document: &Json, did: &Did, version: u64, chain_id: u64) -> Result<B256, ProofError> {
    let mut bare = document.clone();
    if let Some(proof) = bare.get_mut("proof") {
        proof.remove("brizo");
    }
    let canonical = bare.canonical().map_err(|error| ProofError::Canonical(error.to_string()))?;
    let domain = eip712_domain! { name: "Brizo", version: "1", chain_id: chain_id, };
    let sha256 = B256::from_slice(&Sha256::digest(&canonical));
    Ok(typed::Document { did: did.0, version: U256::from(version), sha256 }.eip712_signing_hash(&domain))
}

/// Signs a document: sets its `proof.brizo`.
pub(crate) fn sign(
    document: &mut Json,
    did: &Did,
    version: u64,
    chain_id: u64,
    signer: &PrivateKeySigner,
) -> Result<(), ProofError> {
    if document.get("proof").is_none() {
        document.set("proof", Json::object([]));
    }
    let hash = hash(document, did, version, chain_id)?;
    let signature = signer.sign_hash_sync(&hash).map_err(|_| ProofError::Canonical("the key does not sign".into()))?;
    let brizo = Json::object([
        ("publisher", show_address(&signer.address()).into()),
        ("version", version.into()),
        ("signature", format!("0x{}", hex::encode(signature.as_bytes())).into()),
    ]);
    if let Some(proof) = document.get_mut("proof") {
        proof.set("brizo", brizo);
    }
    Ok(())
}

/// Whose signature a document carries, and of which version. Whether that publisher may sell here is not judged.
pub(crate) fn verify(document: &Json, did: &Did, chain_id: u64) -> Result<(Address, u64), ProofError> {
    let brizo = document.at(&["proof", "brizo"]).ok_or(ProofError::None)?;
    let publisher = brizo.get("publisher").and_then(Json::text).and_then(|text| parse_address(text).ok());
    let version = match brizo.get("version") {
        Some(Json::Number(digits) | Json::Text(digits)) => digits.parse::<u64>().ok(),
        _ => None,
    };
    let signature = brizo.get("signature").and_then(Json::text);
    let (Some(publisher), Some(version), Some(signature)) = (publisher, version, signature) else {
        return Err(ProofError::Form);
    };
    let hash = hash(document, did, version, chain_id)?;
    let refused = |why: String| ProofError::Signature { publisher, why };
    let signer = recover(signature, &hash, VRule::Strict).map_err(|error| refused(error.to_string()))?;
    if signer == publisher {
        Ok((publisher, version))
    } else {
        Err(refused("it was made by another key, or the document was changed".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> (Json, Did, PrivateKeySigner) {
        let text = r#"{"id": "x", "price": "10", "proof": {"type": "DDOIntegritySignature"}, "service": []}"#;
        (Json::parse(text.as_bytes()).unwrap(), Did([1; 32].into()), PrivateKeySigner::random())
    }

    #[test]
    fn a_signature_counts_for_one_document_one_version_one_chain() {
        let (mut json, did, key) = document();
        sign(&mut json, &did, 3, 31337, &key).unwrap();
        assert_eq!(verify(&json, &did, 31337), Ok((key.address(), 3)));
        // The same document, its keys in another order and other white space.
        let Json::Object(mut fields) = json.clone() else { panic!() };
        fields.reverse();
        assert_eq!(verify(&Json::Object(fields), &did, 31337), Ok((key.address(), 3)));
        assert!(verify(&json, &did, 1).is_err(), "another chain");
        assert!(verify(&json, &Did([2; 32].into()), 31337).is_err(), "another asset");
        let mut cheaper = json.clone();
        cheaper.set("price", "1".into());
        assert!(verify(&cheaper, &did, 31337).is_err(), "another price");
        let brizo = |field: &str, value: Json| {
            let mut json = json.clone();
            json.get_mut("proof").unwrap().get_mut("brizo").unwrap().set(field, value);
            verify(&json, &did, 31337)
        };
        assert!(brizo("version", 4.into()).is_err());
        assert!(brizo("publisher", show_address(&Address::repeat_byte(1)).into()).is_err());
        assert_eq!(brizo("version", "x".into()), Err(ProofError::Form));
        assert_eq!(verify(&document().0, &did, 31337), Err(ProofError::None));
    }

    #[test]
    fn the_mirror_image_of_a_signature_is_refused() {
        let (mut json, did, key) = document();
        sign(&mut json, &did, 1, 31337, &key).unwrap();
        let text = json.at(&["proof", "brizo", "signature"]).unwrap().text().unwrap().to_owned();
        let bytes = hex::decode(&text[2..]).unwrap();
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let s = U256::from_str_radix(order, 16).unwrap() - U256::from_be_slice(&bytes[32..64]);
        let v = if bytes[64] == 27 { 28 } else { 27 };
        let mirror = format!("0x{}{}{v:02x}", hex::encode(&bytes[..32]), hex::encode(s.to_be_bytes::<32>()));
        json.get_mut("proof").unwrap().get_mut("brizo").unwrap().set("signature", mirror.into());
        assert!(verify(&json, &did, 31337).unwrap_err().to_string().contains("upper half"));
    }

    #[test]
    fn a_number_that_no_double_holds_can_not_be_signed() {
        let (mut json, did, key) = document();
        json.set("price", Json::Number("2700000000000000000000000001".into()));
        assert!(matches!(sign(&mut json, &did, 1, 31337, &key), Err(ProofError::Canonical(_))));
    }
}
