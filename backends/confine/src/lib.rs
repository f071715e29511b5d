//! brizo-confine
