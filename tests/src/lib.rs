//! brizo-tests
