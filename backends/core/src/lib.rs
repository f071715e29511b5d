//! brizo-backend
