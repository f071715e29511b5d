//! JSON-RPC over HTTP in explicit batches: who reads the chain sees in the code what makes one round trip.
//!
//! alloy's own HTTP transport writes the node's URL, which may hold a key, into its tracing spans; hence this one.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use alloy_json_rpc::{ErrorPayload, Id, ResponsePacket, ResponsePayload};
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolCall;
use backon::{ExponentialBuilder, Retryable as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use url::Url;

use super::error::ChainError;

/// One try may take this long, all tries of one batch together twice as long.
const TRY: Duration = Duration::from_secs(6);

/// A node.
#[derive(Clone)]
pub struct Rpc {
    http: reqwest::Client,
    url: Url,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// What is read of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
}

impl<'de> Deserialize<'de> for BlockHead {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            number: U64,
            hash: B256,
            timestamp: U64,
        }
        let Wire { number, hash, timestamp } = Wire::deserialize(deserializer)?;
        Ok(Self { number: number.to(), hash, timestamp: timestamp.to() })
    }
}

/// The state that a call sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The node's head.
    Latest,
    /// The state after one very block (EIP-1898): two reads of it can't disagree, whichever node answers.
    Block(B256),
    /// The state after the block of that number, for nodes that do not know EIP-1898. Which block that is must be asked in
    /// the same batch.
    Number(u64),
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Pinned {
            block_hash: B256,
        }
        match self {
            Self::Latest => serializer.serialize_str("latest"),
            Self::Number(number) => U64::from(*number).serialize(serializer),
            Self::Block(block_hash) => Pinned { block_hash: *block_hash }.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct CallParams<'a> {
    to: Address,
    data: &'a Bytes,
}

/// Where in a batch the answer of type `T` will stand.
#[derive(Debug)]
#[must_use]
pub struct Slot<T>(usize, PhantomData<fn() -> T>);

/// Where in a batch the answer of the contract function `C` will stand.
#[derive(Debug)]
#[must_use]
pub struct CallSlot<C>(usize, PhantomData<fn() -> C>);

/// Requests that go to the node together. An id is its request's place.
#[derive(Debug, Default)]
pub struct Batch {
    body: Vec<u8>,
    methods: Vec<&'static str>,
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: usize,
    method: &'static str,
    params: &'a P,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self { body: Vec::with_capacity(1024), methods: Vec::with_capacity(8) }
    }

    /// How many requests are in it.
    pub fn len(&self) -> usize {
        self.methods.len()
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// Adds a request.
    pub fn add<T>(&mut self, method: &'static str, params: &impl Serialize) -> Slot<T> {
        let id = self.methods.len();
        self.methods.push(method);
        self.body.push(if id == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut self.body, &Request { jsonrpc: "2.0", id, method, params })
            .expect("parameters are plain values, and a Vec takes all of them");
        Slot(id, PhantomData)
    }

    /// Adds a call of a contract's function.
    pub fn call<C: SolCall>(&mut self, to: Address, call: &C, at: At) -> CallSlot<C> {
        let data = Bytes::from(call.abi_encode());
        CallSlot(self.add::<Bytes>("eth_call", &(CallParams { to, data: &data }, at)).0, PhantomData)
    }

    /// Adds a question for a node's newest block.
    pub fn head(&mut self) -> Slot<BlockHead> {
        self.add("eth_getBlockByNumber", &("latest", false))
    }

    /// Adds a question for a block by number; `None` is what a node that has not got it answers.
    pub fn block(&mut self, number: u64) -> Slot<Option<BlockHead>> {
        self.add("eth_getBlockByNumber", &(U64::from(number), false))
    }
}

/// What came back for a batch.
#[derive(Debug)]
pub struct Answers {
    methods: Vec<&'static str>,
    answers: Vec<Option<ResponsePayload>>,
}

impl Answers {
    fn raw(&mut self, index: usize) -> Result<Box<RawValue>, ChainError> {
        let method = self.methods.get(index).copied().unwrap_or("?");
        match self.answers.get_mut(index).and_then(Option::take) {
            Some(ResponsePayload::Success(value)) => Ok(value),
            Some(ResponsePayload::Failure(error)) => Err(from_payload(method, &error)),
            None => Err(ChainError::unreachable(format!("no answer to {method} came back"))),
        }
    }

    /// Takes the answer of one request, once.
    #[expect(clippy::needless_pass_by_value, reason = "an answer is taken once: its slot is used up")]
    pub fn take<T: DeserializeOwned>(&mut self, slot: Slot<T>) -> Result<T, ChainError> {
        let method = self.methods.get(slot.0).copied().unwrap_or("?");
        let raw = self.raw(slot.0)?;
        serde_json::from_str(raw.get()).map_err(|error| {
            // A balancer's node without the block answers null where a block was promised.
            if raw.get() == "null" && method == "eth_getBlockByNumber" {
                return ChainError::UnknownBlock;
            }
            ChainError::Misread { method, cause: error.to_string() }
        })
    }

