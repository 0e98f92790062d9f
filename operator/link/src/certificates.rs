//! A small certificate authority per cluster: ECDSA P-256, keys as PKCS#8 PEM, which OpenSSL (mysqld) reads too.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use std::net::IpAddr;
use std::time::Duration;

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum CertificateError {
    /// No key pair could be made.
    #[error("generate a key pair")]
    GenerateKey {
        /// Cause.
        #[source]
        source: rcgen::Error,
    },
    /// The CA's PEM text is unusable.
    #[error("read the certificate authority")]
    ReadAuthority {
        /// Cause.
        #[source]
        source: rcgen::Error,
    },
    /// A name cannot stand in a certificate.
    #[error("put the name {name:?} into a certificate")]
    UseName {
        /// The name.
        name: String,
        /// Cause.
        #[source]
        source: rcgen::Error,
    },
    /// Signing failed.
    #[error("sign the certificate of {name:?}")]
    SignCertificate {
        /// Whose certificate.
        name: String,
        /// Cause.
        #[source]
        source: rcgen::Error,
    },
    /// The text holds no certificate.
    #[error("read a certificate: {reason}")]
    ReadCertificate {
        /// What is wrong with it.
        reason: String,
    },
}

impl CertificateError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// When a certificate is valid: from a little before `now` until `now + lifetime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The time of issue.
    pub now: Timestamp,
    /// How long it is valid.
    pub lifetime: Duration,
}

/// Clocks of members may be behind the operator's by this much.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// The cluster's own certificate authority. Has no `Debug`: it holds a private key.
pub struct Authority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key and the CA that signed it, all PEM. Has no `Debug`: it holds a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// Its key, PKCS#8.
    pub key_pem: String,
    /// The CA.
    pub ca_pem: String,
}

impl Authority {
    /// Makes a new authority.
    pub fn generate(common_name: &str, now: Timestamp, lifetime: Duration) -> Result<Self, CertificateError> {
        let key = generate_key()?;
        let mut params = parameters(&[], common_name, Validity { now, lifetime })?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|source| CertificateError::SignCertificate { name: common_name.to_owned(), source })?;
        Self::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// Reads what [`Authority::certificate_pem`] and [`Authority::key_pem`] gave.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key_pem).map_err(|source| CertificateError::ReadAuthority { source })?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)
            .map_err(|source| CertificateError::ReadAuthority { source })?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), key_pem: key_pem.to_owned(), issuer })
    }

    /// The CA certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA key.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Certificate of a server that also calls its peers: valid for both directions. `identity` is the first DNS name.
    pub fn issue_server(
        &self,
        dns_names: &[String],
        addresses: &[IpAddr],
        identity: &str,
        validity: Validity,
    ) -> Result<Issued, CertificateError> {
        let mut params = parameters(dns_names, identity, validity)?;
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, identity)
    }

    /// Certificate of a caller with this identity.
    pub fn issue_client(&self, identity: &str, validity: Validity) -> Result<Issued, CertificateError> {
        let mut params = parameters(&[], identity, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, identity)
    }

    fn sign(&self, mut params: CertificateParams, name: &str) -> Result<Issued, CertificateError> {
        let key = generate_key()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| CertificateError::SignCertificate { name: name.to_owned(), source })?;
        Ok(Issued {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            ca_pem: self.certificate_pem.clone(),
        })
    }
}

/// When the first certificate of `pem` ends.
pub fn expires_at(pem: &str) -> Result<Timestamp, CertificateError> {
    Ok(period(pem)?.1)
}

/// From when until when the first certificate of `pem` is valid.
pub fn period(pem: &str) -> Result<(Timestamp, Timestamp), CertificateError> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(unreadable)?;
    let certificate = block.parse_x509().map_err(unreadable)?;
    let validity = certificate.validity();
    let begin = Timestamp::from_second(validity.not_before.timestamp()).map_err(unreadable)?;
    let end = Timestamp::from_second(validity.not_after.timestamp()).map_err(unreadable)?;
    Ok((begin, end))
}

/// Whether `name` stands among the DNS names of the first certificate of `pem`.
pub fn names(pem: &str) -> Result<Vec<String>, CertificateError> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(unreadable)?;
    Ok(dns_names(&block.parse_x509().map_err(unreadable)?))
}

/// The identity in a certificate (DER): its first DNS name, else its common name.
pub fn identity(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let first = dns_names(&certificate).into_iter().next();
    first.or_else(|| {
        let common_name = certificate.subject().iter_common_name().next()?;
        common_name.as_str().ok().map(str::to_owned)
    })
}

fn dns_names(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) => Some((*text).to_owned()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(dns).collect()
}

fn unreadable(reason: impl std::fmt::Display) -> CertificateError {
    CertificateError::ReadCertificate { reason: reason.to_string() }
}

fn generate_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|source| CertificateError::GenerateKey { source })
}

fn parameters(
    dns_names: &[String],
    name: &str,
    validity: Validity,
) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    for dns in std::iter::once(name).chain(dns_names.iter().map(String::as_str)) {
        params.subject_alt_names.push(dns_name(dns)?);
    }
    let epoch = date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(validity.now.as_second()).unwrap_or_default());
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + validity.lifetime;
    Ok(params)
}

fn dns_name(name: &str) -> Result<SanType, CertificateError> {
    let text = name
        .to_owned()
        .try_into()
        .map_err(|source| CertificateError::UseName { name: name.to_owned(), source })?;
    Ok(SanType::DnsName(text))
}
