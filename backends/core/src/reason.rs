use serde::{Deserialize, Serialize};

/// Why a job failed. Exit code, signal, out of memory, time and disk are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reason {
    /// The algorithm ended with an exit code other than 0.
    ExitCode {
        /// 1 to 255.
        exit_code: i32,
        /// In words.
        message: String,
    },
    /// The algorithm was ended by a signal that nobody here sent.
    Signal {
        /// The signal's number.
        signal: i32,
        /// In words.
        message: String,
    },
    /// It asked for more memory than it may have.
    OutOfMemory {
        /// In words.
        message: String,
    },
    /// It ran longer than it may.
    WallTime {
        /// In words.
        message: String,
    },
    /// It wrote more than it may, in bytes or in files.
    Disk {
        /// In words.
        message: String,
    },
    /// An input could not be staged.
    Inputs {
        /// In words, without the input's URL.
        message: String,
    },
    /// The algorithm could not be fetched.
    Algorithm {
        /// In words.
        message: String,
    },
    /// The image could not be had.
    ImagePull {
        /// The registry's words.
        message: String,
    },
    /// It waited in the queue longer than it may.
    QueueDeadline {
        /// In words.
        message: String,
    },
    /// It was not ready to run in time.
    ProvisioningDeadline {
        /// The backend's own words.
        message: String,
    },
    /// The demanded walls could not be built, so it was not run.
    Sandbox {
        /// Which one, and the remedy.
        message: String,
    },
    /// Its outputs could not be published.
    Publish {
        /// In words.
        message: String,
    },
    /// A fault of the host destroyed its running step or its volume.
    Interrupted {
        /// In words.
        message: String,
    },
    /// None of these; the message says what is known.
    Unknown {
        /// In words.
        message: String,
    },
}

impl Reason {
    /// The word of the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ExitCode { .. } => "exit_code",
            Self::Signal { .. } => "signal",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::WallTime { .. } => "wall_time",
            Self::Disk { .. } => "disk",
            Self::Inputs { .. } => "inputs",
            Self::Algorithm { .. } => "algorithm",
            Self::ImagePull { .. } => "image_pull",
            Self::QueueDeadline { .. } => "queue_deadline",
            Self::ProvisioningDeadline { .. } => "provisioning_deadline",
            Self::Sandbox { .. } => "sandbox",
            Self::Publish { .. } => "publish",
            Self::Interrupted { .. } => "interrupted",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The reason in words, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::ExitCode { message, .. }
            | Self::Signal { message, .. }
            | Self::OutOfMemory { message }
            | Self::WallTime { message }
            | Self::Disk { message }
            | Self::Inputs { message }
            | Self::Algorithm { message }
            | Self::ImagePull { message }
            | Self::QueueDeadline { message }
            | Self::ProvisioningDeadline { message }
            | Self::Sandbox { message }
            | Self::Publish { message }
            | Self::Interrupted { message }
            | Self::Unknown { message } => message,
        }
    }

    /// The reason of an algorithm that ended with this code.
    pub fn exit_code(exit_code: i32) -> Self {
        Self::ExitCode { exit_code, message: format!("The algorithm ended with exit code {exit_code}.") }
    }

    /// The reason of an algorithm that this signal ended.
    pub fn signal(signal: i32) -> Self {
        Self::Signal { signal, message: format!("The algorithm was ended by signal {signal}.") }
    }
}
