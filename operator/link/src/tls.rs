//! TLS settings of both ends.

use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

/// What can go wrong with the material of a TLS end.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum TlsError {
    /// The PEM text is not what it should be.
    #[error("read the {what}")]
    ReadPem {
        /// Certificate, key or CA.
        what: &'static str,
        /// Cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The CA is unusable.
    #[error("trust the certificate authority: {reason}")]
    TrustAuthority {
        /// Why.
        reason: String,
    },
    /// Certificate and key are refused by rustls.
    #[error("use the certificate")]
    UseCertificate {
        /// Cause.
        #[source]
        source: rustls::Error,
    },
}

/// Servers of which one client remembers sessions: at least the nine members that a cluster may have.
const SESSIONS: usize = 10;

/// PEM texts of one end.
pub(crate) struct Material<'a> {
    pub(crate) ca: &'a str,
    pub(crate) cert: &'a str,
    pub(crate) key: &'a str,
}

pub(crate) fn server(material: &Material<'_>) -> Result<rustls::ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(material.ca)?), provider())
        .build()
        .map_err(|error| TlsError::TrustAuthority { reason: error.to_string() })?;
    rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::UseCertificate { source })?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(material.cert)?, key(material.key)?)
        .map_err(|source| TlsError::UseCertificate { source })
}

pub(crate) fn client(material: &Material<'_>) -> Result<rustls::ClientConfig, TlsError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::UseCertificate { source })?
        .with_root_certificates(roots(material.ca)?)
        .with_client_auth_cert(chain(material.cert)?, key(material.key)?)
        .map_err(|source| TlsError::UseCertificate { source })?;
    // Calls are frequent and connections are not kept: a resumed session saves both ends their signatures. A server that
    // loads another certificate forgets its sessions. There are few members, and thousands of these clients.
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(ca, "certificate authority")? {
        store.add(certificate).map_err(|error| TlsError::TrustAuthority { reason: error.to_string() })?;
    }
    Ok(store)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(pem, "certificate")
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::ReadPem { what, source })
}

fn key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|source| TlsError::ReadPem { what: "private key", source })
}
