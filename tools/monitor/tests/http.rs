//! What a server answers, to whom, and what it says of it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use forelog::{Delivery, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription};
use forelog_monitor::{NAMES, Server, ServerSettings, get};
use serde_json::Value;

const TOKEN: &str = "a secret of the test";
const PATIENCE: Duration = Duration::from_secs(30);

struct Served {
    system: EventSystem,
    monitor: EventMonitor,
    server: Server,
}

impl Served {
    fn new() -> Served {
        Served::with(Some(TOKEN))
    }

    fn with(token: Option<&str>) -> Served {
        let system = EventSystem::builder().open().unwrap();
        let settings = MonitorSettings {
            background: false,
            ..MonitorSettings::default()
        };
        let monitor = EventMonitor::new(&system, settings).unwrap();
        let settings = ServerSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: token.map(str::to_owned),
            ..ServerSettings::default()
        };
        let server = Server::embedded(&system, &monitor, settings).unwrap();
        Served {
            system,
            monitor,
            server,
        }
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = get(&self.address(), path, None).unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A request as it is given, to its end; its answer.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn control(&self, token: Option<&str>, body: &str) -> String {
        let authorization = token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        self.raw(&format!(
            "POST /api/control HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address(),
            body.len()
        ))
    }

    /// A subscription whose events are parked, until it is told otherwise.
    fn with_parked(&self) -> std::sync::Arc<std::sync::atomic::AtomicBool> {
        let works = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let asked = works.clone();
        let handler = move |_: &Delivery<'_>| {
            if asked.load(std::sync::atomic::Ordering::SeqCst) {
                Outcome::Ack
            } else {
                Outcome::Park("out of <ink>".to_owned())
            }
        };
        self.system
            .register_handler(Subscription::named("print"), handler)
            .unwrap();
        self.system.start().unwrap();
        for page in 1..=3 {
            self.system
                .emit(Event::new("page.sent", "web", &page).unwrap())
                .unwrap();
        }
        self.system
            .drain(Instant::now().checked_add(PATIENCE))
            .unwrap();
        works
    }
}

