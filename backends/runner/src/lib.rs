//! brizo-runner

pub mod guard;
