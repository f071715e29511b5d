//! Registering a DID, or registering it anew for a new version of its document.

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;

use super::MINED;
use crate::chain::contracts::DIDRegistry::{getDIDRegisterCall, registerAttributeCall};
use crate::chain::{Chain, ChainError, Gas, Outgoing};
use crate::types::{Did, show_address};

/// What the registry holds after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Everybody who may grant it, beside its owner.
    pub providers: Vec<Address>,
    /// Whether it was there before.
    pub again: bool,
}

/// Why a DID can't be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It is somebody else's.
    #[error("{did} belongs to {} on this chain, not to {}", show_address(owner), show_address(signer))]
    NotOwner {
        /// The DID.
        did: Did,
        /// Whose it is.
        owner: Address,
        /// Who signs.
        signer: Address,
    },
    /// The registry takes at most 2,048 bytes.
    #[error("the URL of the document has {0} bytes, and the registry takes at most 2048")]
    UrlTooLong(usize),
}

/// Registers a DID with its document's URL, and `providers` as those who may grant it. The registry forgets the providers
/// of a DID that is registered anew, so those that it has are registered again with the new ones.
pub async fn register_did(
    chain: &Chain,
    signer: &PrivateKeySigner,
    did: &Did,
    checksum: B256,
    providers: &[Address],
    url: &str,
) -> Result<Registered, RegisterError> {
    if url.len() > 2048 {
        return Err(RegisterError::UrlTooLong(url.len()));
    }
    let registry = chain.contracts().did_registry;
    let before = chain.read(registry, &getDIDRegisterCall { did: did.0 }).await?;
    let again = !before.owner.is_zero();
    if again && before.owner != signer.address() {
        return Err(RegisterError::NotOwner { did: *did, owner: before.owner, signer: signer.address() });
    }
    let mut all = before.providers;
    all.retain(|provider| !provider.is_zero());
    for provider in providers {
        if !all.contains(provider) {
            all.push(*provider);
        }
    }
    let call = registerAttributeCall { did: did.0, checksum, providers: all.clone(), value: url.to_owned() };
    for transaction in chain.transact(signer, &[Outgoing::call(registry, &call, Gas::Estimated)]).await? {
        chain.mined(transaction.hash, MINED).await?;
    }
    Ok(Registered { providers: all, again })
}