    /// Takes the answer of one contract call, once.
    #[expect(clippy::needless_pass_by_value, reason = "an answer is taken once: its slot is used up")]
    pub fn call<C: SolCall>(&mut self, slot: CallSlot<C>) -> Result<C::Return, ChainError> {
        let bytes: Bytes = self.take(Slot(slot.0, PhantomData))?;
        C::abi_decode_returns(&bytes).map_err(|error| ChainError::Misread {
            method: C::SIGNATURE,
            cause: if bytes.is_empty() { "no contract there".to_owned() } else { error.to_string() },
        })
    }
}

fn from_payload(method: &'static str, error: &ErrorPayload) -> ChainError {
    let message = match error.as_revert_data().and_then(|data| alloy_sol_types::decode_revert_reason(&data)) {
        Some(reason) if !error.message.contains(reason.trim_start_matches("revert: ")) => {
            format!("{}: {reason}", error.message)
        }
        _ => error.message.to_string(),
    };
    ChainError::from_node(method, error.code, message)
}

impl Rpc {
    /// A node at an http(s) URL, which may hold credentials.
    pub fn new(url: Url) -> Result<Self, ChainError> {
        let http = reqwest::Client::builder()
            .timeout(TRY)
            .connect_timeout(TRY / 2)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("brizo/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ChainError::from_http(&error))?;
        Ok(Self { http, url })
    }

    /// Sends a batch, again after short pauses while the node does not answer. One request's error is that request's alone.
    pub async fn send(&self, mut batch: Batch) -> Result<Answers, ChainError> {
        if batch.is_empty() {
            return Ok(Answers { methods: Vec::new(), answers: Vec::new() });
        }
        batch.body.push(b']');
        let body = bytes::Bytes::from(batch.body);
        let packet = (|| self.post(body.clone()))
            .retry(
                ExponentialBuilder::default()
                    .with_min_delay(Duration::from_millis(100))
                    .with_max_times(3)
                    .with_jitter(),
            )
            .when(ChainError::is_retryable);
        let packet = match tokio::time::timeout(TRY * 2, packet).await {
            Ok(packet) => packet?,
            Err(_) => return Err(ChainError::unreachable("timed out, again and again")),
        };
        let mut answers: Vec<Option<ResponsePayload>> = batch.methods.iter().map(|_| None).collect();
        match packet {
            // A node that refuses the batch as a whole answers one object.
            ResponsePacket::Single(one) => match one.payload {
                ResponsePayload::Failure(error) => {
                    return Err(from_payload(batch.methods.first().copied().unwrap_or("?"), &error));
                }
                success @ ResponsePayload::Success(_) if answers.len() == 1 => answers[0] = Some(success),
                ResponsePayload::Success(_) => return Err(ChainError::unreachable("one answer to a batch of many")),
            },
            ResponsePacket::Batch(many) => {
                for response in many {
                    if let Id::Number(id) = response.id
                        && let Some(slot) = usize::try_from(id).ok().and_then(|id| answers.get_mut(id))
                    {
                        *slot = Some(response.payload);
                    }
                }
            }
        }
        Ok(Answers { methods: batch.methods, answers })
    }

    async fn post(&self, body: bytes::Bytes) -> Result<ResponsePacket, ChainError> {
        let response = self
            .http
            .post(self.url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| ChainError::from_http(&error))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = response.bytes().await.map_err(|error| ChainError::from_http(&error))?;
        // What stands in the body of these is a gateway's page, or the same in other words.
        if matches!(status.as_u16(), 429 | 502..=504) {
            return Err(ChainError::Unreachable { cause: format!("HTTP status {}", status.as_u16()), retry_after });
        }
        match serde_json::from_slice::<ResponsePacket>(&body) {
            Ok(packet) if status.is_success() || matches!(packet, ResponsePacket::Single(_)) => Ok(packet),
            _ if status.is_success() => Err(ChainError::unreachable("its answer is no JSON-RPC")),
            _ => Err(ChainError::Unreachable { cause: format!("HTTP status {}", status.as_u16()), retry_after }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error ends in logs and in front of clients; the key of a node's provider is paid for.
    #[tokio::test]
    async fn errors_do_not_name_the_node() {
        // Nothing listens on port 1 of loopback.
        let rpc = Rpc::new("http://user:hunter2@127.0.0.1:1/v3/apikey?token=abcdef".parse().unwrap()).unwrap();
        let mut batch = Batch::new();
        let _ = batch.head();
        let error = rpc.send(batch).await.unwrap_err();
        assert!(error.is_retryable());
        let shown = format!("{error} {error:?} {rpc:?}");
        for secret in ["user", "hunter2", "apikey", "abcdef"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_batch_is_one_json_rpc_array() {
        let mut batch = Batch::new();
        let _ = batch.head();
        let _ = batch.block(16);
        let _ = batch.call(Address::ZERO, &crate::chain::contracts::OceanToken::renounceMinterCall {}, At::Number(1));
        batch.body.push(b']');
        let sent: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
        let expected = serde_json::json!([
            {"jsonrpc": "2.0", "id": 0, "method": "eth_getBlockByNumber", "params": ["latest", false]},
            {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x10", false]},
            {"jsonrpc": "2.0", "id": 2, "method": "eth_call", "params": [
                {"to": "0x0000000000000000000000000000000000000000", "data": "0x98650275"}, "0x1"
            ]},
        ]);
        assert_eq!(sent, expected);
    }
}
