//! What went wrong, in words for the client: the one form in which every part of the gateway refuses a request.

use std::fmt;
use std::time::Duration;

use brizo_backend::ErrorKind;

/// The stable word for a kind of refusal, and the HTTP status that it has on the new API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request can't be right, here or anywhere.
    InvalidRequest,
    /// Nobody is known to have signed it.
    Unauthenticated,
    /// The signer may not do this.
    NotAuthorized,
    /// The agreement was made at a price that no longer holds.
    PriceChanged,
    /// The price is not locked yet.
    LockUnpaid,
    /// The provider has not granted yet.
    NotGranted,
    /// The payment has not been released to the publisher yet.
    EscrowUnreleased,
    /// The dataset's publisher does not allow this algorithm.
    AlgorithmNotAllowed,
    /// The image is not one that may run here.
    ImageNotAllowed,
    /// There is no such thing, or it is not yours to see.
    NotFound,
    /// The `Idempotency-Key` belongs to another request.
    KeyReused,
    /// The job of this key was deleted.
    JobDeleted,
    /// This gateway does not do that.
    NotSupported,
    /// The request, or what it asks for, is too large.
    TooLarge,
    /// The range can't be satisfied.
    Range,
    /// Too many jobs.
    QuotaExceeded,
    /// Too many requests.
    RateLimited,
    /// No room for more outputs.
    StorageFull,
    /// The chain, a store or the backend does not answer.
    Unavailable,
    /// A fault of the gateway.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 20] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::NotAuthorized,
        Self::PriceChanged,
        Self::LockUnpaid,
        Self::NotGranted,
        Self::EscrowUnreleased,
        Self::AlgorithmNotAllowed,
        Self::ImageNotAllowed,
        Self::NotFound,
        Self::KeyReused,
        Self::JobDeleted,
        Self::NotSupported,
        Self::TooLarge,
        Self::Range,
        Self::QuotaExceeded,
        Self::RateLimited,
        Self::StorageFull,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The word of the wire, the usual status, and the title.
    const fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request", 400, "The request is not valid"),
            Self::Unauthenticated => ("unauthenticated", 401, "Not signed by a key that is known to be yours"),
            Self::NotAuthorized => ("not_authorized", 401, "Not authorized"),
            Self::PriceChanged => ("price_changed", 401, "The price has changed"),
            Self::LockUnpaid => ("lock_unpaid", 409, "Payment not locked yet"),
            Self::NotGranted => ("not_granted", 409, "Not granted yet"),
            Self::EscrowUnreleased => ("escrow_unreleased", 409, "Payment not released yet"),
            Self::AlgorithmNotAllowed => ("algorithm_not_allowed", 400, "Algorithm not allowed on this dataset"),
            Self::ImageNotAllowed => ("image_not_allowed", 400, "Image not allowed"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::KeyReused => ("key_reused", 422, "The key belongs to another request"),
            Self::JobDeleted => ("job_deleted", 409, "The job was deleted"),
            Self::NotSupported => ("not_supported", 501, "Not supported here"),
            Self::TooLarge => ("too_large", 413, "Too large"),
            Self::Range => ("range", 416, "Range not satisfiable"),
            Self::QuotaExceeded => ("quota_exceeded", 429, "Too many jobs"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::StorageFull => ("storage_full", 507, "No room for more outputs"),
            Self::Unavailable => ("unavailable", 503, "Something that is needed does not answer"),
            Self::Internal => ("internal", 500, "A fault of the gateway"),
        }
    }

    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The usual HTTP status.
    pub const fn status(self) -> u16 {
        self.facts().1
    }

    /// A few words for people.
    pub const fn title(self) -> &'static str {
        self.facts().2
    }
}

/// One part of a request that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// JSON pointer into the body, or the name of a parameter or header.
    pub pointer: String,
    /// What was wrong with it.
    pub detail: String,
}

/// A refusal. `Display` is the text for the client; the cause is for the log alone.
pub struct Problem {
    code: Code,
    status: u16,
    detail: String,
    parts: Vec<Part>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    /// A refusal with a text that says what was wrong and what would be right.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            parts: Vec::new(),
            retry_after: (code == Code::Unavailable).then_some(Duration::from_secs(5)),
            cause: None,
        }
    }

    /// A request that can't be right.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// A request of which one part can't be right.
    pub fn invalid_at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::invalid(detail.clone()).at(pointer, detail)
    }

    /// Something is not there, or not the caller's to see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// A fault of the gateway; the client sees only that there was one.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "The gateway met a fault of its own; its log has the cause under this request's id.")
            .because(cause)
    }

    /// With another status than the code's usual one.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a part of the request that was wrong.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.parts.push(Part { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// With the time after which another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With its cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The stable word.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The HTTP status on the new API.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The text for the client.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What exactly was wrong.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// When to try again.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What lies behind it, for the log.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl From<brizo_backend::Error> for Problem {
    fn from(error: brizo_backend::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::JobDeleted => Code::JobDeleted,
            ErrorKind::KeyReused => Code::KeyReused,
            ErrorKind::InvalidSpec | ErrorKind::InvalidCursor => Code::InvalidRequest,
            ErrorKind::Unsupported => Code::NotSupported,
            ErrorKind::ImageNotAllowed => Code::ImageNotAllowed,
            ErrorKind::QuotaExceeded => Code::QuotaExceeded,
            ErrorKind::StorageFull => Code::StorageFull,
            ErrorKind::Range => Code::Range,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::Internal => return Self::internal(error),
        };
        let mut problem = Self::new(code, error.message());
        if let Some(pointer) = error.at() {
            problem = problem.at(pointer, error.message());
        } else if error.kind() == ErrorKind::InvalidCursor {
            problem = problem.at("cursor", "take it from `next` of the page before, as it stands");
        }
        problem.retry_after = error.wait();
        problem.because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_gateway_tells_the_client_nothing_of_its_cause() {
        let problem = Problem::internal("password=hunter2");
        assert!(!problem.to_string().contains("hunter2"));
        assert!(format!("{problem:?}").contains("hunter2"), "the log needs it");
        let error = brizo_backend::Error::new(ErrorKind::Internal, "get", "disk /secret broke");
        assert!(!Problem::from(error).detail().contains("secret"));
    }

    #[test]
    fn every_code_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
