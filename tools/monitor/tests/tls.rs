//! A server that speaks TLS, and what it refuses to start with.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use forelog::{
    Delivery, ErrorKind, Event, EventMonitor, EventSystem, MonitorSettings, Outcome, Subscription,
};
use forelog_monitor::{Server, ServerSettings, TlsSettings, Webhook, WebhookSettings, get};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

/// A certificate for this machine, and a client that trusts it alone.
fn made() -> (TlsSettings, ClientConfig) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = TlsSettings {
        certificates: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    };
    (settings, client)
}

fn started(tls: TlsSettings) -> forelog::Result<(EventSystem, Server)> {
    let system = EventSystem::builder().open()?;
    let monitor = EventMonitor::new(&system, MonitorSettings::default())?;
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: None,
        tls: Some(tls),
        ..ServerSettings::default()
    };
    let server = Server::embedded(&system, &monitor, settings)?;
    Ok((system, server))
}

#[test]
fn a_client_that_trusts_the_certificate_is_answered() {
    let (tls, client) = made();
    let (system, server) = started(tls).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(client), name).unwrap();
    let stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut stream = StreamOwned::new(session, stream);
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{"ready":true}"#),
        "{answer}"
    );

    let (_, stranger) = made();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(stranger), name).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(server.address()).unwrap());
    assert!(
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err(),
        "another certificate is not trusted"
    );
    assert!(
        get(&server.address().to_string(), "/readyz", None).is_err(),
        "nothing is answered in plain"
    );
    system.close().unwrap();
}

/// A certificate authority of one's own, as PEM, and a certificate for this machine that it has signed.
fn authority() -> (String, ServerConfig) {
    let mut of_authority = CertificateParams::new(Vec::new()).unwrap();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = of_authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(of_authority, key);
    let own_key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = CertificateParams::new(names)
        .unwrap()
        .signed_by(&own_key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    (authority.pem(), config)
}

/// Takes one request over TLS and answers it; the error if the client does not want to talk.
fn take_one(listener: &TcpListener, config: &ServerConfig) -> std::io::Result<String> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let session = ServerConnection::new(Arc::new(config.clone())).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    let (mut request, mut buffer) = (String::new(), [0; 4096]);
    while !request.ends_with('}') {
        let count = stream.read(&mut buffer)?;
        request += std::str::from_utf8(&buffer[..count]).unwrap();
        if count == 0 {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 204 Taken\r\nContent-Length: 0\r\n\r\n")?;
    stream.flush()?;
    Ok(request)
}

fn webhook(listener: &TcpListener, trusted: Option<String>) -> std::io::Result<Webhook> {
    Webhook::with(WebhookSettings {
        url: format!(
            "https://{}/alerts?team=blue",
            listener.local_addr().unwrap()
        ),
        headers: vec![("Authorization".to_owned(), "Bearer secret".to_owned())],
        trusted,
    })
}

#[test]
fn an_alert_is_sent_over_tls_to_who_is_trusted_alone() {
    let (pem, config) = authority();
    let (stranger, _) = authority();
    let system = EventSystem::builder().max_queue_size(1).open().unwrap();
    let settings = MonitorSettings {
        raise_after: Duration::ZERO,
        background: false,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(&system, settings).unwrap();
    let (trusting, wary) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    monitor.on_alert(webhook(&trusting, Some(pem)).unwrap());
    monitor.on_alert(webhook(&wary, Some(stranger)).unwrap());
    let park = |_: &Delivery<'_>| Outcome::Park("no".to_owned());
    system
        .register_handler(Subscription::named("print"), park)
        .unwrap();
    system.start().unwrap();
    system.emit(Event::new("page", "web", &1).unwrap()).unwrap();
    system.drain(None).unwrap();
    monitor.check().unwrap();
    let request = take_one(&trusting, &config).unwrap();
    assert!(
        request.starts_with("POST /alerts?team=blue HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request
            .to_lowercase()
            .contains("authorization: bearer secret\r\n"),
        "{request}"
    );
    let body = request.split("\r\n\r\n").nth(1).unwrap();
    let alert: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&alert["rule"], &alert["state"]),
        (&"parked".into(), &"raised".into())
    );

    // Who trusts another authority leaves before a word is said.
    assert!(take_one(&wary, &config).is_err());
    assert!(webhook(&wary, Some("none".to_owned())).is_err());
    let settings = WebhookSettings {
        headers: vec![("Authorization".to_owned(), "secret".to_owned())],
        ..WebhookSettings::default()
    };
    assert!(!format!("{settings:?}").contains("secret"));
    system.close().unwrap();
}

#[test]
fn what_is_no_certificate_is_refused() {
    let (tls, _) = made();
    let (other, _) = made();
    for wrong in [
        TlsSettings {
            certificates: "none".to_owned(),
            ..tls.clone()
        },
        TlsSettings {
            key: String::new(),
            ..tls.clone()
        },
        TlsSettings {
            key: other.key,
            ..tls.clone()
        },
    ] {
        assert!(!format!("{wrong:?}").contains("PRIVATE"));
        assert_eq!(started(wrong).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
