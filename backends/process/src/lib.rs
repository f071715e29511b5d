//! brizo-process
