//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use forelog::{EncryptionKey, Result};

const AFTER_HELP: &str = "\
Exit codes:
  0  it was done, or ended as asked
  2  the command was not understood
  4  the directory, the file or the address cannot be opened, or the token is refused,
     or the output cannot be written

Examples:
  forelog-monitor serve /var/lib/orders
  forelog-monitor serve /var/lib/orders --listen 0.0.0.0:9898 --token-file /etc/forelog/token
  forelog-monitor top /var/lib/orders
  forelog-monitor top 127.0.0.1:9898
  forelog-monitor report /var/lib/orders --output orders.html
  forelog-monitor report 127.0.0.1:9898 --output now.html
  forelog-monitor report --performance results.json --output performance.html";

/// See a Forelog system: metrics, health, and a dashboard. Never writes, needs no lock, and works beside a
/// live writer.
///
/// Beside a directory there is what the log tells. What handlers do, the queue and latencies are known to the
/// program alone that has the system open: embed the server there (see the library).
#[derive(Debug, Clone, Parser)]
#[command(name = "forelog-monitor", version, after_help = AFTER_HELP)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to reach a server.
#[derive(Debug, Clone, clap::Args)]
pub struct Reach {
    /// A file with the token, where the server asks for one
    #[arg(long)]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificates to trust, as PEM, where the server speaks TLS with one of your own
    #[arg(long)]
    pub(crate) tls_ca: Option<PathBuf>,
    /// A file with the key, where the path is a directory whose events are encrypted
    #[arg(long, value_name = "F")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Reach {
    /// The key of a directory, if one is given.
    pub(crate) fn key(&self) -> Result<Option<EncryptionKey>> {
        let path = self.key_file.as_ref();
        path.map(EncryptionKey::from_file).transpose()
    }
}

/// What can be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve the dashboard, /metrics, /healthz, /readyz and /api over HTTP
    Serve {
        /// The directory
        path: PathBuf,
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:9898")]
        listen: SocketAddr,
        /// A file with the token that a client must show; needed for an address other than loopback
        #[arg(long)]
        token_file: Option<PathBuf>,
        /// A file with the certificate, as PEM: speak TLS
        #[arg(long, requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// A file with the certificate's private key, as PEM
        #[arg(long, requires = "tls_cert")]
        tls_key: Option<PathBuf>,
        /// A file with the key, where the events are encrypted: 32 bytes, or 64 hexadecimal digits
        #[arg(long, value_name = "F")]
        key_file: Option<PathBuf>,
        /// An OpenTelemetry collector that gets the figures too, such as `http://127.0.0.1:4318`
        #[cfg(feature = "otlp")]
        #[arg(long, value_name = "URL")]
        otlp: Option<String>,
    },
    /// Show the figures in a terminal, until q is pressed
    Top {
        /// The directory, or the address of a server of this tool, such as 127.0.0.1:9898 or
        /// `https://monitor.example.com:9898`
        path: PathBuf,
        /// How a server is reached
        #[command(flatten)]
        reach: Reach,
    },
    /// Write one self-contained HTML file
    Report {
        /// The directory, or the address of a server of this tool
        #[arg(required_unless_present = "performance")]
        path: Option<PathBuf>,
        /// How a server is reached
        #[command(flatten)]
        reach: Reach,
        /// Results that a performance test has saved (`EventSystemPerformanceTest`), shown as plots
        #[arg(long)]
        performance: Option<PathBuf>,
        /// Where to write it; to the standard output by default
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
}
