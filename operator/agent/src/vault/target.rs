//! From a target and its secrets to a client of the store.

use super::VaultError;
use super::google;
use super::names::Names;
use super::objects::Objects;
use crate::volume;
use http::{HeaderMap, HeaderValue, header};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use porpoise_core::backup::TargetSecrets;
use porpoise_crds::{AzureTarget, BackupTarget, GcsTarget, S3Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Limits of the work with a store.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a connection, name and TLS included.
    pub connect: Duration,
    /// For one try of one request. 16 MiB within it make the slowest link that a backup can use.
    pub request: Duration,
    /// No further try begins after this.
    pub retry: Duration,
    /// Tries after the first.
    pub retries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(3),
            retry: Duration::from_mins(2),
            retries: 8,
        }
    }
}

impl Patience {
    /// For a request with all its tries: what stands even if the client's own count should not.
    pub(super) fn whole(&self) -> Duration {
        self.retry + self.request + self.connect
    }

    /// Backoff with jitter, as the client does it.
    fn retry(&self) -> RetryConfig {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        };
        RetryConfig { backoff, max_retries: self.retries, retry_timeout: self.retry }
    }
}

pub(super) fn open(
    target: &BackupTarget,
    secrets: &TargetSecrets,
    patience: &Patience,
) -> Result<Objects, VaultError> {
    let limit = patience.whole();
    match target {
        BackupTarget { s3: Some(s3), gcs: None, azure: None, volume: None } => {
            let store = open_s3(s3, secrets, patience)?;
            Ok(Objects::new(Arc::new(store), s3.bucket.clone(), limit))
        }
        BackupTarget { s3: None, gcs: Some(gcs), azure: None, volume: None } => {
            let store = open_gcs(gcs, secrets, patience)?;
            Ok(Objects::new(Arc::new(store), gcs.bucket.clone(), limit))
        }
        BackupTarget { s3: None, gcs: None, azure: Some(azure), volume: None } => {
            let store = open_azure(azure, secrets, patience)?;
            Ok(Objects::new(Arc::new(store), azure.container.clone(), limit))
        }
        BackupTarget { s3: None, gcs: None, azure: None, volume: Some(volume) } => {
            let claim = volume.claim_name.clone().unwrap_or_default();
            let store = open_volume(&claim, secrets, patience)?;
            Ok(Objects::of_claim(Arc::new(store), claim, limit))
        }
        _ => Err(VaultError::UseTarget { reason: "name one target: s3, gcs, azure or volume".to_owned() }),
    }
}

fn open_s3(target: &S3Target, secrets: &TargetSecrets, patience: &Patience) -> Result<AmazonS3, VaultError> {
    let endpoint = target.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
    let is_plain = is_plain(endpoint)?;
    let mut builder = credentials(secrets)?
        .with_bucket_name(&target.bucket)
        .with_region(&target.region)
        .with_virtual_hosted_style_request(!target.force_path_style)
        .with_client_options(client_options(secrets, patience, is_plain)?)
        .with_retry(patience.retry())
        // Under TLS nothing can change on the way, and hashing 16 MiB holds up whatever else the thread does.
        .with_unsigned_payload(!is_plain)
        // One by one is what every compatible store understands.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(address(endpoint, target));
    }
    builder.build().map_err(|error| refused(&error))
}

fn open_gcs(
    target: &GcsTarget,
    secrets: &TargetSecrets,
    patience: &Patience,
) -> Result<GoogleCloudStorage, VaultError> {
    let endpoint = target.endpoint.as_deref().unwrap_or(google::ADDRESS).trim_end_matches('/');
    let is_plain = is_plain(Some(endpoint))?;
    let builder = if secrets.credentials.is_empty() {
        GoogleCloudStorageBuilder::from_env()
    } else {
        let key = google::account_key(entry(&secrets.credentials, google::KEY_ENTRY)?)?;
        GoogleCloudStorageBuilder::new().with_service_account_key(key)
    };
    builder
        .with_bucket_name(&target.bucket)
        .with_base_url(endpoint)
        .with_client_options(as_stored(client_options(secrets, patience, is_plain)?))
        .with_retry(patience.retry())
        .build()
        .map_err(|error| refused(&error))
}

/// Else Google's store decompresses what was stored as `Content-Encoding: gzip`, and tells no length of it. Source: Google
/// Cloud Storage documentation, "Transcoding of gzip-compressed files".
fn as_stored(options: ClientOptions) -> ClientOptions {
    let accepted = (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    options.with_default_headers(HeaderMap::from_iter([accepted]))
}

fn open_azure(
    target: &AzureTarget,
    secrets: &TargetSecrets,
    patience: &Patience,
) -> Result<MicrosoftAzure, VaultError> {
    let endpoint = target.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
    let is_plain = is_plain(endpoint)?;
    let builder = if secrets.credentials.is_empty() {
        MicrosoftAzureBuilder::from_env()
    } else {
        let key = entry(&secrets.credentials, "accountKey")?;
        MicrosoftAzureBuilder::new().with_access_key(key)
    };
    let mut builder = builder
        .with_account(&target.account)
        .with_container_name(&target.container)
        .with_allow_http(is_plain)
        .with_client_options(client_options(secrets, patience, is_plain)?)
        .with_retry(patience.retry());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.to_owned());
    }
    builder.build().map_err(|error| refused(&error))
}

