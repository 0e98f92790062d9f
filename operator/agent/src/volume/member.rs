//! The members' end: where the store of a claim is, and the certificate that lets in.

use crate::settings::{Settings, SettingsError};
use crate::vault::Names;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use porpoise_core::backup::TargetSecrets;
use porpoise_core::names::{ClusterNames, STORE_PORT};
use porpoise_crds::BackupTarget;
use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// Entry of the secrets of such a target: the store's address.
pub(crate) const ADDRESS: &str = "address";
/// Entry with the certificate of the caller.
pub const CERTIFICATE: &str = "tls.crt";
/// Entry with its key.
pub const KEY: &str = "tls.key";

/// Which of a cluster's two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that the cluster's own backups and archive go to.
    Own,
    /// The one that its first data comes from.
    Source,
}

/// The secrets with what a volume needs beside them. For other targets: as they are. The files are read anew each time, as
/// certificates change.
///
/// # Errors
/// When the agent's own files cannot be read.
pub fn equipped(
    settings: &Settings,
    target: &BackupTarget,
    secrets: &TargetSecrets,
    role: Role,
) -> Result<TargetSecrets, SettingsError> {
    let mut secrets = secrets.clone();
    if target.volume.is_none() {
        return Ok(secrets);
    }
    let config = settings.config()?;
    let names = ClusterNames::new(&config.name, &config.namespace);
    let host = match role {
        Role::Own => names.service_host(&names.store()),
        Role::Source => names.service_host(&names.source()),
    };
    let read = |name: &str| {
        let path = settings.tls_path.join(name);
        fs::read_to_string(&path).map_err(|source| SettingsError::ReadCertificate { path, source })
    };
    for name in [CERTIFICATE, KEY] {
        secrets.credentials.insert(name.to_owned(), read(name)?);
    }
    secrets.credentials.insert(ADDRESS.to_owned(), format!("https://{host}:{STORE_PORT}"));
    secrets.authority = Some(read("ca.crt")?);
    Ok(secrets)
}

/// Connects with a client certificate, which the store's client has no setting for, and to nobody but the named authority's.
pub(crate) struct MemberConnector {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
}

impl fmt::Debug for MemberConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MemberConnector(...)")
    }
}

impl HttpConnector for MemberConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: reqwest::Error| object_store::Error::Generic {
            store: "volume claim",
            source: source.into(),
        };
        let pem = format!("{}\n{}", self.certificate.trim(), self.key.trim());
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).map_err(failed)?;
        let authority = reqwest::Certificate::from_pem_bundle(self.authority.as_bytes()).map_err(failed)?;
        let client = reqwest::Client::builder()
            .identity(identity)
            .tls_certs_only(authority)
            .https_only(true)
            .no_proxy()
            .dns_resolver(Arc::new(Names))
            .connect_timeout(self.connect)
            .timeout(self.request)
            .build()
            .map_err(failed)?;
        Ok(HttpClient::new(client))
    }
}
