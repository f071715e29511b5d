//! The suite that every backend's test binary runs: what `brizo_backend::Backend` promises, one trial a bullet.
//!
//! A backend brings a [`Harness`]: how its state is made anew, how a gateway opens it, where a publisher's files lie.
//! Its test binary (with `harness = false`) hands that to [`run()`]; [`outcomes`] runs the same trials from a program.
//! The suite drives the backends itself, as `serve` does, kills and reopens them, and runs algorithms that it writes as
//! [`Program`]s: real backends run the script that a program becomes, one that only plays interprets its steps.
//!
//! A trial waits for conditions, with a limit ([`Harness::patience`]), and says when it fails what a user would lose.
//! Which trials there are depends on the [`Capability`](brizo_backend::Capability) that a backend declares; that each
//! type declares what it must is a trial too.

mod bench;
mod failure;
mod gateway;
mod harness;
mod program;
mod required;
mod run;
mod server;
mod trials;

pub use failure::Failure;
pub use harness::{Harness, Settings, Site, tagged_processes};
pub use program::{Output, Program, Step};
pub use run::{Outcome, outcomes, run};
