//! Finding agreements that name this provider: a scan over `AgreementActorAdded`, from far enough back, again and again over
//! the last blocks.

use std::time::{Duration, SystemTime};

use alloy_primitives::{Address, B256, U64};
use alloy_sol_types::SolEvent as _;
use serde::{Deserialize, Serialize};

use crate::chain::contracts::AgreementStoreManager::AgreementActorAdded;
use crate::chain::{Batch, Chain, ChainError};
use crate::types::AgreementId;

/// How far back a fresh start looks for agreements that were paid and never granted. An older one: `brizo grant ID`.
const LOOK_BACK: Duration = Duration::from_hours(30 * 24);
/// How many blocks before the last one that was read are read once more: they may have been replaced, and a node behind a
/// balancer may have answered for blocks whose logs it did not have.
const OVERLAP: u64 = 64;
/// Nodes limit how many blocks one query for logs may span.
const SPAN: u64 = 10_000;

/// Where the scan is.
#[derive(Debug)]
pub(super) struct Scan {
    /// Everything below has been read for good.
    next: u64,
    first: u64,
    span: u64,
}

#[derive(Deserialize)]
struct Log {
    topics: Vec<B256>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    from_block: U64,
    to_block: U64,
    address: Address,
    topics: [Option<B256>; 3],
}

impl Scan {
    /// Begins where the chain was a month ago.
    pub(super) async fn begin(chain: &Chain) -> Result<Self, ChainError> {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |now| now.saturating_sub(LOOK_BACK).as_secs());
        let first = first_block_since(chain, since).await?;
        Ok(Self { next: first, first, span: SPAN })
    }

    /// Reads on to the head, and adds the agreements that it comes across; the same one may come more than once.
    /// Nothing is passed over: where a range can't be read, the scan stands before it, and what it found until then counts.
    pub(super) async fn advance(
        &mut self,
        chain: &Chain,
        provider: Address,
        found: &mut Vec<AgreementId>,
    ) -> Result<(), ChainError> {
        let mut batch = Batch::new();
        let head = batch.head();
        let mut head = chain.rpc().send(batch).await?.take(head)?.number;
        let mut from = self.next.saturating_sub(OVERLAP).max(self.first);
        while from <= head {
            let to = head.min(from.saturating_add(self.span - 1));
            match range(chain, provider, from, to).await {
                Ok(Range::Read(agreements)) => {
                    found.extend(agreements);
                    self.next = self.next.max(to + 1);
                    self.span = (self.span * 2).min(SPAN);
                    from = to + 1;
                }
                // This node lags: what it has can be read, the rest in a later round.
                Ok(Range::NodeEndsAt(end)) if (from..to).contains(&end) => head = end,
                Ok(Range::NodeEndsAt(_)) => break,
                Err(_) if self.span > 16 => self.span /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

enum Range {
    Read(Vec<AgreementId>),
    NodeEndsAt(u64),
}

/// The logs of a range, with the range's last block in the same batch: a node that has not got that block answers for its
/// logs with an empty list, and no error.
async fn range(chain: &Chain, provider: Address, from: u64, to: u64) -> Result<Range, ChainError> {
    let filter = Filter {
        from_block: U64::from(from),
        to_block: U64::from(to),
        address: chain.contracts().agreement_store,
        topics: [Some(AgreementActorAdded::SIGNATURE_HASH), None, Some(provider.into_word())],
    };
    let mut batch = Batch::new();
    let logs = batch.add::<Vec<Log>>("eth_getLogs", &[filter]);
    let last = batch.block(to);
    let head = batch.head();
    let mut answers = chain.rpc().send(batch).await?;
    if answers.take(last)?.is_none() {
        return Ok(Range::NodeEndsAt(answers.take(head)?.number));
    }
    let logs = answers.take(logs)?;
    Ok(Range::Read(logs.iter().filter_map(|log| log.topics.get(1)).map(|id| AgreementId(*id)).collect()))
}

/// The first block that is not older than `since` (seconds), by bisection over block times.
async fn first_block_since(chain: &Chain, since: u64) -> Result<u64, ChainError> {
    let mut batch = Batch::new();
    let head = batch.head();
    let first = batch.block(0);
    let mut answers = chain.rpc().send(batch).await?;
    let head = answers.take(head)?;
    // A node that has dropped its first blocks has dropped their logs too; it says which it has by the bisection.
    if answers.take(first).ok().flatten().is_some_and(|first| first.timestamp >= since) {
        return Ok(0);
    }
    let (mut low, mut high) = (0, head.number);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut batch = Batch::new();
        let block = batch.block(middle);
        let block = chain.rpc().send(batch).await?.take(block)?;
        if block.is_some_and(|block| block.timestamp >= since) { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}
