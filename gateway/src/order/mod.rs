//! The consumer's side of a purchase, and the publisher's registration of what is sold.

mod buy;
mod register;
mod wait;

pub use buy::{OrderError, Progress, Terms, new_agreement_id, place};
pub use register::{RegisterError, Registered, register_did};
pub use wait::{Standing, standing, wait_granted};

use std::time::Duration;

/// How long a transaction may take to be mined before the caller is told that it may still be.
const MINED: Duration = Duration::from_mins(10);
