//! [`run`]: a command, done.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forelog::{EncryptionKey, Error, ErrorKind, Result};
use serde_json::Value;

use crate::args::{Args, Command, Reach};
use crate::client::get_trusting;
use crate::report::{self, Subject};
use crate::server::{Server, ServerSettings, TlsSettings};
use crate::source::Source;
use crate::top;

/// The path or the address cannot be opened, or the output not be written.
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
            key_file,
            #[cfg(feature = "otlp")]
            otlp,
        } => {
            let tls = tls_cert.as_deref().zip(tls_key.as_deref());
            let settings = settings(*listen, token_file.as_deref(), tls, key_file.as_deref());
            #[cfg(feature = "otlp")]
            let settings = settings.and_then(|settings| {
                let key = settings.encryption_key.as_ref();
                let sends = otlp.as_deref().map(|url| send_figures(path, key, url));
                Ok((settings, sends.transpose()?))
            });
            #[cfg(not(feature = "otlp"))]
            let settings = settings.map(|settings| (settings, ()));
            settings.and_then(|(settings, _sends)| serve(path, settings))
        }
        Command::Top { path, reach } => show_top(path, reach),
        Command::Report {
            path,
            reach,
            performance,
            output,
        } => write_report(
            path.as_deref(),
            reach,
            performance.as_deref(),
            output.as_ref(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be told either, the code tells it.
            let _ = writeln!(std::io::stderr(), "forelog-monitor: {error}");
            ExitCode::from(UNOPENED)
        }
    }
}

fn settings(
    listen: std::net::SocketAddr,
    token_file: Option<&Path>,
    tls: Option<(&Path, &Path)>,
    key_file: Option<&Path>,
) -> Result<ServerSettings> {
    let tls = match tls {
        Some((certificates, key)) => Some(TlsSettings {
            certificates: read(certificates)?,
            key: read(key)?,
        }),
        None => None,
    };
    let token = token_file.map(read_token).transpose()?;
    Ok(ServerSettings {
        listen,
        token,
        tls,
        encryption_key: key_file.map(EncryptionKey::from_file).transpose()?,
        ..ServerSettings::default()
    })
}

fn serve(path: &Path, settings: ServerSettings) -> Result<()> {
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let server = Server::beside(path, settings)?;
    print(&format!("{scheme}://{}\n", server.address()))?;
    server.wait();
    Ok(())
}

/// Sends what a directory tells to a collector, until what is returned is dropped.
#[cfg(feature = "otlp")]
fn send_figures(
    path: &Path,
    key: Option<&EncryptionKey>,
    url: &str,
) -> Result<crate::otlp::FiguresExport> {
    let otlp = crate::otlp::Otlp::start(crate::otlp::OtlpSettings {
        endpoint: url.to_owned(),
        ..crate::otlp::OtlpSettings::default()
    })?;
    otlp.send_figures_of(std::sync::Arc::new(Source::files(path, key)?))
}

/// A server that is asked.
struct Asked {
    address: String,
    token: Option<String>,
    trusted: Option<String>,
}

impl Asked {
    /// `None` if this is a directory.
    fn found(path: &Path, reach: &Reach) -> Result<Option<Asked>> {
        let is_address =
            |text: &&str| text.contains("://") || (text.contains(':') && !text.contains('/'));
        let address = path.to_str().filter(is_address);
        let Some(address) = address.filter(|_| !path.exists()) else {
            return Ok(None);
        };
        Ok(Some(Asked {
            address: address.to_owned(),
            token: reach.token_file.as_deref().map(read_token).transpose()?,
            trusted: reach.tls_ca.as_deref().map(read).transpose()?,
        }))
    }

    /// What it tells of its system.
    fn status(&self) -> Result<Value, String> {
        let (token, trusted) = (self.token.as_deref(), self.trusted.as_deref());
        let answer = get_trusting(&self.address, "/api/status", token, trusted);
        let (status, body) = answer.map_err(|cause| {
            format!(
                "{}: {cause}; is forelog-monitor serving there?",
                self.address
            )
        })?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        if status == 200 && answer["summary"].is_object() {
            return Ok(answer);
        }
        let why = answer["error"]
            .as_str()
            .unwrap_or("this is no forelog-monitor");
        let step = if status == 401 {
            "; see --token-file"
        } else {
            ""
        };
        Err(format!("{} answers {status}: {why}{step}", self.address))
    }

    /// The same, as the error of a command.
    fn first_status(&self) -> Result<Value> {
        self.status().map_err(|why| Error::new(ErrorKind::Io, why))
    }
}

fn show_top(path: &Path, reach: &Reach) -> Result<()> {
    let failed = |cause| Error::io("draw on", "the terminal", cause);
    if let Some(asked) = Asked::found(path, reach)? {
        // What is wrong from the beginning is told before the screen is taken.
        asked.first_status()?;
        return top::run(|| asked.status()).map_err(failed);
    }
    let source = Source::files(path, reach.key()?.as_ref())?;
    top::run(|| source.status().map_err(|error| error.to_string())).map_err(failed)
}

fn write_report(
    path: Option<&Path>,
    reach: &Reach,
    performance: Option<&Path>,
    output: Option<&PathBuf>,
) -> Result<()> {
    let asked = path.map(|path| Asked::found(path, reach)).transpose()?;
    let subject = match (path, asked.flatten()) {
        (_, Some(asked)) => Subject::Running(asked.first_status()?),
        (Some(path), None) => Subject::Directory(path, reach.key()?),
        (None, None) => Subject::None,
    };
    let results = performance.map(read).transpose()?;
    let html = report::html(&subject, performance.zip(results.as_deref()))?;
    if let Some(output) = output {
        return std::fs::write(output, html).map_err(|cause| Error::io("write", output, cause));
    }
    print(&html)
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|cause| Error::io("write to", "the standard output", cause))
}

fn read_token(path: &Path) -> Result<String> {
    let token = read(path)?.trim().to_owned();
    if token.is_empty() {
        let message = format!(
            "{} holds no token; write a long secret into it",
            path.display()
        );
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(token)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))
}
