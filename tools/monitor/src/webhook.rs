//! [`Webhook`]: alerts, sent to a program elsewhere.

use std::io::{Error, ErrorKind, Result};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use forelog::{Alert, AlertSink};

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
/// monitor.on_alert(Webhook::new("http://127.0.0.1:9093/forelog")?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Webhook(SyncSender<String>);

impl Webhook {
    /// A webhook to a URL, which begins with `http://`: a program elsewhere that wants TLS is reached through a
    /// proxy on this machine.
    ///
    /// # Errors
    /// If the URL is none, or the thread cannot be started.
    pub fn new(url: &str) -> Result<Webhook> {
        let (address, path) = parsed(url)?;
        let (sends, waiting) = sync_channel(WAITING_MAX);
        let builder = thread::Builder::new().name("forelog-webhook".to_owned());
        builder.spawn(move || run(&waiting, &address, &path))?;
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

/// The address and the path of a URL.
fn parsed(url: &str) -> Result<(String, String)> {
    let invalid = || {
        Error::new(
            ErrorKind::InvalidInput,
            format!("{url:?}: give http://HOST:PORT/PATH"),
        )
    };
    let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
    if rest.chars().any(|c| c.is_control() || c == ' ') {
        return Err(invalid());
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_named = !host.is_empty() && !host.starts_with(':') && !host.contains('@');
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    if is_named {
        Ok((address, format!("/{path}")))
    } else {
        Err(invalid())
    }
}

/// Sends what comes until the sink is gone.
fn run(waiting: &Receiver<String>, address: &str, path: &str) {
    for body in waiting {
        let is_taken = || {
            let answer = client::post(address, path, &body);
            answer.is_ok_and(|(status, _)| (200..300).contains(&status))
        };
        let mut pauses = AGAIN_AFTER.iter();
        while !is_taken() {
            let Some(pause) = pauses.next() else {
                eprintln!("forelog-monitor: an alert is left out: {address} does not take it");
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

    #[test]
    fn urls_are_taken_apart() {
        let both = |url| parsed(url).unwrap();
        assert_eq!(
            both("http://a:1/b/c?d"),
            ("a:1".to_owned(), "/b/c?d".to_owned())
        );
        assert_eq!(both("http://a"), ("a:80".to_owned(), "/".to_owned()));
        for wrong in [
            "https://a/",
            "a:1",
            "http://",
            "http://:1/",
            "http://a/b c",
            "http://a/\r\nX: y",
            "http://u@a/",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

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
