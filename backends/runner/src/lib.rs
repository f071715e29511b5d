//! brizo-runner
