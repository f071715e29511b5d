//! The last step of publishing: the DID on chain, which makes its publisher its owner.

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;

use super::failure::{Exit, Failure};
use super::site::{chain_failure, sentence};
use crate::chain::Chain;
use crate::chain::contracts::DIDRegistry::getDIDRegisterCall;
use crate::order::{RegisterError, register_did};
use crate::types::Did;

/// Registers a DID for this key's owner: the document's URL, the DID itself as checksum (as squid-py does), and who may
/// grant. One that its owner has registered stays as it is, unless `again`. Says whether a transaction was sent.
pub(super) async fn register(
    chain: &Chain,
    signer: &PrivateKeySigner,
    did: &Did,
    provider: Address,
    url: &str,
    again: bool,
) -> Result<bool, Failure> {
    let call = getDIDRegisterCall { did: did.0 };
    let before = chain
        .read(chain.contracts().did_registry, &call)
        .await
        .map_err(|error| chain_failure(&error, signer.address()))?;
    let stands = before.owner == signer.address() && before.providers.contains(&provider);
    if stands && !again {
        return Ok(false);
    }
    match register_did(chain, signer, did, did.0, &[provider], url).await {
        Ok(_) => Ok(true),
        Err(RegisterError::Chain(error)) => Err(chain_failure(&error, signer.address())),
        Err(error @ RegisterError::NotOwner { .. }) => {
            Err(Failure::new(Exit::Refused, sentence(&error.to_string()))
                .next("publish with the owner's key (--key-file)"))
        }
        Err(error @ RegisterError::UrlTooLong(_)) => Err(Failure::usage(sentence(&error.to_string()))),
    }
}
