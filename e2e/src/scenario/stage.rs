//! A Kubernetes cluster with the operator installed as users install it: with Helm.

use super::audit::AuditLog;
use super::wait::{Seen, until};
use crate::cluster::Cluster;
use crate::programs::{Profile, Programs, checkout};
use crate::rig::{MYSQL, OPERATOR, Rig, tools};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "porpoise-system";
/// Helm release of the operator.
pub const RELEASE: &str = "porpoise";

const COMMAND_LIMIT: Duration = Duration::from_mins(5);

/// A cluster with the operator on it.
pub struct Stage {
    cluster: Cluster,
    client: kube::Config,
    pub(super) access: Access,
}

/// How to reach the cluster, and what to run on it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// Image of the operator, with a tag that names its content.
    pub operator_image: String,
    /// The operator's program, for scenarios that run it as a process.
    pub operator_binary: PathBuf,
    /// Image of MySQL, `{version}` open.
    pub mysql_image: String,
    /// Image of MySQL for client Pods.
    pub client_image: String,
}

static SHARED: OnceCell<Arc<Stage>> = OnceCell::const_new();

impl Stage {
    /// The stage of this process: the rig, or with `CLUSTER=current` the cluster of KUBECONFIG. Installs the operator
    /// once.
    ///
    /// # Errors
    /// When the cluster, the image or the charts do not come up.
    pub async fn shared() -> Result<Arc<Self>> {
        SHARED
            .get_or_try_init(async || {
                let stage = Self::new().await?;
                stage.install(&[]).await?;
                Ok(Arc::new(stage))
            })
            .await
            .cloned()
    }

    async fn new() -> Result<Self> {
        crate::install_crypto();
        let cluster = Cluster::from_environment().await?;
        let access = access(&cluster)?;
        let file = kube::config::Kubeconfig::read_from(&access.kubeconfig)?;
        let client =
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?;
        Ok(Self { cluster, client, access })
    }

    /// Installs or upgrades the definitions and the operator, and waits until both replicas are ready.
    ///
    /// # Errors
    /// Helm's words.
    pub async fn install(&self, more: &[&str]) -> Result<()> {
        let (repository, tag) = self.access.operator_image.rsplit_once(':').context("an image has a tag")?;
        let definitions = chart("porpoise-crds");
        self.helm(&[
            "upgrade",
            "--install",
            "porpoise-crds",
            &definitions,
            "-n",
            OPERATOR_NAMESPACE,
            "--create-namespace",
        ])
        .await?;
        let operator = chart("porpoise");
        let (repository, tag) = (format!("image.repository={repository}"), format!("image.tag={tag}"));
        let mysql = format!("mysqlImage={}", self.access.mysql_image);
        let mut arguments = vec![
            "upgrade",
            "--install",
            RELEASE,
            &operator,
            "-n",
            OPERATOR_NAMESPACE,
            "--wait",
            "--timeout",
            "180s",
        ];
        arguments.extend(["--set", &repository, "--set", &tag, "--set", &mysql]);
        arguments.extend(more);
        self.helm(&arguments).await?;
        Ok(())
    }

