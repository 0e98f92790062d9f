//! SQL as an application runs it: a Pod of the namespace, the Services, the Secret that the operator made.

use super::namespace::Namespace;
use super::wait::{Seen, until};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

/// Where MySQL listens in a cluster.
pub(crate) const PORT: u16 = 3306;

/// A Pod with the mysql client, in the scenario's namespace.
pub struct Client<'a> {
    namespace: &'a Namespace,
}

/// Who connects where.
#[derive(Clone, Debug)]
pub struct Account {
    /// Host, a Service name.
    pub host: String,
    /// Port: 3306 in a cluster.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database.
    pub database: String,
}

impl Account {
    /// The application's account of a cluster, from the Secret `NAME-app`.
    pub async fn app(namespace: &Namespace, cluster: &str) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(namespace.client(), namespace.name());
        let secret = secrets.get(&format!("{cluster}-app")).await.context("read the application's Secret")?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| -> Result<String> {
            let value =
                data.get(key).with_context(|| format!("the application's Secret has the key {key}"))?;
            Ok(String::from_utf8(value.0.clone())?)
        };
        Ok(Self {
            host: cluster.to_owned(),
            port: PORT,
            user: text("username")?,
            password: text("password")?,
            database: text("database")?,
        })
    }

    /// The same account at another Service.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }
}

impl<'a> Client<'a> {
    /// Starts the Pod and waits until it runs.
    pub async fn start(namespace: &'a Namespace) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "client"},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "client",
                    "image": namespace.stage().client_image(),
                    "command": ["bash", "-c", "trap exit TERM; while true; do sleep 1; done"],
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
                        "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
                }],
            },
        });
        pods.patch("client", &PatchParams::apply("scenario").force(), &Patch::Apply(&pod)).await?;
        until("the client Pod runs", Duration::from_mins(1), async || {
            let phase = pods.get("client").await?.status.and_then(|status| status.phase);
            if phase.as_deref() == Some("Running") {
                Ok(Seen::Done(()))
            } else {
                Ok(Seen::Not(format!("{phase:?}")))
            }
        })
        .await?;
        Ok(Self { namespace })
    }

    /// Runs statements; answers the rows, tab-separated, without headings.
    ///
    /// # Errors
    /// The client's words when it failed.
    pub async fn sql(&self, account: &Account, statements: &str) -> Result<String> {
        let password = format!("MYSQL_PWD={}", account.password);
        let arguments = [
            "exec",
            "-n",
            self.namespace.name(),
            "client",
            "--",
            "env",
            &password,
            "mysql",
            "--connect-timeout=3",
            "-N",
            "-B",
            "-h",
            &account.host,
            "-u",
            &account.user,
            "-D",
            &account.database,
            "-e",
            statements,
        ];
        match self.namespace.stage().kubectl(&arguments).await {
            Ok(rows) => Ok(rows.trim_end().to_owned()),
            Err(error) => bail!("{}", format!("{error:#}").replace(&account.password, "***")),
        }
    }

    /// Runs statements again and again until they succeed.
    pub async fn sql_until(&self, account: &Account, statements: &str, limit: Duration) -> Result<String> {
        until(&format!("{} answers", account.host), limit, async || {
            match self.sql(account, statements).await {
                Ok(rows) => Ok(Seen::Done(rows)),
                Err(error) => Ok(Seen::Not(format!("{error:#}"))),
            }
        })
        .await
    }
}
