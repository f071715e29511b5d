//! brizo-journal
