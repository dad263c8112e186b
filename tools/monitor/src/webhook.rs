//! [`Webhook`]: alerts, sent to a program elsewhere.

use std::fmt;
use std::io::Result;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use forelog::{Alert, AlertSink};
use ureq::Agent;

use crate::client;

/// How many alerts wait for a program that is slow; more are left out.
const WAITING_MAX: usize = 100;
/// After which pauses an alert is sent again that was not taken.
const AGAIN_AFTER: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// Sends each alert as JSON with a POST to a URL, from a thread of its own. One that is not answered with a
/// status of 200 to 299 is sent again, three times, and then left out.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use forelog::{EventMonitor, EventSystem, MonitorSettings};
/// use forelog_monitor::Webhook;
/// let system = EventSystem::builder().open()?;
/// let monitor = EventMonitor::new(&system, MonitorSettings::default())?;
/// monitor.on_alert(Webhook::new("https://alerts.example.com/forelog")?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Webhook(SyncSender<String>);

/// How a [`Webhook`] reaches the program that takes its alerts.
#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// Where to: `http://…` or `https://…`.
    pub url: String,
    /// Headers of each request, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// Certificates to trust in place of those that this machine trusts, as PEM.
    pub trusted: Option<String>,
}

impl fmt::Debug for WebhookSettings {
    /// Without the headers, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook to a URL, which begins with `http://` or `https://`. Certificates are checked against those that
    /// this machine trusts.
    ///
    /// # Errors
    /// If the URL is none, this machine trusts no certificate, or the thread cannot be started.
    pub fn new(url: &str) -> Result<Webhook> {
        Webhook::with(WebhookSettings {
            url: url.to_owned(),
            ..WebhookSettings::default()
        })
    }

    /// A webhook with more said of it.
    ///
    /// # Errors
    /// As [`Webhook::new`]; if what is to be trusted is no certificate.
    pub fn with(settings: WebhookSettings) -> Result<Webhook> {
        let agent = client::agent(&settings.url, settings.trusted.as_deref())?;
        let (sends, waiting) = sync_channel(WAITING_MAX);
        let builder = thread::Builder::new().name("forelog-webhook".to_owned());
        builder.spawn(move || run(&waiting, &agent, &settings))?;
        Ok(Webhook(sends))
    }
}

impl AlertSink for Webhook {
    fn take(&self, alert: &Alert) {
        let Ok(body) = serde_json::to_string(alert) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = self.0.try_send(body) {
            eprintln!("forelog-monitor: an alert is left out: the webhook is too slow");
        }
    }
}

/// Sends what comes until the sink is gone.
fn run(waiting: &Receiver<String>, agent: &Agent, settings: &WebhookSettings) {
    let url = &settings.url;
    for body in waiting {
        let send = || {
            let request = client::with_headers(agent.post(url), &settings.headers);
            let request = request.header("Content-Type", "application/json");
            match request.send(body.as_str()) {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("it answers {}", answer.status())),
                Err(error) => Err(error.to_string()),
            }
        };
        let mut pauses = AGAIN_AFTER.iter();
        while let Err(why) = send() {
            let Some(pause) = pauses.next() else {
                eprintln!("forelog-monitor: an alert is left out: {url} does not take it: {why}");
                break;
            };
            thread::sleep(*pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use forelog::{
        Delivery, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription,
    };

    use super::*;

    /// Takes one request, answers it, and returns it.
    fn answer(listener: &TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&request).contains("\r\n\r\n{") || !request.ends_with(b"}") {
            let count = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..count]);
        }
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn an_alert_is_sent_until_it_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let system = EventSystem::builder().open().unwrap();
        let settings = MonitorSettings {
            raise_after: Duration::ZERO,
            background: false,
            ..MonitorSettings::default()
        };
        let monitor = EventMonitor::new(&system, settings).unwrap();
        monitor.on_alert(Webhook::new(&url).unwrap());
        let print = Subscription::named("print");
        system
            .register_handler(print, |_: &Delivery<'_>| Outcome::Park("no".to_owned()))
            .unwrap();
        system.start().unwrap();
        system.emit(Event::new("page", "web", &1).unwrap()).unwrap();
        system.drain(None).unwrap();
        monitor.check().unwrap();
        let first = answer(&listener, "503 Not now");
        let again = answer(&listener, "204 Taken");
        assert_eq!(first, again);
        assert!(first.starts_with("POST /alerts HTTP/1.1\r\n"), "{first}");
        let body = first.split("\r\n\r\n").nth(1).unwrap();
        let alert: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&alert["rule"], &alert["state"]),
            (&"parked".into(), &"raised".into())
        );
        system.close().unwrap();
    }
}
