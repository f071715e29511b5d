//! brizo-conformance
