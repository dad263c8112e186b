//! The workloads, each with its floor.

pub(crate) mod append;
pub(crate) mod durable;
pub(crate) mod read;