    /// A client, made anew each time: every test has a runtime of its own.
    ///
    /// # Panics
    /// When no TLS provider is installed; [`Stage::shared`] installs one.
    #[allow(
        clippy::expect_used,
        reason = "the configuration was read before; only a broken TLS provider fails here"
    )]
    pub fn client(&self) -> kube::Client {
        kube::Client::try_from(self.client.clone())
            .expect("build a client from a configuration that was read")
    }

    /// The rig under it, if it is one.
    pub fn rig(&self) -> Option<&Rig> {
        match &self.cluster {
            Cluster::Rig(rig) => Some(rig),
            Cluster::Current { .. } => None,
        }
    }

    /// The API server's audit log, where it can be read.
    pub fn audit_log(&self) -> Option<AuditLog> {
        self.rig().map(|rig| AuditLog::new(rig.audit_log()))
    }

    /// Image of operator and agent.
    pub fn operator_image(&self) -> &str {
        &self.access.operator_image
    }

    /// Image of MySQL for client Pods.
    pub fn client_image(&self) -> &str {
        &self.access.client_image
    }

    /// Runs kubectl; answers its output.
    ///
    /// # Errors
    /// Its words.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments).await
    }

    /// Runs helm; answers its output.
    ///
    /// # Errors
    /// Its words.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run("helm", arguments).await
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let path = format!("{}:{}", tools::bin().display(), std::env::var("PATH").unwrap_or_default());
        let child = Command::new(program)
            .args(arguments)
            .env("KUBECONFIG", &self.access.kubeconfig)
            .env("PATH", path)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(COMMAND_LIMIT, child)
            .await
            .with_context(|| format!("{program} took too long"))??;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let said = String::from_utf8_lossy(&output.stdout);
            bail!("{program} {}: {} {}", arguments.first().unwrap_or(&""), words.trim(), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops the installed operator, for scenarios that run one as a process.
    ///
    /// # Errors
    /// When its Pods do not end.
    pub async fn stop_operator(&self) -> Result<()> {
        self.kubectl(&["scale", "deployment", "-n", OPERATOR_NAMESPACE, RELEASE, "--replicas=0"]).await?;
        until("the installed operator is stopped", Duration::from_secs(90), async || {
            let pods = self.kubectl(&["get", "pods", "-n", OPERATOR_NAMESPACE, "-o", "name"]).await?;
            if pods.trim().is_empty() { Ok(Seen::Done(())) } else { Ok(Seen::Not(pods)) }
        })
        .await
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_operator(&self) -> Result<()> {
        self.kubectl(&["scale", "deployment", "-n", OPERATOR_NAMESPACE, RELEASE, "--replicas=2"]).await?;
        self.kubectl(&[
            "rollout",
            "status",
            "deployment",
            "-n",
            OPERATOR_NAMESPACE,
            RELEASE,
            "--timeout=120s",
        ])
        .await?;
        Ok(())
    }

    /// What to type next, for people.
    pub fn how_to_look_around(&self, namespace: &str, cluster: &str) -> String {
        format!(
            "look around:\n  export KUBECONFIG='{}' PATH='{}':\"$PATH\"\n  kubectl get myc -n {namespace}\n  \
             kubectl describe myc {cluster} -n {namespace}\n  kubectl logs -n {OPERATOR_NAMESPACE} deploy/{RELEASE}\n  \
             make down   # takes everything away",
            self.access.kubeconfig.display(),
            tools::bin().display()
        )
    }
}

fn chart(name: &str) -> String {
    checkout().join("charts").join(name).to_string_lossy().into_owned()
}

fn access(cluster: &Cluster) -> Result<Access> {
    let kubeconfig = cluster.kubeconfig();
    let Cluster::Rig(rig) = cluster else {
        let from = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        return Ok(Access {
            kubeconfig,
            operator_image: std::env::var("OPERATOR_IMAGE")
                .context("CLUSTER=current needs OPERATOR_IMAGE, an image the cluster can pull")?,
            operator_binary: PathBuf::from(from("OPERATOR_BINARY", "porpoise-operator")),
            mysql_image: from("MYSQL_IMAGE", "mysql:{version}"),
            client_image: from("MYSQL_CLIENT_IMAGE", "mysql:9.7"),
        });
    };
    let programs = Programs::build(Profile::from_environment()?)?;
    let operator_image = load(rig, &programs)?;
    let repository = MYSQL.rsplit_once(':').map_or(MYSQL, |(repository, _)| repository);
    Ok(Access {
        kubeconfig,
        operator_image,
        operator_binary: programs.operator,
        // The rig's image carries the full release as its tag, and 9.7.4 is the one it has.
        mysql_image: format!("{repository}:{{version}}.4"),
        client_image: MYSQL.to_owned(),
    })
}

/// Loads the image of operator and agent under a tag that names its content.
fn load(rig: &Rig, programs: &Programs) -> Result<String> {
    let mut digest = Sha256::new();
    for program in [&programs.operator, &programs.agent] {
        digest.update(std::fs::read(program).with_context(|| format!("read {}", program.display()))?);
    }
    let tag =
        digest.finalize().iter().take(6).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let repository = OPERATOR.rsplit_once(':').map_or(OPERATOR, |(repository, _)| repository);
    let reference = format!("{repository}:sha-{tag}");
    rig.load_image(&programs.image(&reference)?)?;
    Ok(reference)
}
