//! The workloads, each with its floor.

pub(crate) mod append;
pub(crate) mod dispatch;
pub(crate) mod durable;
mod find;
pub(crate) mod idle;
pub(crate) mod kept;
mod keyed;
pub(crate) mod monitored;
pub(crate) mod open;
pub(crate) mod pace;
pub(crate) mod packed;
pub(crate) mod pipeline;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod retain;
pub(crate) mod scale;
pub(crate) mod sealed;
pub(crate) mod several;
pub(crate) mod sized;
pub(crate) mod space;
pub(crate) mod sustained;
pub(crate) mod typed;
