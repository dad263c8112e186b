//! TLS 1.2 and 1.3, for those who ask for it.

use std::sync::Arc;

use forelog::{Error, ErrorKind, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsSettings;

/// What makes a TLS stream of a plain one.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for what is no certificate with its key.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<TlsAcceptor> {
    let invalid = |what: String| {
        let message = format!("TLS: {what}; give a certificate and its key, both as PEM");
        Error::new(ErrorKind::Invalid, message)
    };
    let read = CertificateDer::pem_slice_iter(settings.certificates.as_bytes());
    let certificates: Result<Vec<_>, _> = read.collect();
    let certificates = certificates.map_err(|cause| invalid(cause.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(settings.key.as_bytes());
    let key = key.map_err(|cause| invalid(cause.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|cause| invalid(cause.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
