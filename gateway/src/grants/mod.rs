//! The provider's side on chain: grants what is paid, and takes the publisher's money out of the escrow.
//!
//! Level-triggered: what the chain holds decides, never the event that woke us, nor what was done before. A missed event or
//! a restart loses nothing, and a transaction that is under way is waited for, not sent again.

mod discover;
mod once;
mod watch;

pub use once::{GrantError, Granted, Granter};
pub use watch::Event;
