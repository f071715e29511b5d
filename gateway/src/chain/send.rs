//! Transactions: legacy ones (EIP-155), which every chain takes, signed here and sent raw.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U128, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::ChainError;
use super::rpc::{Batch, Slot};
use super::{At, Chain};

/// How much gas a transaction may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gas {
    /// So much. For what can't be estimated before an earlier transaction of the same row is mined.
    Fixed(u64),
    /// What the node says that it would use now, and a quarter more. A transaction that would revert is not sent; the
    /// error says why.
    Estimated,
}

/// A transaction that is to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The contract, or none to make one.
    pub to: TxKind,
    /// The call, or the code.
    pub input: Bytes,
    /// Its gas.
    pub gas: Gas,
}

impl Outgoing {
    /// A call of a contract's function.
    pub fn call<C: SolCall>(to: Address, call: &C, gas: Gas) -> Self {
        Self { to: TxKind::Call(to), input: call.abi_encode().into(), gas }
    }
}

/// A transaction that a node has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub hash: B256,
    /// Its nonce.
    pub nonce: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// 1 done, 0 reverted; absent before the Byzantium fork.
    #[serde(default)]
    pub status: Option<U64>,
    /// Its block's number.
    pub block_number: U64,
}

#[derive(Serialize)]
struct Estimate<'a> {
    from: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    data: &'a Bytes,
}

impl Chain {
    /// Sends a row of transactions of one account with consecutive nonces, in order; ends at the first that is refused.
    /// All but the first should have fixed gas if they build on the earlier ones.
    pub async fn transact(&self, signer: &PrivateKeySigner, row: &[Outgoing]) -> Result<Vec<Sent>, ChainError> {
        let from = signer.address();
        let chain_id = self.id().await?;
        let mut batch = Batch::new();
        let nonce = batch.add::<U64>("eth_getTransactionCount", &(from, "pending"));
        let price = batch.add::<U128>("eth_gasPrice", &[(); 0]);
        let gas: Vec<Option<Slot<U64>>> = row
            .iter()
            .map(|outgoing| match outgoing.gas {
                Gas::Fixed(_) => None,
                Gas::Estimated => Some(batch.add(
                    "eth_estimateGas",
                    &[Estimate { from, to: outgoing.to.to().copied(), data: &outgoing.input }],
                )),
            })
            .collect();
        let mut answers = self.rpc().send(batch).await?;
        let nonce = answers.take(nonce)?.to::<u64>();
        let gas_price = answers.take(price)?.to::<u128>();
        let mut sent = Vec::with_capacity(row.len());
        for ((outgoing, gas), nonce) in row.iter().zip(gas).zip(nonce..) {
            let gas_limit = match (gas, outgoing.gas) {
                (Some(slot), _) => {
                    let used = answers.take(slot)?.to::<u64>();
                    used + used / 4
                }
                (None, Gas::Fixed(limit)) => limit,
                (None, Gas::Estimated) => continue,
            };
            let transaction = TxLegacy {
                chain_id: Some(chain_id),
                nonce,
                gas_price,
                gas_limit,
                to: outgoing.to,
                value: U256::ZERO,
                input: outgoing.input.clone(),
            };
            sent.push(Sent { hash: self.send_raw(signer, transaction).await?, nonce });
        }
        Ok(sent)
    }

    async fn send_raw(&self, signer: &PrivateKeySigner, transaction: TxLegacy) -> Result<B256, ChainError> {
        let signature = signer
            .sign_hash_sync(&transaction.signature_hash())
            .map_err(|_| ChainError::Misread { method: "signing", cause: "the key can't sign".into() })?;
        let transaction = transaction.into_signed(signature);
        let hash = *transaction.hash();
        let mut raw = Vec::with_capacity(transaction.rlp_encoded_length());
        transaction.rlp_encode(&mut raw);
        let mut batch = Batch::new();
        let slot = batch.add::<B256>("eth_sendRawTransaction", &[Bytes::from(raw)]);
        match self.rpc().send(batch).await?.take(slot) {
            Ok(_) => Ok(hash),
            // A second try after an answer that got lost.
            Err(ChainError::Refused { message, .. })
                if message.contains("already known") || message.contains("already imported") =>
            {
                Ok(hash)
            }
            Err(error) => Err(error),
        }
    }

    /// How many transactions an account has on the chain, and with those that wait to be mined.
    pub async fn nonces(&self, account: Address) -> Result<(u64, u64), ChainError> {
        let mut batch = Batch::new();
        let mined = batch.add::<U64>("eth_getTransactionCount", &(account, "latest"));
        let pending = batch.add::<U64>("eth_getTransactionCount", &(account, "pending"));
        let mut answers = self.rpc().send(batch).await?;
        Ok((answers.take(mined)?.to(), answers.take(pending)?.to()))
    }

    /// What became of a transaction; `None` while it is not mined.
    pub async fn receipt(&self, hash: B256) -> Result<Option<Receipt>, ChainError> {
        let mut batch = Batch::new();
        let slot = batch.add("eth_getTransactionReceipt", &[hash]);
        self.rpc().send(batch).await?.take(slot)
    }

    /// Waits until a transaction is mined. A reverted one is an error.
    pub async fn mined(&self, hash: B256, limit: Duration) -> Result<Receipt, ChainError> {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(20);
        loop {
            if let Some(receipt) = self.receipt(hash).await? {
                if receipt.status.is_some_and(|status| status.is_zero()) {
                    return Err(ChainError::Transaction { hash, what: "was mined and reverted".into() });
                }
                return Ok(receipt);
            }
            if Instant::now() + pause > end {
                let what = format!("is not mined after {} s; it may still be", limit.as_secs());
                return Err(ChainError::Transaction { hash, what });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Reads one function at the head: for tools, not for the hot path.
    pub async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ChainError> {
        let mut batch = Batch::new();
        let slot = batch.call(to, call, At::Latest);
        self.rpc().send(batch).await?.call(slot)
    }
}
