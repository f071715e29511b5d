//! Who owned an asset when it was bought. `getAgreement` answers with the owner of now, so an agreement from before a sale
//! seems to pay the wrong one; the registry's transfers tell.

use alloy_primitives::{Address, B256, U64};
use alloy_sol_types::SolEvent as _;

use crate::chain::contracts::DIDRegistry::DIDOwnershipTransferred;
use crate::chain::{Batch, Chain, ChainError};
use crate::types::Did;

/// How many blocks one query for logs spans, and how many queries go in one batch.
const SPAN: u64 = 10_000;
const QUERIES: u64 = 10;

#[derive(serde::Deserialize)]
struct Log {
    data: alloy_primitives::Bytes,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    from_block: U64,
    to_block: U64,
    address: Address,
    topics: [B256; 1],
}

/// Who owned an asset at the end of `block`, if it has changed hands since. The log of a transfer is not indexed by DID, so
/// all of them from there to the head are read.
pub(super) async fn owner(chain: &Chain, did: &Did, block: u64, head: u64) -> Result<Option<Address>, ChainError> {
    let mut from = block.saturating_add(1);
    while from <= head {
        let mut batch = Batch::new();
        let mut slots = Vec::new();
        for _ in 0..QUERIES {
            if from > head {
                break;
            }
            let to = head.min(from.saturating_add(SPAN - 1));
            let filter = Filter {
                from_block: U64::from(from),
                to_block: U64::from(to),
                address: chain.contracts().did_registry,
                topics: [DIDOwnershipTransferred::SIGNATURE_HASH],
            };
            slots.push(batch.add::<Vec<Log>>("eth_getLogs", &[filter]));
            from = to + 1;
        }
        // A node without the range's last block answers for its logs with an empty list, and no error.
        let last = batch.block(from - 1);
        let mut answers = chain.rpc().send(batch).await?;
        answers.take(last)?.ok_or(ChainError::UnknownBlock)?;
        for slot in slots {
            for log in answers.take(slot)? {
                let transfer = DIDOwnershipTransferred::abi_decode_data(&log.data);
                if let Ok((of, previous, _)) = transfer
                    && of == did.0
                {
                    return Ok(Some(previous));
                }
            }
        }
    }
    Ok(None)
}
