//! What somebody tries who means the server no good.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use forelog::{Delivery, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription};
use forelog_monitor::{Server, ServerSettings, get};
use serde_json::Value;

const TOKEN: &str = "a secret of the test";
const PATIENCE: Duration = Duration::from_secs(120);
const SCRIPT: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

fn serve(system: &EventSystem, listen: &str) -> Server {
    serve_with(
        system,
        ServerSettings {
            listen: listen.parse().unwrap(),
            token: Some(TOKEN.to_owned()),
            ..ServerSettings::default()
        },
    )
}

fn serve_with(system: &EventSystem, server: ServerSettings) -> Server {
    let settings = MonitorSettings {
        background: false,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(system, settings).unwrap();
    Server::embedded(system, &monitor, server).unwrap()
}

fn served() -> (EventSystem, Server) {
    let system = EventSystem::builder().open().unwrap();
    let server = serve(&system, "127.0.0.1:0");
    (system, server)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.address().port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What a request as it is given is answered; empty where the connection is closed without a word.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server);
    // The server may have had enough before it has read all of it.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn works(server: &Server) {
    let address = format!("127.0.0.1:{}", server.address().port());
    let (status, _) = get(&address, "/readyz", Some(TOKEN)).unwrap();
    assert_eq!(status, 200, "it still works");
}

#[test]
fn huge_and_many_headers_are_refused() {
    let (system, server) = served();
    let long = "x".repeat(200 << 10);
    let one = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n");
    let path = format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let many: Vec<String> = (0..2_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = many.concat();
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    for request in [one, path, many] {
        let answer = raw(&server, request.as_bytes());
        let status = status_of(&answer);
        // Closed without a word is fine too: the client was still sending.
        assert!(["431", "414", "400", "none"].contains(&status), "{answer}");
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = connect(&server);
        stream.write_all(garbage).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(["400", "none"].contains(&status_of(&answer)), "{answer}");
    }
    works(&server);
    system.close().unwrap();
}

/// Connections that say nothing, half a header, or less of a body than they have promised, are closed; meanwhile
/// others are answered.
#[test]
fn whoever_is_slow_is_cut_off() {
    let (system, server) = served();
    let beginnings = [
        String::new(),
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-".to_owned(),
        format!(
            "POST /api/control HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
        ),
        "POST /api/control HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".to_owned(),
    ];
    let open: Vec<_> = beginnings
        .iter()
        .cycle()
        .take(60)
        .map(|beginning| {
            let mut stream = connect(&server);
            stream.write_all(beginning.as_bytes()).unwrap();
            stream
        })
        .collect();
    works(&server);
    for (mut stream, beginning) in open.into_iter().zip(beginnings.iter().cycle()) {
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        // A reset is an end as well; a timeout is none.
        let is_open = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!is_open, "{beginning:?} holds its connection");
    }
    works(&server);
    system.close().unwrap();
}

/// A client that asks on and on and reads no answer: once the buffers between the two are full the server can
/// write nothing more, and waits no longer than it has been told to.
#[test]
fn whoever_reads_nothing_is_cut_off() {
    let system = EventSystem::builder().open().unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        read_within: Duration::from_millis(200),
        ..ServerSettings::default()
    };
    let server = serve_with(&system, settings);
    let mut stream = connect(&server);
    let requests = "GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    let refused = loop {
        if let Err(error) = stream.write_all(requests.as_bytes()) {
            break error.kind();
        }
    };
    // The connection is gone; a timeout would say that it is only full.
    let is_gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&refused);
    assert!(is_gone, "{refused}");
    system.close().unwrap();
}

#[test]
fn no_more_connections_than_there_may_be() {
    let (system, server) = served();
    let mut open: Vec<_> = (0..200).map(|_| connect(&server)).collect();
    for stream in open.iter_mut().rev().take(50) {
        let ended = match stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended, "one too many is closed");
    }
    drop(open);
    let ready = (0..1_000).find(|_| {
        std::thread::yield_now();
        get(&server.address().to_string(), "/readyz", None).is_ok()
    });
    assert!(ready.is_some(), "it works again once they are gone");
    system.close().unwrap();
}

#[test]
fn paths_lead_nowhere_else() {
    let (system, server) = served();
    system.emit(Event::new("a", "b", &1).unwrap()).unwrap();
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/style.css/../../Cargo.toml",
        "/app.js%00.html",
        "/api/events/../../../etc/passwd",
        "/api/parked/..%2f..%2fetc%2fpasswd",
        "/api/events/-1",
        "/api/events/18446744073709551616",
        "/api/events?limit=-1",
        "/api/events?before=99999999999999999999999",
        "/api/events?since=%00",
        "/api/events?id=..%2f..",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes());
        assert!(
            !answer.contains("root:") && !answer.contains("[package]"),
            "{answer}"
        );
        let expected = if path.starts_with("/api/parked") {
            "200"
        } else {
            "40"
        };
        assert!(status_of(&answer).starts_with(expected), "{path}: {answer}");
    }
    let all = raw(
        &server,
        b"GET /api/parked/..%2fx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(
        all.ends_with(r#"{"count":0,"parked":[]}"#),
        "a name, and no path: {all}"
    );
    system.close().unwrap();
}

