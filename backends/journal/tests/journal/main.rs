//! The journal in a local folder and in an object store.

mod common;
mod cost;
mod disk;
mod faults;
mod life;
mod probe;
mod races;
mod shown;
mod slow;
mod swept;
