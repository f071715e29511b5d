//! How a command ends: an exit code, a sentence, and the next step.

use std::fmt;

use serde::Serialize;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A fault of this program or of the gateway.
    Internal = 1,
    /// The command line is not right.
    Usage = 2,
    /// It was refused; the same call will be refused again.
    Refused = 3,
    /// Not yet; the same call may go through later.
    NotYet = 4,
    /// The job failed.
    JobFailed = 5,
    /// The job was stopped.
    JobStopped = 6,
    /// The gateway, the chain or a store did not answer.
    Unavailable = 7,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was wrong, in a sentence.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Failure {
    /// A failure with a sentence that says what was wrong.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None }
    }

    /// The command line is not right.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A fault of this program or of its host.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    /// With the next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(next) => write!(f, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
