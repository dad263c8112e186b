//! Requests to programs elsewhere, through TLS where the URL wants it.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, RequestBuilder};

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_MAX: u64 = 16 << 20;

/// What a server answers to a GET: its status and its body. The address is `HOST:PORT`, or a URL that begins with
/// `http://` or `https://`; then the certificates that this machine trusts are trusted.
///
/// # Errors
/// If nobody listens there, or the answer is none.
pub fn get(address: &str, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    get_trusting(address, path, token, None)
}

/// As [`get`], trusting these certificates, as PEM, in place of the machine's.
pub(crate) fn get_trusting(
    address: &str,
    path: &str,
    token: Option<&str>,
    trusted: Option<&str>,
) -> Result<(u16, String)> {
    let url = if address.contains("://") {
        format!("{}{path}", address.trim_end_matches('/'))
    } else {
        format!("http://{address}{path}")
    };
    let request = agent(&url, trusted)?.get(&url);
    let request = match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    };
    let mut answer = request.call().map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_MAX);
    Ok((status, body.read_to_string().map_err(failed)?))
}

/// What can ask a server, for the URL of one.
///
/// # Errors
/// For a URL that is none, certificates that are none, and where the machine trusts none.
pub(crate) fn agent(url: &str, trusted: Option<&str>) -> Result<Agent> {
    let is_secure = scheme(url)?;
    let config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        // What goes to an address of this machine must not take a way round through another.
        .proxy(None);
    let config = if is_secure {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(certificates(trusted)?))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
        config.tls_config(tls.build())
    } else {
        config
    };
    Ok(config.build().new_agent())
}

/// Adds headers to a request.
pub(crate) fn with_headers<B>(
    request: RequestBuilder<B>,
    headers: &[(String, String)],
) -> RequestBuilder<B> {
    let add = |request: RequestBuilder<B>, (name, value): &(String, String)| {
        request.header(name.as_str(), value.as_str())
    };
    headers.iter().fold(request, add)
}

/// Whether a URL wants TLS.
fn scheme(url: &str) -> Result<bool> {
    let invalid = || {
        let message = format!("{url:?}: give http://HOST:PORT/PATH, or https://…");
        Error::new(ErrorKind::InvalidInput, message)
    };
    let parsed: ureq::http::Uri = url.parse().map_err(|_| invalid())?;
    let host = parsed.host().filter(|host| !host.is_empty());
    let is_plain = parsed
        .authority()
        .is_some_and(|one| !one.as_str().contains('@'));
    match (parsed.scheme_str(), host, is_plain) {
        (Some("https"), Some(_), true) => Ok(true),
        (Some("http"), Some(_), true) => Ok(false),
        _ => Err(invalid()),
    }
}

/// Those that are given, or else those that this machine trusts.
fn certificates(trusted: Option<&str>) -> Result<Vec<Certificate<'static>>> {
    let none = |why: &str| Error::new(ErrorKind::InvalidInput, why.to_owned());
    let Some(pem) = trusted else {
        let found = rustls_native_certs::load_native_certs().certs;
        if found.is_empty() {
            let why = "this machine trusts no certificate; install ca-certificates, or name those to trust";
            return Err(none(why));
        }
        let found = found.iter();
        return Ok(found
            .map(|one| Certificate::from_der(one).to_owned())
            .collect());
    };
    let mut all = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        let item = item.map_err(|_| none("what is to be trusted is no certificate as PEM"))?;
        if let PemItem::Certificate(one) = item {
            all.push(one);
        }
    }
    if all.is_empty() {
        return Err(none("what is to be trusted has no certificate as PEM"));
    }
    Ok(all)
}

pub(crate) fn failed(cause: ureq::Error) -> Error {
    match cause {
        ureq::Error::Io(cause) => cause,
        other => Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_what_is_none() {
        for (url, is_secure) in [
            ("http://a:1/b/c?d", false),
            ("http://a", false),
            ("http://[::1]:80/", false),
            ("https://a/", true),
        ] {
            assert_eq!(scheme(url).unwrap(), is_secure, "{url}");
        }
        for wrong in [
            "a:1",
            "ftp://a/",
            "http://",
            "http://:1/",
            "http://a/b c",
            "http://a/\r\nX: y",
            "http://u@a/",
        ] {
            assert!(scheme(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_trusted() {
        for wrong in [
            "",
            "none",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            assert!(agent("https://a/", Some(wrong)).is_err(), "{wrong}");
        }
    }
}