/// A claim is served as a bucket of its name. Whoever calls is known by the certificate, so nothing is signed.
fn open_volume(claim: &str, secrets: &TargetSecrets, patience: &Patience) -> Result<AmazonS3, VaultError> {
    let TargetSecrets { credentials, authority, .. } = secrets;
    let address = entry(credentials, volume::ADDRESS)?;
    let is_plain = is_plain(Some(address))?;
    let builder = AmazonS3Builder::new()
        .with_bucket_name(claim)
        .with_region("volume")
        .with_endpoint(address)
        .with_virtual_hosted_style_request(false)
        .with_skip_signature(true)
        .with_client_options(client_options(secrets, patience, is_plain)?)
        .with_retry(patience.retry())
        .with_disable_bulk_delete(true);
    let builder = match authority {
        None => builder,
        Some(authority) => builder.with_http_connector(volume::MemberConnector {
            certificate: entry(credentials, volume::CERTIFICATE)?.to_owned(),
            key: entry(credentials, volume::KEY)?.to_owned(),
            authority: authority.clone(),
            connect: patience.connect,
            request: patience.request,
        }),
    };
    builder.build().map_err(|error| refused(&error))
}

fn refused(error: &object_store::Error) -> VaultError {
    VaultError::UseTarget { reason: error.to_string() }
}

/// Whether an address is one without TLS.
fn is_plain(endpoint: Option<&str>) -> Result<bool, VaultError> {
    let scheme = endpoint.map(|endpoint| endpoint.split_once("://").map_or("", |(scheme, _)| scheme));
    if scheme.is_some_and(|scheme| !["http", "https"].contains(&scheme)) {
        let reason = "`endpoint` must begin with https:// or http://".to_owned();
        return Err(VaultError::UseTarget { reason });
    }
    Ok(scheme == Some("http"))
}

/// Static credentials if there is a Secret, else whatever identity the cloud gives the Pod.
fn credentials(secrets: &TargetSecrets) -> Result<AmazonS3Builder, VaultError> {
    let TargetSecrets { credentials, .. } = secrets;
    if credentials.is_empty() {
        return Ok(AmazonS3Builder::from_env());
    }
    let builder = AmazonS3Builder::new()
        .with_access_key_id(entry(credentials, "accessKeyId")?)
        .with_secret_access_key(entry(credentials, "secretAccessKey")?);
    Ok(match credentials.get("sessionToken") {
        Some(token) => builder.with_token(token.trim()),
        None => builder,
    })
}

/// An entry of a Secret. People write them with `echo`, so an end of line is no part of it.
fn entry<'a>(entries: &'a BTreeMap<String, String>, name: &'static str) -> Result<&'a str, VaultError> {
    let value = entries.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    value.ok_or(VaultError::UseCredentials { entry: name })
}

fn client_options(
    secrets: &TargetSecrets,
    patience: &Patience,
    is_plain: bool,
) -> Result<ClientOptions, VaultError> {
    let mut options = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(patience.connect)
        .with_timeout(patience.request)
        .with_dns_resolver(Arc::new(Names));
    // Whoever names an authority trusts no other. Without TLS none is needed, and the image may have none. The cloud's
    // identity comes from a service of its own, whose authority is a well-known one.
    let has_authority = secrets.authority.is_some();
    if is_plain || (has_authority && !secrets.credentials.is_empty()) {
        options = options.with_no_system_certificates(true);
    }
    for certificate in authority(secrets)? {
        options = options.with_root_certificate(certificate);
    }
    Ok(options)
}

fn authority(secrets: &TargetSecrets) -> Result<Vec<Certificate>, VaultError> {
    let Some(pem) = &secrets.authority else { return Ok(Vec::new()) };
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
    if certificates.is_empty() { Err(VaultError::UseAuthority) } else { Ok(certificates) }
}

/// The client wants the bucket in the host name when it is not to be in the path.
fn address(endpoint: &str, target: &S3Target) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !target.force_path_style => {
            format!("{scheme}://{}.{host}", target.bucket)
        }
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> BackupTarget {
        serde_json::from_str(text).unwrap()
    }

    fn secrets(entries: &[(&str, &str)]) -> TargetSecrets {
        let credentials = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TargetSecrets { credentials: credentials.collect(), ..TargetSecrets::default() }
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        let of = |style| {
            let target = target(&format!(r#"{{"s3": {{"bucket": "safe", "forcePathStyle": {style}}}}}"#));
            address("https://store.example:9000", &target.s3.unwrap())
        };
        assert_eq!(of(true), "https://store.example:9000");
        assert_eq!(of(false), "https://safe.store.example:9000");
    }

    #[test]
    fn half_of_the_credentials_is_refused_by_name() {
        let error = credentials(&secrets(&[("accessKeyId", "a"), ("secretAccessKey", "\n")])).unwrap_err();
        assert!(matches!(error, VaultError::UseCredentials { entry: "secretAccessKey" }), "{error}");
        assert!(error.is_for_good());
    }

    #[test]
    fn an_authority_that_is_no_certificate_is_refused() {
        let secrets = TargetSecrets { authority: Some("hello".to_owned()), ..secrets(&[]) };
        assert!(matches!(authority(&secrets), Err(VaultError::UseAuthority)));
    }

    #[test]
    fn a_target_without_a_place_is_refused() {
        let outcome = open(&target("{}"), &secrets(&[]), &Patience::default());
        assert!(matches!(outcome.err(), Some(VaultError::UseTarget { .. })));
    }
}
