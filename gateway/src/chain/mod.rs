//! The chain: JSON-RPC in explicit batches, the Keeper contracts' addresses and bindings, and legacy transactions.
//!
//! What is read of a block is its number, hash and timestamp, nothing else: blocks of authority chains lack fields that
//! typed clients insist on, or carry others. Nothing here decides anything; `keeper`, `grants` and `order` do.

mod artifacts;
pub mod contracts;
mod error;
mod rpc;
mod send;

pub use artifacts::{ArtifactsError, Contracts};
pub use error::ChainError;
pub use rpc::{Answers, At, Batch, BlockHead, CallSlot, Rpc, Slot};
pub use send::{Gas, Outgoing, Receipt, Sent};

use std::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::U64;
use tokio::sync::OnceCell;

/// One chain, seen through one node, with the Keeper contracts on it.
#[derive(Debug)]
pub struct Chain {
    rpc: Rpc,
    contracts: Contracts,
    id: OnceCell<u64>,
    /// The node refused to read the state after a block that was named by its hash.
    by_number: AtomicBool,
}

impl Chain {
    /// Puts a node and the contracts' addresses together. Asks nothing yet.
    pub fn new(rpc: Rpc, contracts: Contracts) -> Self {
        Self { rpc, contracts, id: OnceCell::new(), by_number: AtomicBool::new(false) }
    }

    /// The node.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Where the contracts are.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// The chain id (EIP-155), asked once.
    pub async fn id(&self) -> Result<u64, ChainError> {
        self.id
            .get_or_try_init(|| async {
                let mut batch = Batch::new();
                let id = batch.add::<U64>("eth_chainId", &[(); 0]);
                self.rpc.send(batch).await?.take(id).map(|id| id.to())
            })
            .await
            .copied()
    }

    /// The chain id if it was asked before.
    pub fn known_id(&self) -> Option<u64> {
        self.id.get().copied()
    }

    /// Keeps a chain id that came along in somebody's batch.
    pub(crate) fn learn_id(&self, id: u64) {
        let _ = self.id.set(id);
    }

    /// How to name the state after a block to this node.
    pub(crate) fn at(&self, block: &BlockHead) -> At {
        if self.by_number.load(Ordering::Relaxed) { At::Number(block.number) } else { At::Block(block.hash) }
    }

    /// Takes note of a node's answer to a call at [`Chain::at`]: one that does not understand the hash (Parity) is asked by
    /// number from now on, and the question can be put again.
    pub(crate) fn noted<T>(&self, answer: Result<T, ChainError>) -> Result<T, ChainError> {
        match answer {
            // -32602: invalid params.
            Err(ChainError::Refused { code: -32602, .. }) if !self.by_number.swap(true, Ordering::Relaxed) => {
                Err(ChainError::UnknownBlock)
            }
            other => other,
        }
    }
}
