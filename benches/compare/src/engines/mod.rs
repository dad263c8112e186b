//! The engines, one file each: how durability is got there, what the checksum covers, where it is
//! weaker than asked.

mod commitlog;
mod fjall;
mod forelog;
mod heed;
mod okaywal;
mod open_wal;
mod raft_engine;
mod redb;
mod redis;
mod rewal;
mod rusqlite;
mod sled;
mod wal_db;
mod walrus;
mod writeahead;

use crate::engine::Facts;

pub use walrus::prepare_process;

/// The name of our own engine, which every table sets beside the best of the others.
pub const OWN: &str = "forelog";

/// All engines, in the order of the tables before they are sorted by figures.
pub const ALL: &[Facts] = &[
    forelog::FACTS,
    okaywal::FACTS,
    okaywal::KEPT,
    commitlog::FACTS,
    walrus::FACTS,
    raft_engine::FACTS,
    sled::FACTS,
    redb::FACTS,
    fjall::FACTS,
    rusqlite::FACTS,
    heed::FACTS,
    rewal::FACTS,
    wal_db::FACTS,
    open_wal::FACTS,
    writeahead::FACTS,
    redis::FACTS,
];

/// The engine of this name.
pub fn find(name: &str) -> Option<&'static Facts> {
    ALL.iter().find(|facts| facts.name == name)
}
