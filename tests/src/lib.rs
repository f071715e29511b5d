//! What the whole-system tests, the benchmark and the quickstart are made of: real parts, and how each one starts.

pub mod chain;
pub mod consumer;
pub mod deploy;
pub mod gateway;
pub mod proxy;
pub mod world;