/// A page elsewhere can neither read through a name of its own that means this machine, nor change anything.
#[test]
fn pages_elsewhere_reach_nothing() {
    let (system, server) = served();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "evil.example:9898",
        "[::1].evil.example",
        "",
    ] {
        let request =
            format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes());
        assert!(
            ["421", "400"].contains(&status_of(&answer)),
            "{host:?}: {answer}"
        );
    }
    // What a form can send: no token, and no JSON by its type.
    let body = r#"{"action":"pause","subscription":"a"}"#;
    for (kind, token) in [
        ("text/plain", ""),
        ("text/plain", TOKEN),
        ("application/json", ""),
    ] {
        let answer = raw(
            &server,
            format!(
                "POST /api/control HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
                 Authorization: Bearer {token}\r\nContent-Type: {kind}\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        assert!(["401", "415"].contains(&status_of(&answer)), "{answer}");
        assert!(
            !answer.to_lowercase().contains("access-control-allow"),
            "{answer}"
        );
    }
    let asked = raw(
        &server,
        b"OPTIONS /api/control HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
          Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
    );
    assert!(!status_of(&asked).starts_with('2'), "{asked}");
    assert!(
        !asked.to_lowercase().contains("access-control-allow"),
        "{asked}"
    );
    system.close().unwrap();
}

#[test]
fn only_the_whole_token_opens() {
    let system = EventSystem::builder().open().unwrap();
    let server = serve(&system, "0.0.0.0:0");
    for header in [
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: bearer{TOKEN}\r\n"),
        format!("Authorization: Bearer {}\r\n", &TOKEN[1..]),
        format!("Authorization: Bearer {TOKEN}x\r\n"),
        format!("Authorization: Bearer {}\r\n", TOKEN.to_uppercase()),
        format!("Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}\r\n"),
        format!("Cookie: token={TOKEN}\r\n"),
        format!("X-Forwarded-For: 127.0.0.1\r\nX-Token: {TOKEN}\r\n"),
    ] {
        for path in ["/api/status", "/metrics", "/api/stream", "/healthz"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
            let answer = raw(&server, request.as_bytes());
            assert_eq!(status_of(&answer), "401", "{header}");
            assert!(!answer.contains(TOKEN), "{answer}");
        }
    }
    let query = format!(
        "GET /api/status?token={} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        TOKEN.replace(' ', "+")
    );
    assert_eq!(status_of(&raw(&server, query.as_bytes())), "401");
    works(&server);
    system.close().unwrap();
}

/// Streams that nobody reads any more end, and leave their place to others.
#[test]
fn streams_that_are_left_give_their_place_back() {
    let (system, server) = served();
    let ask = b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let open = || {
        let mut stream = connect(&server);
        stream.write_all(ask).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (stream, head.ends_with(b"200"))
    };
    let first: Vec<_> = (0..32).map(|_| open()).collect();
    assert!(first.iter().all(|one| one.1));
    assert!(!open().1, "one too many");
    drop(first);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !open().1 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    system.close().unwrap();
}

/// Whatever is in an event or a name is data in each answer: JSON that a browser takes for nothing else, or text
/// of metrics on one line.
#[test]
fn markup_in_data_is_data() {
    let (system, server) = served();
    let name = format!("{SCRIPT}\n# HELP evil\n");
    system
        .register_handler(Subscription::named(&name), |_: &Delivery<'_>| {
            Outcome::Park(SCRIPT.to_owned())
        })
        .unwrap();
    system.start().unwrap();
    let event = Event::new(SCRIPT, SCRIPT, &SCRIPT).unwrap();
    system.emit(event.with_header(SCRIPT, SCRIPT)).unwrap();
    system.drain(None).unwrap();
    for path in [
        "/api/status",
        "/api/events",
        "/api/events/1",
        "/api/segments",
        "/healthz",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(
            head.contains("nosniff") && head.contains("script-src 'self'"),
            "{head}"
        );
        assert!(
            serde_json::from_str::<Value>(body).is_ok(),
            "{path}: {body}"
        );
    }
    let answer = raw(
        &server,
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.contains("content-type: text/plain"), "{answer}");
    assert!(
        !answer.contains("\n# HELP evil"),
        "a name is on one line: {answer}"
    );
    system.close().unwrap();
}
