//! The names in a job's folder and in the algorithm's view of it: the one place for each.

use std::path::{Path, PathBuf};

/// Where the algorithm sees its world; `VOLUME`.
pub const VOLUME: &str = "/data";
/// Where it finds its datasets; `INPUTS`.
pub const INPUTS: &str = "/data/inputs";
/// Where it writes what is to be published; `OUTPUTS`.
pub const OUTPUTS: &str = "/data/outputs";
/// Where it may write logs of its own; `LOGS`.
pub const LOGS: &str = "/data/logs";
/// Itself.
pub const ALGORITHM: &str = "/data/transformations/algorithm";
/// The folder of [`ALGORITHM`].
pub const TRANSFORMATIONS: &str = "/data/transformations";
/// Its writable home, in memory.
pub const HOME: &str = "/home/brizo";
/// Where it may write temporary files, in memory.
pub const TMP: &str = "/tmp";

/// A job's folder on the host (or on the job's volume), which no algorithm sees as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident = $part:literal;)*) => {
        $($(#[$doc])* pub fn $name(&self) -> PathBuf { self.root.join($part) })*
    };
}

impl Layout {
    /// Of the job whose folder is `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    parts! {
        /// The staged datasets; [`INPUTS`].
        inputs = "inputs";
        /// The staged algorithm's folder; [`TRANSFORMATIONS`].
        transformations = "transformations";
        /// What the algorithm publishes; [`OUTPUTS`].
        outputs = "outputs";
        /// The algorithm's own logs; [`LOGS`].
        logs = "logs";
        /// The runner's log of both streams.
        log = "log";
        /// Says that the folder is staged, and holds what was learnt by it; written once.
        staged = "staged";
        /// Says that the algorithm was executed; created before it is, and never again. Not durable.
        claim = "claim";
        /// How the algorithm ended; written once. Not durable.
        end = "end";
        /// What was published; written once.
        manifest = "manifest";
    }
}
