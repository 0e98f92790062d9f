//! Secrets of a cluster: made when absent, never overwritten, the server certificate renewed in time.
//!
//! They carry no owner: the passwords live in the data, so they must survive together with volumes that are kept. When
//! the data goes, the plan deletes them by name. They are read by name only, and never listed or watched.

use super::{ActError, Pass};
use crate::agents::{CA_CERT, CA_KEY};
use crate::certificate::{self, SERVER_LIFETIME, TLS_CERT, TLS_KEY};
use crate::facts::is_labelled;
use crate::kinds::{INSTANCE, MANAGED_BY, MANAGER};
use crate::kubernetes::{CallError, bounded, existing};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use porpoise_core::names::{ACCOUNTS, MYSQL_PORT};
use porpoise_link::certificates::Validity;
use porpoise_link::{Authority, MEMBER_IDENTITY};
use rand::Rng;
use rand::TryRngCore;
use rand::distr::Alphanumeric;
use rand::rngs::OsRng;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A complete set is looked at again after this time: for renewal, and for what somebody deleted.
const RECHECK: Duration = Duration::from_mins(10);
/// The authority outlives the cluster's certificates by far.
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(24 * 3652);
/// 32 characters of 62: 190 bits.
const PASSWORD_LENGTH: usize = 32;

type Texts = BTreeMap<String, String>;

impl Pass<'_> {
    /// Makes what is absent. Stops at the first failure of the authority, since the server's certificate needs it.
    pub(super) async fn keep_secrets(&self) -> Vec<ActError> {
        if !self.secrets_are_due() {
            return Vec::new();
        }
        let mut failures = Vec::new();
        failures.extend(self.keep_certificates().await.err());
        failures.extend(self.keep(&self.names.accounts_secret(), None, accounts).await.err());
        let app = || app(self.names.cluster(), self.names.namespace());
        failures
            .extend(self.keep(&self.names.app_secret(), Some("kubernetes.io/basic-auth"), app).await.err());
        if failures.is_empty() {
            self.context.memories.of(&self.uid, |memory| memory.secrets_due = Some(Instant::now() + RECHECK));
        }
        failures
    }

    /// A cluster that was whole when this process first saw it has its Secrets: it is looked at some time later, so that a
    /// start does not ask for the Secrets of thousands of clusters at once.
    fn secrets_are_due(&self) -> bool {
        let view = &self.observation.view;
        let ready = view.pods.values().filter(|pod| pod.ready).count();
        let is_whole = ready > 0 && usize::try_from(view.object.spec.instances) == Ok(ready);
        let spread =
            if is_whole { RECHECK.mul_f64(rand::rng().random_range(0.0..1.0)) } else { Duration::ZERO };
        let now = Instant::now();
        self.context.memories.of(&self.uid, |memory| *memory.secrets_due.get_or_insert(now + spread) <= now)
    }

    async fn keep_certificates(&self) -> Result<(), ActError> {
        let now = self.observation.view.now;
        let (ca_name, server_name) = (self.names.authority_secret(), self.names.server_secret());
        let common_name = format!("{} {}", self.names.cluster(), self.names.namespace());
        let stored = match self.find(&ca_name).await? {
            Some(secret) => secret,
            None => self.create(&ca_name, None, new_authority(&ca_name, &common_name, now)?).await?,
        };
        let authority = authority(&ca_name, &stored)?;
        match self.find(&server_name).await? {
            None => {
                let texts = self.server(&server_name, &authority, now)?;
                self.create(&server_name, Some("kubernetes.io/tls"), texts).await.map(|_| ())
            }
            Some(secret) if self.is_due(&secret, &authority, now) => {
                let texts = self.server(&server_name, &authority, now)?;
                self.renew(&server_name, &secret, texts).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn keep(&self, name: &str, sort: Option<&str>, make: impl Fn() -> Texts) -> Result<(), ActError> {
        if self.find(name).await?.is_none() {
            self.create(name, sort, make()).await?;
        }
        Ok(())
    }

    /// A Secret of ours; another one of that name is a taken name.
    async fn find(&self, name: &str) -> Result<Option<Secret>, ActError> {
        let found = existing(bounded(self.namespaced::<Secret>().get(name)).await);
        let found = found.map_err(|source| failed(name, source))?;
        match found {
            Some(secret) if !is_labelled(&secret.metadata, self.names.cluster()) => {
                Err(ActError::TakeOver { title: format!("Secret {name}") })
            }
            found => Ok(found),
        }
    }

    /// Creates a Secret. If another process was faster, its Secret counts.
    async fn create(&self, name: &str, sort: Option<&str>, texts: Texts) -> Result<Secret, ActError> {
        let secret = Secret {
            metadata: self.metadata(name),
            type_: sort.map(str::to_owned),
            data: Some(bytes(texts)),
            ..Secret::default()
        };
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match bounded(self.namespaced::<Secret>().create(&parameters, &secret)).await {
            Ok(created) => {
                tracing::info!(cluster = self.names.cluster(), secret = name, "made a Secret");
                Ok(created)
            }
            Err(error) if error.is_conflict() => self.find(name).await?.ok_or_else(|| failed(name, error)),
            Err(source) => Err(failed(name, source)),
        }
    }

    fn metadata(&self, name: &str) -> ObjectMeta {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.names.namespace().to_owned()),
            labels: Some(BTreeMap::from([
                label("app.kubernetes.io/name", "mysql"),
                label("app.kubernetes.io/part-of", MANAGER),
                label(MANAGED_BY, MANAGER),
                label(INSTANCE, self.names.cluster()),
            ])),
            ..ObjectMeta::default()
        }
    }

    fn is_due(&self, secret: &Secret, authority: &Authority, now: Timestamp) -> bool {
        let wanted = certificate::names(&self.names);
        certificate::is_due(&texts(secret), authority.certificate_pem(), &wanted, now)
    }

    fn server(&self, name: &str, authority: &Authority, now: Timestamp) -> Result<Texts, ActError> {
        let validity = Validity { now, lifetime: SERVER_LIFETIME };
        let issued = authority
            .issue_server(
                &certificate::names(&self.names),
                &certificate::addresses(),
                MEMBER_IDENTITY,
                validity,
            )
            .map_err(|source| ActError::IssueCertificate { name: name.to_owned(), source })?;
        Ok(pairs([(TLS_CERT, issued.cert_pem), (TLS_KEY, issued.key_pem), (CA_CERT, issued.ca_pem)]))
    }

    /// Guarded by the resourceVersion: two operators must not mix certificate and key.
    async fn renew(&self, name: &str, secret: &Secret, texts: Texts) -> Result<(), ActError> {
        let patch = json!({
            "metadata": { "resourceVersion": secret.resource_version() },
            "data": bytes(texts),
        });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match bounded(self.namespaced::<Secret>().patch(name, &parameters, &Patch::Merge(&patch))).await {
            Ok(_) => {
                tracing::info!(cluster = self.names.cluster(), secret = name, "renewed the certificate");
                Ok(())
            }
            Err(source) => Err(failed(name, source)),
        }
    }
}

