//! Queries by hand.
