//! The head and the compute template's approval, in one round trip that all requests in flight share.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::U64;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::chain::contracts::COMPUTE_TEMPLATE;
use crate::chain::contracts::TemplateStoreManager::isTemplateIdApprovedCall;
use crate::chain::{At, Batch, BlockHead, Chain, ChainError};

/// What can change under an agreement that was settled long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) head: BlockHead,
    pub(super) compute_approved: bool,
}

type Read = BoxFuture<'static, Result<Beat, ChainError>>;

/// Reads the head, at most one read at a time: who comes while one is under way gets its answer too. Nothing is kept.
pub(super) struct Pulse {
    chain: Arc<Chain>,
    // Weak, so that a read whose every waiter has gone away is dropped with them.
    flying: Mutex<Option<WeakShared<Read>>>,
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}

impl Pulse {
    pub(super) fn new(chain: Arc<Chain>) -> Self {
        Self { chain, flying: Mutex::new(None) }
    }

    pub(super) async fn beat(&self) -> Result<Beat, ChainError> {
        self.join().await
    }

    fn join(&self) -> Shared<Read> {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = flying.as_ref().and_then(WeakShared::upgrade)
            && read.peek().is_none()
        {
            return read;
        }
        let read = read(Arc::clone(&self.chain)).boxed().shared();
        *flying = read.downgrade();
        read
    }
}

async fn read(chain: Arc<Chain>) -> Result<Beat, ChainError> {
    let mut batch = Batch::new();
    let head = batch.head();
    let templates = chain.contracts().template_store;
    let compute = batch.call(templates, &isTemplateIdApprovedCall { id: COMPUTE_TEMPLATE }, At::Latest);
    let id = chain.known_id().is_none().then(|| batch.add::<U64>("eth_chainId", &[(); 0]));
    let mut answers = chain.rpc().send(batch).await?;
    if let Some(id) = id {
        chain.learn_id(answers.take(id)?.to());
    }
    Ok(Beat { head: answers.take(head)?, compute_approved: answers.call(compute)? })
}
