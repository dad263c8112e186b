//! Where acknowledgements go: the output, or a socket. Each is there when the call returns.

use std::io::{self, Write};
use std::net::TcpStream;

use forelog::{Error, Result};
use forelog_dump::Output;

pub(crate) struct Sink<'a> {
    to: To<'a>,
    place: String,
}

enum To<'a> {
    Output(Output<'a>),
    Socket(TcpStream),
}

impl<'a> Sink<'a> {
    /// The output, or the socket of this address.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(crate) fn new(ack_to: Option<&str>, out: Output<'a>) -> Result<Sink<'a>> {
        let Some(place) = ack_to else {
            return Ok(Sink {
                to: To::Output(out),
                place: "stdout".to_owned(),
            });
        };
        let connected = TcpStream::connect(place).and_then(|socket| {
            socket.set_nodelay(true)?;
            Ok(socket)
        });
        let socket = connected.map_err(|e| Error::io("connect to", place, e))?;
        Ok(Sink {
            to: To::Socket(socket),
            place: place.to_owned(),
        })
    }

    /// Hands whole lines on, in one piece.
    ///
    /// # Errors
    /// Whatever happens to them, also that nobody reads any more: what is not handed on counts as never
    /// acknowledged, so the run must end.
    pub(crate) fn send(&mut self, lines: &str) -> Result<()> {
        let sent = match &mut self.to {
            To::Output(out) => write_out(*out, lines),
            To::Socket(socket) => socket.write_all(lines.as_bytes()),
        };
        sent.map_err(|e| Error::io("send acknowledgements to", &self.place, e))
    }
}

fn write_out(out: &mut dyn Write, lines: &str) -> io::Result<()> {
    out.write_all(lines.as_bytes())?;
    out.flush()
}
