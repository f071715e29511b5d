//! A job's facts as create-only objects, in a folder of a local disk or in an object store.
//!
//! [`Journal`] is what a backend's gateways use, [`LocalJob`] what the process of one running job uses. The layout is in
//! `paths.rs`. What it promises:
//!
//! - A fact is written once, and durable when the call returns. Who comes second gets the first one's.
//! - A job exists from its commit (`submitted`) on. Its entries in the indexes are written before, and count only if
//!   their time is the commit's, so that a crash between leaves debris and never a job that no list shows.
//! - It leaves the open jobs only after `ended`.
//! - Nothing of a job outlives its tombstone: who writes reads `deleted` after his own write, and takes that back.
//!
//! Its limits: a local journal needs one local disk whose fsync can be trusted, not a network file system. Two gateways
//! with skewed clocks list by their own clocks' times.

mod cache;
mod cursor;
mod decide;
mod delete;
mod files;
mod journal;
mod keys;
mod list;
mod local;
mod paths;
mod record;
mod store;
mod submit;
mod sweep;
mod walk;

pub use decide::Decided;
pub use journal::{Clock, Journal, may_drive};
pub use keys::Keys;
pub use local::LocalJob;
pub use submit::Submitted;
pub use sweep::Debris;
