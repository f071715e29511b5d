//! The three steps of a job, as a library: [`stage`] brings inputs and algorithm into the job's folder, [`run`] confines
//! and executes the algorithm, keeps its streams and enforces its limits, [`collect`] lists what it wrote.
//!
//! The process backend's shim is made of it.

pub mod atomic;
pub mod collect;
pub mod environment;
pub mod guard;
pub mod layout;
pub mod log;
pub mod remove;
pub mod run;
pub mod stage;