#[test]
fn everything_is_told_of_a_running_system() {
    let served = Served::new();
    served.with_parked();
    let status = served.json("/api/status");
    assert_eq!(status["mode"], "live");
    assert_eq!(status["summary"]["counts"]["emitted"], 3);
    assert_eq!(status["health"]["status"], "degraded");
    assert_eq!(status["summary"]["subscriptions"][0]["name"], "print");
    assert_eq!(
        served.json("/api/parked/print")["parked"][0]["reason"],
        "out of <ink>"
    );
    assert_eq!(
        served.json("/api/segments")["segments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(served.json("/healthz")["status"], "degraded");
    assert_eq!(served.json("/readyz")["ready"], true);
    let event = served.json("/api/events/2");
    assert_eq!(
        (&event["event_type"], &event["data"]),
        (&"page.sent".into(), &2.into())
    );
    assert_eq!(
        get(&served.address(), "/api/events/99", None).unwrap().0,
        404
    );
    assert_eq!(get(&served.address(), "/nothing", None).unwrap().0, 404);
}

#[test]
fn events_are_found_by_what_they_are() {
    let served = Served::new();
    let mut id = String::new();
    for number in 1..=120 {
        let (kind, source) = if number % 2 == 0 {
            ("order.placed", "web")
        } else {
            ("user.login", "app")
        };
        let receipt = served
            .system
            .emit(Event::new(kind, source, &format!("number {number}")).unwrap());
        if number == 42 {
            id = receipt.unwrap().event_id.to_string();
        }
    }
    let seqs = |path: &str| -> Vec<u64> {
        let found = served.json(path);
        let events = found["events"].as_array().unwrap().iter();
        events.map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs("/api/events?type=order.*&limit=3"), [120, 118, 116]);
    assert_eq!(seqs("/api/events?source=app&limit=2"), [119, 117]);
    assert_eq!(seqs(&format!("/api/events?id={id}")), [42]);
    assert_eq!(seqs("/api/events?text=number%2042"), [42]);
    assert_eq!(seqs("/api/events?until=2001-01-01T00:00:00Z"), [0_u64; 0]);
    assert_eq!(seqs("/api/events?since=2001-01-01T00:00:00Z").len(), 50);
    let first = served.json("/api/events?limit=100");
    assert_eq!(first["before"], 21);
    assert_eq!(seqs("/api/events?limit=100&before=21").len(), 20);
    let (status, body) = get(&served.address(), "/api/events?id=nonsense", None).unwrap();
    assert!(
        status == 400 && body.contains("event id"),
        "{status} {body}"
    );
}

#[test]
fn what_changes_a_system_wants_the_token() {
    let served = Served::new();
    let works = served.with_parked();
    let pause = r#"{"action":"pause","subscription":"print"}"#;
    for (token, why) in [
        (None, "wants the token"),
        (Some("wrong"), "not the token"),
        (Some(""), "wants the token"),
    ] {
        let answer = served.control(token, pause);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(
            answer.contains(why) && answer.contains("www-authenticate: Bearer"),
            "{answer}"
        );
    }
    assert!(served.system.subscriptions()[0].paused.is_none());
    let answer = served.control(Some(TOKEN), pause);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(served.system.subscriptions()[0].paused.is_some());
    served.control(Some(TOKEN), r#"{"action":"resume","subscription":"print"}"#);
    works.store(true, std::sync::atomic::Ordering::SeqCst);
    served.control(
        Some(TOKEN),
        r#"{"action":"discard","subscription":"print","seq":1}"#,
    );
    served.control(
        Some(TOKEN),
        r#"{"action":"redeliver","subscription":"print"}"#,
    );
    let deadline = Instant::now() + PATIENCE;
    while served.system.subscriptions()[0].parked > 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let answer = served.control(Some(TOKEN), r#"{"action":"dance","subscription":"print"}"#);
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("not known"),
        "{answer}"
    );
    let answer = served.control(Some(TOKEN), r#"{"action":"pause","subscription":"nobody"}"#);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    let without = Served::with(None);
    let answer = without.control(Some(""), pause);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn elsewhere_everything_wants_the_token() {
    let system = EventSystem::builder().open().unwrap();
    let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
    let at = |token: Option<&str>| ServerSettings {
        listen: "0.0.0.0:0".parse().unwrap(),
        token: token.map(str::to_owned),
        ..ServerSettings::default()
    };
    for none in [None, Some("")] {
        let refused = Server::embedded(&system, &monitor, at(none)).unwrap_err();
        assert!(refused.to_string().contains("token"), "{refused}");
    }
    let server = Server::embedded(&system, &monitor, at(Some(TOKEN))).unwrap();
    let address = format!("127.0.0.1:{}", server.address().port());
    for path in [
        "/api/status",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/events",
        "/api/stream",
        "/nothing",
    ] {
        assert_eq!(get(&address, path, None).unwrap().0, 401, "{path}");
        assert_eq!(get(&address, path, Some("wrong")).unwrap().0, 401, "{path}");
    }
    for path in ["/", "/app.js", "/style.css", "/api/status?x=1"] {
        assert_eq!(get(&address, path, Some(TOKEN)).unwrap().0, 200, "{path}");
    }
    assert_eq!(
        get(&address, "/", None).unwrap().0,
        200,
        "the page has no data"
    );
}

#[test]
fn answers_say_how_they_are_to_be_treated() {
    let served = Served::new();
    for path in ["/", "/app.js", "/metrics", "/nothing"] {
        let answer = served.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let head = answer.split("\r\n\r\n").next().unwrap();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{header} is not in {head}");
        }
    }
    let answer = served.raw("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

#[test]
fn too_much_is_refused() {
    let served = Served::new();
    let long = "x".repeat(20_000);
    let answer = served.control(
        Some(TOKEN),
        &format!(r#"{{"action":"pause","subscription":"{long}"}}"#),
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let statuses: Vec<_> = (0..300)
        .map(|_| get(&served.address(), "/", None).unwrap().0)
        .collect();
    assert!(statuses.contains(&429), "a burst of 300 is too much");
    assert_eq!(statuses[0], 200);
}

#[test]
fn streams_are_updated_and_limited() {
    let served = Served::new();
    let ask = format!(
        "GET /api/stream HTTP/1.1\r\nHost: {}\r\n\r\n",
        served.address()
    );
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        let mut stream = TcpStream::connect(served.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(ask.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        match &head {
            b"HTTP/1.1 200" => open.push(stream),
            b"HTTP/1.1 429" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((open.len(), refused), (32, 8));
    let mut text = String::new();
    let mut first = std::io::BufReader::new(open.remove(0));
    let deadline = Instant::now() + PATIENCE;
    while text.matches("event: status").count() < 2 {
        assert!(Instant::now() < deadline, "{text}");
        std::io::BufRead::read_line(&mut first, &mut text).unwrap();
    }
    served.server.stop();
    assert!(get(&served.address(), "/", None).is_err(), "it has ended");
}

#[test]
fn a_system_that_is_closed_is_not_ready() {
    let served = Served::new();
    served.system.close().unwrap();
    assert_eq!(get(&served.address(), "/readyz", None).unwrap().0, 503);
    assert_eq!(get(&served.address(), "/api/status", None).unwrap().0, 503);
}

#[test]
fn a_directory_is_served_beside_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .open()
        .unwrap();
    system
        .emit(Event::new("order.placed", "web", &1).unwrap())
        .unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: Some(TOKEN.to_owned()),
        ..ServerSettings::default()
    };
    let server = Server::beside(dir.path(), settings).unwrap();
    let address = server.address().to_string();
    let status: Value =
        serde_json::from_str(&get(&address, "/api/status", None).unwrap().1).unwrap();
    assert_eq!(
        (&status["mode"], &status["summary"]["log"]["last_seq"]),
        (&"files".into(), &1.into())
    );
    // Of how the system is its files tell nothing, and they can be read.
    assert_eq!(status["health"]["status"], "unknown");
    let (code, body) = get(&address, "/healthz", None).unwrap();
    assert!(code == 200 && body.contains("\"unknown\""), "{body}");
    system
        .emit(Event::new("order.placed", "web", &2).unwrap())
        .unwrap();
    let (_, body) = get(&address, "/api/events", None).unwrap();
    let found: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(found["events"][0]["seq"], 2);
    assert!(
        get(&address, "/metrics", None)
            .unwrap()
            .1
            .contains("forelog_log_last_seq 2")
    );
    system.close().unwrap();
}

#[test]
fn every_metric_has_a_name_that_is_listed() {
    let served = Served::new();
    served.with_parked();
    served.monitor.check().unwrap();
    let (_, text) = get(&served.address(), "/metrics", None).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let is_known = |name: &str| NAMES.iter().any(|one| one.0 == name);
        assert!(is_known(name) || base.is_some_and(is_known), "{line}");
    }
    for wanted in [
        "forelog_events_emitted_total 3",
        r#"forelog_delivery_failures_total{subscription="print",event_type="page.sent"} 3"#,
        r#"forelog_subscription_parked_events{subscription="print"} 3"#,
        r#"forelog_issue{rule="parked",subscription="print"} 1"#,
        "# TYPE forelog_sync_seconds histogram",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}
