//! Whose key made a signature, for what this gateway accepts of signatures everywhere.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use alloy_primitives::{Address, B256, Signature, U256, uint};

/// Half the order of secp256k1: an s above it is the mirror image of a signature, which alloy would normalise silently.
const HALF_ORDER: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Which last bytes of a signature are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VRule {
    /// 0, 1, 27 and 28.
    Strict,
    /// Any; what is none of those counts by its parity, as the first Brizo did.
    Parity,
}

/// Why a text is no signature, or nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not hex, or of another length.
    #[error(
        "The signature is not 0x and 130 hex digits (65 bytes r, s, v), nor the compact form of 64 bytes (EIP-2098)."
    )]
    Form,
    /// A last byte that says nothing.
    #[error("The signature's last byte (v) is {0}; 0, 1, 27 or 28 would be right.")]
    V(u8),
    /// The mirror image.
    #[error(
        "The signature's s is in the upper half of the curve's order; wallets make the lower one, and only that counts."
    )]
    HighS,
    /// No key gives it.
    #[error("The signature is none of this text by any key.")]
    NoKey,
}

/// Whose key made this signature of this hash: 65 bytes in hex (r, s, v), or 64 (r, and s with v's parity on top,
/// EIP-2098).
pub fn recover(signature: &str, hash: &B256, rule: VRule) -> Result<Address, SignatureError> {
    let digits = signature.strip_prefix("0x").unwrap_or(signature);
    let mut bytes = [0_u8; 65];
    let length = digits.len() / 2;
    if !digits.len().is_multiple_of(2) || !(64..=65).contains(&length) {
        return Err(SignatureError::Form);
    }
    hex::decode_to_slice(digits, &mut bytes[..length]).map_err(|_| SignatureError::Form)?;
    let parity = if length == 64 {
        let parity = bytes[32] & 0x80 != 0;
        bytes[32] &= 0x7f;
        parity
    } else {
        match (bytes[64], rule) {
            (0 | 27, _) => false,
            (1 | 28, _) => true,
            (v, VRule::Parity) => v % 2 == 0,
            (v, VRule::Strict) => return Err(SignatureError::V(v)),
        }
    };
    let r = U256::from_be_slice(&bytes[..32]);
    let s = U256::from_be_slice(&bytes[32..64]);
    if s > HALF_ORDER {
        return Err(SignatureError::HighS);
    }
    if r.is_zero() || s.is_zero() {
        return Err(SignatureError::NoKey);
    }
    let mut question = [0_u8; 97];
    question[..64].copy_from_slice(&bytes[..64]);
    question[64] = u8::from(parity);
    question[65..].copy_from_slice(hash.as_slice());
    // A panic elsewhere can't leave half an answer here.
    let answers = || ANSWERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(address) = answers().get(&question) {
        return Ok(*address);
    }
    let address = Signature::new(r, s, parity).recover_address_from_prehash(hash).map_err(|_| SignatureError::NoKey)?;
    let mut answers = answers();
    if answers.len() >= MOST_ANSWERS {
        answers.clear();
    }
    answers.insert(question, address);
    Ok(address)
}

/// How many answers are kept; some 600 KiB.
const MOST_ANSWERS: usize = 4_096;

/// What the curve has answered lately. Recovery depends on nothing but its question, so an answer never grows wrong; it is
/// the dearest step of a request, and clients send one bearer with many.
static ANSWERS: LazyLock<Mutex<HashMap<[u8; 97], Address>>> = LazyLock::new(Mutex::default);

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;
    use alloy_signer::SignerSync;
    use alloy_signer_local::PrivateKeySigner;

    use super::*;

    #[test]
    fn wallets_that_end_in_0_or_1_or_use_the_compact_form_are_known() {
        for n in 0_u8..8 {
            let key = PrivateKeySigner::random();
            let hash = keccak256([n]);
            let signature = key.sign_hash_sync(&hash).unwrap();
            let hex65 = hex::encode(signature.as_bytes());
            let v = signature.as_bytes()[64] - 27;
            for text in [
                format!("0x{hex65}"),
                hex65.clone(),
                format!("0x{}{v:02x}", &hex65[..128]),
                format!("0x{}", hex::encode(signature.as_erc2098())),
            ] {
                assert_eq!(recover(&text, &hash, VRule::Strict), Ok(key.address()), "{text}");
            }
            let odd = format!("0x{}{:02x}", &hex65[..128], 37 + v);
            assert_eq!(recover(&odd, &hash, VRule::Strict), Err(SignatureError::V(37 + v)));
        }
    }

    #[test]
    fn the_mirror_image_of_a_signature_is_refused() {
        let key = PrivateKeySigner::random();
        let hash = keccak256("x");
        let signature = key.sign_hash_sync(&hash).unwrap();
        let order = HALF_ORDER * U256::from(2) + U256::from(1);
        let mirrored = Signature::new(signature.r(), order - signature.s(), !signature.v());
        assert_eq!(mirrored.recover_address_from_prehash(&hash).unwrap(), key.address(), "alloy takes it");
        let text = format!("0x{}", hex::encode(mirrored.as_bytes()));
        assert_eq!(recover(&text, &hash, VRule::Strict), Err(SignatureError::HighS));
    }

    #[test]
    fn what_is_no_signature_is_refused_and_told_why() {
        let hash = keccak256("x");
        for bad in ["", "0x", "0x12", &"0".repeat(129), &format!("0x{}", "g".repeat(130)), "é"] {
            assert_eq!(recover(bad, &hash, VRule::Strict), Err(SignatureError::Form), "{bad}");
        }
        assert_eq!(recover(&"0".repeat(130), &hash, VRule::Strict), Err(SignatureError::NoKey));
    }
}
