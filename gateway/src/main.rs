//! The `brizo` program.
fn main() {}
