//! [`Otlp`]: spans and figures of a program that has a system, sent to an OpenTelemetry collector: OTLP, as protobuf
//! over HTTP.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use forelog::{Event, EventMonitor, EventSystem, MonitorSettings};
//! use forelog_monitor::otlp::{OpenTelemetry, Otlp, OtlpSettings};
//! use tracing_subscriber::layer::SubscriberExt as _;
//! let otlp = Otlp::start(OtlpSettings {
//!     service: "orders".to_owned(),
//!     ..OtlpSettings::default()
//! })?;
//! let listener = tracing_subscriber::registry().with(otlp.layer());
//! tracing::subscriber::set_global_default(listener)?;
//! let system = EventSystem::builder().tracer(OpenTelemetry).open()?;
//! let monitor = EventMonitor::new(&system, MonitorSettings::default())?;
//! let _figures = otlp.send_figures(&system, &monitor)?;
//! tracing::info_span!("request").in_scope(|| system.emit(Event::new("order.placed", "web", &10)?))?;
//! // The span of each handler of the event is a child of `request`.
//! # Ok(()) }
//! ```

mod figures;
mod spans;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forelog::{Error, ErrorKind, EventMonitor, EventSystem, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

pub use figures::FiguresExport;
pub use spans::OpenTelemetry;

use crate::source::Source;

/// Where the collector is, and what it is told.
#[derive(Clone)]
pub struct OtlpSettings {
    /// Its address, without a path: `http://127.0.0.1:4318` by default. With `https://` it is spoken to through TLS.
    pub endpoint: String,
    /// What this program is called there (`service.name`): `forelog` by default.
    pub service: String,
    /// Headers of each request, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// Certificates to trust in place of those that this machine trusts, as PEM.
    pub trusted: Option<String>,
    /// How often figures are sent: each 10 s by default.
    pub interval: Duration,
    /// Which part of the traces that begin here is recorded, as a part of 1: all by default. A trace that began
    /// elsewhere is recorded if it was there.
    pub sampled: f64,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        OtlpSettings {
            endpoint: "http://127.0.0.1:4318".to_owned(),
            service: "forelog".to_owned(),
            headers: Vec::new(),
            trusted: None,
            interval: Duration::from_secs(10),
            sampled: 1.0,
        }
    }
}

impl fmt::Debug for OtlpSettings {
    /// Without the headers, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl OtlpSettings {
    /// The URL of this kind of data.
    fn url(&self, kind: &str) -> String {
        format!("{}/v1/{kind}", self.endpoint.trim_end_matches('/'))
    }
}

/// Sends spans, and figures, until it is dropped. What is refused, or cannot be sent, is left out: a collector that
/// is away holds nothing up.
#[derive(Debug)]
pub struct Otlp {
    settings: OtlpSettings,
    agent: ureq::Agent,
    provider: SdkTracerProvider,
}

impl Otlp {
    /// Begins to send.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for settings that make no sense.
    pub fn start(settings: OtlpSettings) -> Result<Otlp> {
        if settings.interval.is_zero() {
            return Err(invalid("the interval is zero; give a time, such as 10 s"));
        }
        let agent = crate::client::agent(&settings.endpoint, settings.trusted.as_deref());
        let agent = agent.map_err(|cause| invalid(&cause.to_string()))?;
        let provider = spans::provider(&settings, agent.clone())?;
        Ok(Otlp {
            settings,
            agent,
            provider,
        })
    }

    /// The layer that takes the program's spans; for a subscriber of the `tracing-subscriber` crate.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("forelog"))
    }

    /// Sends the figures of a system, under the names that `/metrics` has, until what is returned is dropped.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn send_figures(
        &self,
        system: &EventSystem,
        monitor: &EventMonitor,
    ) -> Result<FiguresExport> {
        self.send_figures_of(Arc::new(Source::live(system, monitor)))
    }

    pub(crate) fn send_figures_of(&self, source: Arc<Source>) -> Result<FiguresExport> {
        FiguresExport::start(source, self.settings.clone(), self.agent.clone())
    }

    /// Sends all spans that have ended by now.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the collector does not take them.
    pub fn flush(&self) -> Result<()> {
        let failed = |cause| {
            let endpoint = self.settings.endpoint.clone();
            Error::io("send spans to", endpoint, std::io::Error::other(cause))
        };
        self.provider.force_flush().map_err(failed)
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        // Who wants to hear of it flushes before.
        let _ = self.provider.shutdown();
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("OTLP: {message}"))
}
