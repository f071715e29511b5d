use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TextError;

/// Where a job is on its way. The order is the order of the way; the last three are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Committed, waiting to be admitted.
    Queued,
    /// Admitted; what it needs is being made ready (slot, volume, image, scheduling).
    Provisioning,
    /// Inputs and algorithm are being staged.
    Configuring,
    /// The algorithm runs.
    Running,
    /// Outputs and log are being published.
    Publishing,
    /// The algorithm ended with 0 and its outputs stand.
    Succeeded,
    /// It ended otherwise; the reason says how.
    Failed,
    /// It was stopped, and nothing of it runs any more.
    Stopped,
}

impl Phase {
    /// All phases, in their order.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Provisioning,
        Self::Configuring,
        Self::Running,
        Self::Publishing,
        Self::Succeeded,
        Self::Failed,
        Self::Stopped,
    ];

    /// The number of the transition into this phase, which is the event's id on the wire: 1 to 5, and 6 for every end.
    pub const fn number(self) -> u32 {
        match self {
            Self::Queued => 1,
            Self::Provisioning => 2,
            Self::Configuring => 3,
            Self::Running => 4,
            Self::Publishing => 5,
            Self::Succeeded | Self::Failed | Self::Stopped => 6,
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_end(self) -> bool {
        self.number() == 6
    }

    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Provisioning => "provisioning",
            Self::Configuring => "configuring",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(TextError {
            expected: "a phase: queued, provisioning, configuring, running, publishing, succeeded, failed or stopped",
        })
    }
}
