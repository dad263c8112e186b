//! A server that speaks TLS, and what it refuses to start with.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use forelog::{ErrorKind, EventMonitor, EventSystem, MonitorSettings};
use forelog_monitor::{Server, ServerSettings, TlsSettings, get};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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
