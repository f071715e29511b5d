//! What goes wrong between the gateway and a node, sorted by what the caller can do about it.

use std::error::Error as _;
use std::time::Duration;

/// Trouble with the chain. Never carries the node's URL, which may hold a key. `Clone`, since many requests share one read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The node can't be reached, is overloaded, or sends what is no JSON-RPC. Trying again helps.
    #[error("the chain's node does not answer: {cause}")]
    Unreachable {
        /// What was seen.
        cause: String,
        /// How long the node asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The node has not got the block it was asked about (behind a load balancer: another node has). Trying again helps.
    #[error("the chain's node does not know the block it was asked about yet")]
    UnknownBlock,
    /// The node understood and said no, in its own words: a transaction that would revert, a method that it lacks.
    #[error("the chain's node refused {method}: {message}")]
    Refused {
        /// The JSON-RPC method.
        method: &'static str,
        /// JSON-RPC error code.
        code: i64,
        /// The node's words, with the revert reason if there was one.
        message: String,
    },
    /// An answer has another shape than the Keeper contracts of `keeper.artifacts` give.
    #[error("the answer to {method} can't be read ({cause}): is keeper.artifacts for this chain?")]
    Misread {
        /// The JSON-RPC method or the contract's function.
        method: &'static str,
        /// What was wrong with it.
        cause: String,
    },
    /// A transaction was sent and did not come to its effect in time, or at all.
    #[error("transaction {hash} {what}")]
    Transaction {
        /// Its hash.
        hash: alloy_primitives::B256,
        /// What became of it.
        what: String,
    },
}

impl ChainError {
    /// Whether the same question may get an answer a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::UnknownBlock)
    }

    /// How long to wait before the next try.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Unreachable { retry_after: Some(wait), .. } => (*wait).min(Duration::from_mins(5)),
            _ => Duration::from_secs(5),
        }
    }

    pub(super) fn unreachable(cause: impl Into<String>) -> Self {
        Self::Unreachable { cause: cause.into(), retry_after: None }
    }

    /// reqwest's own text ends with the URL; its innermost cause does not.
    pub(super) fn from_http(error: &reqwest::Error) -> Self {
        let kind = if error.is_timeout() {
            "timed out"
        } else if error.is_connect() {
            "can't connect"
        } else {
            "connection broken"
        };
        let mut cause = error.source();
        while let Some(inner) = cause.and_then(std::error::Error::source) {
            cause = Some(inner);
        }
        Self::unreachable(cause.map_or_else(|| kind.to_owned(), |cause| format!("{kind} ({cause})")))
    }

    /// Sorts what a node answered. Nodes agree on no code for a block that they lack; their words are few.
    pub(super) fn from_node(method: &'static str, code: i64, message: String) -> Self {
        const NO_BLOCK: [&str; 7] = [
            "unknown block",
            "header not found",
            "block not found",
            "header for hash not found",
            "blockoutofrange",
            "block is not available",
            "hash is not currently canonical",
        ];
        const LATER: [&str; 6] =
            ["rate limit", "too many requests", "request limit", "rate exceeded", "try again", "timeout"];
        let lower = message.to_lowercase();
        // EIP-1474's "Resource not found", with or without a word about what.
        if code == -32001 || NO_BLOCK.iter().any(|words| lower.contains(words)) {
            return Self::UnknownBlock;
        }
        if matches!(code, 429 | -32005 | -32016) || LATER.iter().any(|words| lower.contains(words)) {
            return Self::unreachable(message);
        }
        Self::Refused { method, code, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer would get a final 401 or 500 for what the next second heals.
    #[test]
    fn a_lagging_or_busy_node_is_retried_and_a_revert_is_not() {
        for (code, message) in [
            (-32000, "header not found"),
            (-32602, "Unknown block"),
            (-32001, "Resource not found: Block not found"),
            (-32602, "BlockOutOfRangeError: block height is 5 but requested was 9"),
        ] {
            assert_eq!(ChainError::from_node("eth_call", code, message.into()), ChainError::UnknownBlock);
        }
        for (code, message) in [(429, "slow down"), (-32005, "daily limit"), (-32000, "Too Many Requests")] {
            assert!(ChainError::from_node("eth_call", code, message.into()).is_retryable(), "{message}");
        }
        let revert = ChainError::from_node("eth_estimateGas", 3, "execution reverted: Id already exists".into());
        assert!(!revert.is_retryable());
        assert!(revert.to_string().contains("Id already exists"));
    }
}
