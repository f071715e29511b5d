//! Brizo, a compute-to-data gateway: the service, and the command line of publishers and consumers.
//!
//! One request goes `api` -> `identity` -> `keeper` -> `assets` -> [`brizo_backend::Backend`]. `api` knows the others;
//! none of the others knows `api` or another of them. ARCHITECTURE.md walks through it.

pub mod api;
pub mod assets;
pub mod chain;
pub mod check;
pub mod cli;
pub mod config;
pub mod grants;
pub mod identity;
pub mod keeper;
pub mod keys;
mod offers;
pub mod order;
pub mod problem;
pub mod serve;
pub mod service;
mod signature;
pub mod types;
