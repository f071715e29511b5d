use std::fmt;

/// Why a trial failed: what was seen, and what should have been.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

/// What a trial returns.
pub(crate) type Verdict = Result<(), Failure>;

impl Failure {
    /// With this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<brizo_backend::Error> for Failure {
    fn from(error: brizo_backend::Error) -> Self {
        Self(format!("an unexpected error: {error:?}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("the harness failed: {error}"))
    }
}

/// Leaves the trial with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!($($text)+)));
        }
    };
}

/// Leaves the trial unless the result is an error of this kind.
macro_rules! refused {
    ($result:expr, $kind:ident, $($text:tt)+) => {
        match $result {
            Err(error) if error.kind() == brizo_backend::ErrorKind::$kind => {}
            Err(error) => {
                let what = format!($($text)+);
                return Err($crate::Failure::new(format!("{what}: expected {}, got {error:?}", stringify!($kind))));
            }
            Ok(_) => {
                let what = format!($($text)+);
                return Err($crate::Failure::new(format!("{what}: expected {}, but it was accepted", stringify!($kind))));
            }
        }
    };
}

pub(crate) use {ensure, refused};
