//! A real S3 server as a Pod, with TLS by an authority of its own, for backups.

use super::Namespace;
use super::wait::{Seen, until};
use crate::rig::{operator_image, tools};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use std::time::Duration;

const IMAGE: &str = "porpoise.local/store:1";
const PORT: u16 = 7070;
const ACCESS: &str = "porpoise";
const SECRET: &str = "a-secret-of-the-store";

/// The server, in a namespace of its own right.
pub struct Store {
    host: String,
}

impl Store {
    /// The bucket that it has.
    pub const BUCKET: &'static str = "safe";

    /// Starts it as the Pod `store`; nothing on a cluster that is not the rig, whose images nobody can add to.
    ///
    /// # Errors
    /// When it does not build or start.
    pub async fn start(namespace: &Namespace) -> Result<Option<Self>> {
        let Some(rig) = namespace.stage().rig() else { return Ok(None) };
        let program = tools::store_program()?;
        rig.load_image(&operator_image(&[(&program, "store")], IMAGE)?)?;
        let host = format!("store.{}.svc.cluster.local", namespace.name());
        let store = Self { host };
        namespace.apply(&store.certificate()?).await?;
        store.let_in(namespace).await?;
        namespace.apply(&pod(namespace.stage().client_image())).await?;
        namespace.apply(&service()).await?;
        until_it_runs(namespace).await?;
        Ok(Some(store))
    }

    /// What it takes to use it from another namespace.
    ///
    /// # Errors
    /// When the Secrets cannot be written.
    pub async fn let_in(&self, namespace: &Namespace) -> Result<()> {
        namespace
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"},
                "stringData": {"accessKeyId": ACCESS, "secretAccessKey": SECRET},
            }))
            .await
    }

    /// The same for an authority that signed its certificate.
    ///
    /// # Errors
    /// When the Secret cannot be read or written.
    pub async fn trust_in(&self, from: &Namespace, to: &Namespace) -> Result<()> {
        let text =
            from.stage().kubectl(&["get", "secret", "store-tls", "-n", from.name(), "-o", "json"]).await?;
        let secret: Value = serde_json::from_str(&text)?;
        to.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store-tls"}, "data": secret["data"],
        }))
        .await
    }

    /// `target` of a cluster's backups.
    pub fn target(&self) -> Value {
        json!({"s3": {
            "bucket": Self::BUCKET,
            "prefix": "rig",
            "endpoint": format!("https://{}:{PORT}", self.host),
            "credentialsSecretRef": {"name": "store"},
            "authoritySecretRef": {"name": "store-tls"},
        }})
    }

    fn certificate(&self) -> Result<Value> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "the store's authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut params = CertificateParams::new(vec![self.host.clone()]).context("name the store")?;
        params.distinguished_name.push(DnType::CommonName, "store");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store-tls"},
            "stringData": {
                "ca.crt": authority.pem(), "tls.crt": certificate.pem(), "tls.key": key.serialize_pem(),
            },
        }))
    }
}

/// A folder below the root is a bucket; the store's own image has nothing that makes folders.
fn pod(shell_image: &str) -> Value {
    let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}});
    let data = json!({"name": "data", "mountPath": "/data"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "store", "labels": {"app.kubernetes.io/name": "store"}},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{
                "name": "bucket",
                "image": shell_image,
                "command": ["mkdir", "-p", format!("/data/{}", Store::BUCKET)],
                "volumeMounts": [data],
                "securityContext": restricted,
                "resources": resources,
            }],
            "containers": [{
                "name": "store",
                "image": IMAGE,
                "args": [
                    "--access", ACCESS, "--secret", SECRET, "--port", format!(":{PORT}"),
                    "--cert", "/tls/tls.crt", "--key", "/tls/tls.key", "posix", "/data",
                ],
                "volumeMounts": [
                    data,
                    {"name": "tls", "mountPath": "/tls", "readOnly": true},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
                "securityContext": restricted,
                "resources": resources,
                "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            }],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "tls", "secret": {"secretName": "store-tls"}},
            ],
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "store"},
        "spec": {"selector": {"app.kubernetes.io/name": "store"}, "ports": [{"port": PORT}]},
    })
}

async fn until_it_runs(namespace: &Namespace) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    until("the store takes connections", Duration::from_mins(2), async || {
        let status = pods.get("store").await?.status.unwrap_or_default();
        let ready =
            status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
        if ready { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{:?}", status.container_statuses))) }
    })
    .await
}
