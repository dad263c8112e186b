//! Redis Streams, where `redis-server` is found: a server of our own on a free loopback port. Durable:
//! `appendfsync always`, an fdatasync of the AOF before replies go out. Buffered: `appendfsync everysec`,
//! its default, after the AOF's write(2). The AOF has no checksum, and reads come from memory. Every
//! call is a round trip over TCP.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::resp::{Connection, Value};
use crate::engine::{Engine, Facts, Group, Mode, Offer, Place, Visit};
use crate::record::{Batch, Record};

const NO_CHECKSUM: &str = "reads come from the server's memory, unchecked";
const UNCHECKED: &str = "the AOF has no checksum";

pub(super) const FACTS: Facts = Facts {
    name: "redis",
    package: None,
    weaker: &[(Group::Read, NO_CHECKSUM), (Group::Reopen, UNCHECKED)],
    open,
};

pub const SERVER: &str = "redis-server";
const START_TIMEOUT: Duration = Duration::from_mins(1);
const STREAM: &[u8] = b"log";
const REPLAY_STEP: &[u8] = b"1000";

struct Redis {
    server: Mutex<Child>,
    port: u16,
    /// Connections that no thread uses just now.
    idle: Mutex<Vec<Connection>>,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let sync = match mode {
        Mode::Buffered => "everysec",
        Mode::Durable => "always",
    };
    let spawned = Command::new(SERVER)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--appendonly", "yes", "--appendfsync", sync, "--save", ""])
        .arg("--dir")
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = match spawned {
        Ok(child) => Mutex::new(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot start redis-server"),
    };
    let idle = Mutex::new(Vec::new());
    let redis = Redis { server, port, idle };
    redis.wait_until_loaded()?;
    Ok(Some(Box::new(redis)))
}

impl Redis {
    fn wait_until_loaded(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let ping = self.call(|connection| connection.call(&[b"PING"]));
            if ping.is_ok() {
                return Ok(());
            }
            let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() > deadline || server.try_wait()?.is_some() {
                return ping.map(drop).context("redis-server did not start");
            }
            drop(server);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs `work` on a connection of the caller's own.
    fn call<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle().pop();
        let mut connection = match found {
            Some(connection) => connection,
            None => Connection::open(self.port)?,
        };
        let done = work(&mut connection)?;
        idle().push(connection);
        Ok(done)
    }
}

impl Engine for Redis {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.call(|connection| connection.call(&add(record.bytes)))?;
        place(&id).map(Some)
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.append(record)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        self.call(|connection| {
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
            let range: [&[u8]; 6] = [b"XRANGE", STREAM, &from, b"+", b"COUNT", REPLAY_STEP];
            let entries = self.call(|connection| connection.call(&range))?.list()?;
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
        let range: [&[u8]; 4] = [b"XRANGE", STREAM, id.as_bytes(), id.as_bytes()];
        let entries = self.call(|connection| connection.call(&range))?;
        visit(data(entries.at(0)?)?);
        Ok(Some(()))
    }

    fn server(&self) -> Option<u32> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        Some(server.id())
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        // The server answers by going away.
        let _ = self.call(|connection| connection.call(&[b"SHUTDOWN", b"NOSAVE"]));
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.wait()?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let server = self.server.get_mut();
        let server = server.unwrap_or_else(PoisonError::into_inner);
        // Both fail only where the server is gone already.
        let _ = server.kill();
        let _ = server.wait();
    }
}

fn add(record: &[u8]) -> [&[u8]; 5] {
    [b"XADD", STREAM, b"*", b"d", record]
}

/// The id `milliseconds-number` of an entry.
fn place(id: &Value) -> anyhow::Result<Place> {
    let text = std::str::from_utf8(id.bytes()?)?;
    let Some((time, number)) = text.split_once('-') else {
        bail!("no stream id: {text}");
    };
    Ok(Place(time.parse()?, number.parse()?))
}

/// The value of the only field of an entry: `[id, [field, value]]`.
fn data(entry: &Value) -> anyhow::Result<&[u8]> {
    entry.at(1)?.at(1)?.bytes()
}
