//! Redis Streams, where `redis-server` is found: a server of our own on a free loopback port. Durable:
//! `appendfsync always`, an fdatasync of the AOF before replies go out. Buffered: `appendfsync everysec`,
//! its default, after the AOF's write(2). The AOF has no checksum, and reads come from memory. Every
//! call is a round trip over TCP.

mod resp;
mod server;
mod stream;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;

use self::resp::Pool;
use self::server::Server;
use self::stream::{NAME, add, data, place};
use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const SERVER: &str = "a server: each call is a round trip over TCP";
const NO_CHECKSUM: &str = "reads come from the server's memory, unchecked";
const UNCHECKED: &str = "the AOF has no checksum";

pub(super) const FACTS: Facts = Facts {
    name: "redis",
    origin: Origin::Program(server::PROGRAM),
    weaker: &[(Group::Read, NO_CHECKSUM), (Group::Reopen, UNCHECKED)],
    remarks: &[(Group::Durable, SERVER), (Group::Buffered, SERVER)],
    open,
};

const START_TIMEOUT: Duration = Duration::from_mins(1);
const REPLAY_STEP: &[u8] = b"1000";

struct Redis {
    server: Mutex<Server>,
    pool: Pool,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let Some(server) = Server::start(dir, mode)? else {
        return Ok(None);
    };
    let redis = Redis {
        pool: Pool::new(server.port),
        server: Mutex::new(server),
    };
    redis.wait_until_loaded()?;
    Ok(Some(Box::new(redis)))
}

impl Redis {
    fn lock(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_loaded(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let ping = self.pool.call(|connection| connection.call(&[b"PING"]));
            if ping.is_ok() {
                return Ok(());
            }
            let mut server = self.lock();
            if Instant::now() > deadline || server.process.try_wait()?.is_some() {
                return ping.map(drop).context("redis-server did not start");
            }
            drop(server);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Engine for Redis {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self
            .pool
            .call(|connection| connection.call(&add(record.bytes)))?;
        place(&id).map(Some)
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.append(record)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        self.pool.call(|connection| {
            for record in batch.bytes {
                connection.send(&add(record))?;
            }
            connection.flush()?;
            for _ in 0..batch.len() {
                places.push(place(&connection.receive()?)?);
            }
            Ok(Some(()))
        })
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let mut from = b"-".to_vec();
        loop {
            let range: [&[u8]; 6] = [b"XRANGE", NAME, &from, b"+", b"COUNT", REPLAY_STEP];
            let entries = self
                .pool
                .call(|connection| connection.call(&range))?
                .list()?;
            let Some(last) = entries.last() else {
                return Ok(Some(()));
            };
            from = [b"(", last.at(0)?.bytes()?].concat();
            for entry in &entries {
                if visit(data(entry)?) == ControlFlow::Break(()) {
                    return Ok(Some(()));
                }
            }
        }
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let id = format!("{}-{}", place.0, place.1);
        let range: [&[u8]; 4] = [b"XRANGE", NAME, id.as_bytes(), id.as_bytes()];
        let entries = self.pool.call(|connection| connection.call(&range))?;
        visit(data(entries.at(0)?)?);
        Ok(Some(()))
    }

    fn server(&self) -> Option<u32> {
        let server = self.lock();
        Some(server.process.id())
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        // The server answers by going away.
        let _ = self
            .pool
            .call(|connection| connection.call(&[b"SHUTDOWN", b"NOSAVE"]));
        let mut server = self.lock();
        server.process.wait()?;
        Ok(())
    }
}
