//! As much of the Redis protocol as the stream commands need.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};

/// A reply.
#[derive(Debug)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    pub(super) fn bytes(&self) -> anyhow::Result<&[u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::List(_) => bail!("a list where redis should send a string"),
        }
    }

    pub(super) fn list(self) -> anyhow::Result<Vec<Value>> {
        match self {
            Value::List(values) => Ok(values),
            Value::Bytes(_) => bail!("a string where redis should send a list"),
        }
    }

    pub(super) fn at(&self, index: usize) -> anyhow::Result<&Value> {
        match self {
            Value::List(values) => values.get(index).context("a reply that is too short"),
            Value::Bytes(_) => bail!("a string where redis should send a list"),
        }
    }
}

/// Connections to one server, as many as threads use at once.
#[derive(Debug)]
pub(super) struct Pool {
    port: u16,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(port: u16) -> Self {
        let idle = Mutex::default();
        Pool { port, idle }
    }

    /// Runs `work` on a connection of the caller's own.
    pub(super) fn call<T>(
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

#[derive(Debug)]
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::with_capacity(1 << 16, stream.try_clone()?),
            writer: BufWriter::with_capacity(1 << 16, stream),
        })
    }

    /// Sends one command and waits for its reply.
    pub(super) fn call(&mut self, words: &[&[u8]]) -> anyhow::Result<Value> {
        self.send(words)?;
        self.flush()?;
        self.receive()
    }

    pub(super) fn send(&mut self, words: &[&[u8]]) -> anyhow::Result<()> {
        write!(self.writer, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.writer, "${}\r\n", word.len())?;
            self.writer.write_all(word)?;
            self.writer.write_all(b"\r\n")?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }

    pub(super) fn receive(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        ensure!(self.reader.read_line(&mut line)? > 0, "redis hung up");
        let line = line.trim_end();
        let Some((kind, rest)) = line.split_at_checked(1) else {
            bail!("an empty reply");
        };
        match kind {
            "+" | ":" => Ok(Value::Bytes(rest.as_bytes().to_vec())),
            "$" => self.string(rest.parse()?),
            "*" => self.values(rest.parse()?),
            _ => bail!("redis says {line}"),
        }
    }

    fn string(&mut self, len: usize) -> anyhow::Result<Value> {
        let mut bytes = vec![0; len + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(len);
        Ok(Value::Bytes(bytes))
    }

    fn values(&mut self, len: usize) -> anyhow::Result<Value> {
        let values: anyhow::Result<Vec<Value>> = (0..len).map(|_| self.receive()).collect();
        values.map(Value::List)
    }
}
