use std::fmt;
use std::time::Duration;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no such job or output.
    NotFound,
    /// The job was deleted, and its tombstone stands.
    JobDeleted,
    /// The id exists, with another request.
    KeyReused,
    /// The specification can't be right, here or anywhere.
    InvalidSpec,
    /// This backend can't do it; another might.
    Unsupported,
    /// The image is not one that may run here.
    ImageNotAllowed,
    /// Too many jobs of this owner.
    QuotaExceeded,
    /// No room for what it would write.
    StorageFull,
    /// The range can't be satisfied.
    Range,
    /// The cursor is none of this backend's.
    InvalidCursor,
    /// A hiccup: the same call may go through later.
    Unavailable,
    /// A fault of this program or of its host.
    Internal,
}

/// The error of a backend: one type, whichever backend it is.
///
/// `Display` is for the client and never prints the source; the source and the context are for the log.
pub struct Error(Box<Parts>);

/// Apart, so that a `Result` stays small.
struct Parts {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    pointer: Option<String>,
    retry_after: Option<Duration>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `operation` (the verb's name), with a text that tells the client what was wrong and what would be right.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            operation,
            message: message.into(),
            pointer: None,
            retry_after: (kind == ErrorKind::Unavailable).then_some(Duration::from_secs(5)),
            context: Vec::new(),
            source: None,
        }))
    }

    /// With the JSON pointer of the part of the request that was wrong.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// With the time after which another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// With a pair for the log.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// With its cause, for the log.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may go through later.
    pub fn is_retryable(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable
    }

    /// The verb that failed.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The text for the client.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The JSON pointer of what was wrong, if one thing was.
    pub fn at(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// When to try again.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {}", self.0.kind, self.0.operation, self.0.message)?;
        for (key, value) in &self.0.context {
            write!(f, ", {key}: {value}")?;
        }
        let mut source = self.0.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
