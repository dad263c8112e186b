//! [`get`]: one question to a server of this crate, without more than the standard library.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_MAX: u64 = 16 << 20;

/// What `http://ADDRESS/PATH` answers: its status and its body.
///
/// # Errors
/// If nobody listens there, or the answer is none.
pub fn get(address: &str, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let asked = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n"
    );
    send(address, asked.as_bytes())
}

/// What a POST of this JSON is answered.
pub(crate) fn post(address: &str, path: &str, json: &str) -> Result<(u16, String)> {
    let asked = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{json}",
        json.len()
    );
    send(address, asked.as_bytes())
}

fn send(address: &str, asked: &[u8]) -> Result<(u16, String)> {
    let unknown = || Error::new(ErrorKind::NotFound, format!("{address} is no address"));
    let found = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&found, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(asked)?;
    let mut answer = BufReader::new(stream.take(ANSWER_MAX));
    let invalid = || {
        Error::new(
            ErrorKind::InvalidData,
            "this is no answer of a server over HTTP",
        )
    };
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(invalid)?;
    let (mut len, mut is_chunked) = (None, false);
    loop {
        line.clear();
        answer.read_line(&mut line)?;
        let lower = line.trim().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        if let Some(text) = lower.strip_prefix("content-length:") {
            len = text.trim().parse::<u64>().ok();
        }
        is_chunked |= lower == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    match len {
        Some(len) => drop(answer.take(len).read_to_end(&mut body)?),
        None if is_chunked => return Err(invalid()),
        None => drop(answer.read_to_end(&mut body)?),
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
