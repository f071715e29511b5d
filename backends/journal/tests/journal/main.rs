//! The journal in a local folder and in an object store.

mod common;
mod life;
