//! [`run`]: a command, done.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forelog::{Error, Result};

use crate::args::{Args, Command};
use crate::report;
use crate::server::{Server, ServerSettings, TlsSettings};
use crate::source::Source;
use crate::top;

/// The path or the address cannot be opened.
const UNOPENED: u8 = 4;

/// Does what the command line says. What went wrong is told on the standard error.
pub fn run(args: &Args) -> ExitCode {
    let done = match &args.command {
        Command::Serve {
            path,
            listen,
            token_file,
            tls_cert,
            tls_key,
        } => {
            let tls = tls_cert.as_deref().zip(tls_key.as_deref());
            serve(path, *listen, token_file.as_deref(), tls)
        }
        Command::Top { path, token_file } => show_top(path, token_file.as_deref()),
        Command::Report {
            path,
            performance,
            output,
        } => write_report(path.as_deref(), performance.as_deref(), output.as_ref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forelog-monitor: {error}");
            ExitCode::from(UNOPENED)
        }
    }
}

fn serve(
    path: &Path,
    listen: std::net::SocketAddr,
    token_file: Option<&Path>,
    tls: Option<(&Path, &Path)>,
) -> Result<()> {
    let tls = match tls {
        Some((certificates, key)) => Some(TlsSettings {
            certificates: read(certificates)?,
            key: read(key)?,
        }),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let token = token_file.map(read).transpose()?;
    let token = token.map(|token| token.trim().to_owned());
    let server = Server::beside(path, ServerSettings { listen, token, tls })?;
    println!("{scheme}://{}", server.address());
    server.wait();
    Ok(())
}

fn show_top(path: &Path, token_file: Option<&Path>) -> Result<()> {
    let token = token_file.map(read).transpose()?;
    let failed = |cause| Error::io("draw on", "the terminal", cause);
    let is_address = !path.exists() && path.to_str().is_some_and(|text| text.contains(':'));
    if is_address {
        let address = path.to_string_lossy().into_owned();
        let token = token.as_deref().map(str::trim);
        return top::run(|| status_of(&address, token)).map_err(failed);
    }
    let source = Source::files(path)?;
    top::run(|| source.status().map_err(|error| error.to_string())).map_err(failed)
}

/// What a server tells.
fn status_of(address: &str, token: Option<&str>) -> Result<serde_json::Value, String> {
    let (status, body) = crate::get(address, "/api/status", token).map_err(|e| e.to_string())?;
    let answer: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
    if status == 200 {
        return Ok(answer);
    }
    Err(answer["error"].as_str().unwrap_or("refused").to_owned())
}

fn write_report(
    path: Option<&Path>,
    performance: Option<&Path>,
    output: Option<&PathBuf>,
) -> Result<()> {
    let performance = performance.map(read).transpose()?;
    let html = report::html(path, performance.as_deref())?;
    if let Some(output) = output {
        return std::fs::write(output, html).map_err(|cause| Error::io("write", output, cause));
    }
    let written = std::io::stdout().write_all(html.as_bytes());
    written.map_err(|cause| Error::io("write to", "the standard output", cause))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))
}
