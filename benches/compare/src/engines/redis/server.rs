//! A `redis-server` of our own.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::engine::{Mode, Offer};

pub(super) const PROGRAM: &str = "redis-server";

/// Ends with this value, if not before.
pub(super) struct Server {
    pub(super) process: Child,
    pub(super) port: u16,
}

impl Server {
    /// Starts one on a free loopback port, its files in `dir`; `None` if this machine has none.
    pub(super) fn start(dir: &Path, mode: Mode) -> Offer<Self> {
        let port = free_port()?;
        let sync = match mode {
            Mode::Buffered => "everysec",
            Mode::Durable => "always",
        };
        let spawned = Command::new(PROGRAM)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--appendonly", "yes", "--appendfsync", sync, "--save", ""])
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match spawned {
            Ok(process) => Ok(Some(Server { process, port })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot start redis-server"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
