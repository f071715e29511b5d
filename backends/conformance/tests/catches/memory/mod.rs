//! A backend in memory. It plays the suite's programs in place of running them, and its state outlives its gateways.

mod backend;
mod driver;
mod fetch;
mod flaw;
mod harness;
mod player;
mod world;

pub(crate) use flaw::Flaw;
pub(crate) use harness::MemoryHarness;