fn failed(name: &str, source: CallError) -> ActError {
    ActError::KeepSecret { name: name.to_owned(), source }
}

fn new_authority(name: &str, common_name: &str, now: Timestamp) -> Result<Texts, ActError> {
    let authority = Authority::generate(common_name, now, AUTHORITY_LIFETIME)
        .map_err(|source| ActError::IssueCertificate { name: name.to_owned(), source })?;
    let (cert, key) = (authority.certificate_pem().to_owned(), authority.key_pem().to_owned());
    Ok(pairs([(CA_CERT, cert), (CA_KEY, key)]))
}

fn authority(name: &str, secret: &Secret) -> Result<Authority, ActError> {
    let texts = texts(secret);
    let text = |key: &str| {
        let reason = || format!("it has no {key}");
        let found = texts.get(key);
        found.ok_or_else(|| ActError::UseSecret { name: name.to_owned(), reason: reason() })
    };
    Authority::from_pem(text(CA_CERT)?, text(CA_KEY)?)
        .map_err(|source| ActError::IssueCertificate { name: name.to_owned(), source })
}

fn accounts() -> Texts {
    ACCOUNTS.iter().map(|account| ((*account).to_owned(), password())).collect()
}

fn app(cluster: &str, namespace: &str) -> Texts {
    let (password, host) = (password(), format!("{cluster}.{namespace}.svc"));
    let uri = format!("mysql://app:{password}@{host}:{MYSQL_PORT}/app");
    pairs([
        ("username", "app".to_owned()),
        ("password", password),
        ("database", "app".to_owned()),
        ("host", host),
        ("port", MYSQL_PORT.to_string()),
        ("uri", uri),
    ])
}

/// From the operating system's random source.
fn password() -> String {
    OsRng.unwrap_err().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Texts {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn bytes(texts: Texts) -> BTreeMap<String, ByteString> {
    texts.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()
}

fn texts(secret: &Secret) -> Texts {
    let data = secret.data.iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_plain_and_never_the_same() {
        let accounts = accounts();
        assert_eq!(accounts.len(), ACCOUNTS.len());
        let mut seen: Vec<&String> = accounts.values().collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), ACCOUNTS.len());
        assert!(
            accounts.values().all(|text| text.len() == 32 && text.chars().all(|c| c.is_ascii_alphanumeric()))
        );
    }

    #[test]
    fn the_application_secret_is_enough_to_connect() {
        let app = app("shop", "prod");
        let password = &app["password"];
        assert_eq!(app["uri"], format!("mysql://app:{password}@shop.prod.svc:3306/app"));
        assert_eq!(
            app.keys().collect::<Vec<_>>(),
            ["database", "host", "password", "port", "uri", "username"]
        );
    }
}
