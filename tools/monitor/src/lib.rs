//! See a Forelog system: metrics, health, alerts and a dashboard, over HTTP.
//!
//! It runs beside a directory that it only reads (`forelog-monitor serve DIR`), or within the program that has
//! the system, where there is more to see and to do:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use forelog::{EventMonitor, EventSystem, MonitorSettings};
//! use forelog_monitor::{Server, ServerSettings};
//! let system = EventSystem::builder().open()?;
//! let monitor = EventMonitor::new(&system, MonitorSettings::default())?;
//! let settings = ServerSettings {
//!     listen: "127.0.0.1:0".parse()?,
//!     token: Some("a long secret".to_owned()),
//!     ..ServerSettings::default()
//! };
//! let server = Server::embedded(&system, &monitor, settings)?;
//! println!("http://{}", server.address());
//! server.stop();
//! # system.close()?; Ok(()) }
//! ```
//!
//! **Who may what.** On a loopback address everybody on this machine may look. What changes a system (pause,
//! resume, redeliver) always wants the token. On any other address everything does, but for the page itself,
//! which holds no data; without a token a server does not listen there.

mod args;
mod client;
mod exit;
mod files;
mod metrics;
mod names;
#[cfg(feature = "otlp")]
pub mod otlp;
mod report;
mod server;
mod source;
mod top;
mod webhook;

pub use args::{Args, Command, Reach};
pub use client::get;
pub use exit::run;
pub use metrics::exposition;
pub use names::NAMES;
pub use server::{Server, ServerSettings, TlsSettings};
pub use webhook::{Webhook, WebhookSettings};
