//! A namespace of a scenario's own, with a report when the scenario fails.

use super::stage::Stage;
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use std::sync::Arc;

/// A namespace that enforces Pod Security *restricted* (J1).
pub struct Namespace {
    name: String,
    stage: Arc<Stage>,
}

impl Namespace {
    /// Makes `prefix-SUFFIX`.
    pub async fn create(stage: &Arc<Stage>, prefix: &str) -> Result<Self> {
        let namespaces: Api<core::Namespace> = Api::all(stage.client());
        let object = serde_json::from_value(json!({
            "metadata": {
                "generateName": format!("{prefix}-"),
                "labels": {"pod-security.kubernetes.io/enforce": "restricted", "porpoise.test/scenario": prefix},
            },
        }))?;
        let made = namespaces.create(&PostParams::default(), &object).await.context("create a namespace")?;
        let name = made.metadata.name.context("a namespace has a name")?;
        Ok(Self { name, stage: Arc::clone(stage) })
    }

    /// Makes the namespace `name`, or takes it as it is.
    pub async fn named(stage: &Arc<Stage>, name: &str) -> Result<Self> {
        let namespaces: Api<core::Namespace> = Api::all(stage.client());
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        namespaces.patch(name, &PatchParams::apply("scenario").force(), &Patch::Apply(&manifest)).await?;
        Ok(Self { name: name.to_owned(), stage: Arc::clone(stage) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stage it is on.
    pub fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }

    /// A client for the cluster.
    pub fn client(&self) -> Client {
        self.stage.client()
    }

    /// Runs a scenario in a namespace of its own; removes the namespace when it passed, prints a report when it failed.
    pub async fn scenario(prefix: &str, body: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let stage = Stage::shared().await?;
        let namespace = Self::create(&stage, prefix).await?;
        let result = body(&namespace).await;
        if let Err(error) = &result {
            eprintln!("scenario {prefix} failed: {error:#}");
            eprintln!("{}", namespace.report().await);
        }
        namespace.delete().await?;
        result
    }

    /// Applies any object to this namespace.
    pub async fn apply(&self, manifest: &serde_json::Value) -> Result<()> {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = json!(self.name);
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string())?;
        let file = file.to_string_lossy().into_owned();
        self.stage.kubectl(&["apply", "--server-side", "-f", &file]).await?;
        Ok(())
    }

    /// Deletes the namespace and all in it, without waiting.
    pub async fn delete(&self) -> Result<()> {
        let namespaces: Api<core::Namespace> = Api::all(self.client());
        match namespaces.delete(&self.name, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            // The scenario was about deleting it.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error).context("delete the namespace"),
        }
    }

    /// What helps to understand a failure: status, Pods, Events, logs.
    pub async fn report(&self) -> String {
        let mut report = String::new();
        let name = self.name.as_str();
        for arguments in [
            vec!["get", "myc,mybk,sts,job,pod,pvc,svc,endpointslices", "-n", name, "-o", "wide"],
            vec!["get", "myc,mybk", "-n", name, "-o", "yaml"],
            vec!["get", "events", "-n", name, "--sort-by=.lastTimestamp"],
            vec!["describe", "pods", "-n", name],
            vec![
                "logs",
                "-n",
                name,
                "-l",
                "app.kubernetes.io/name=mysql",
                "--all-containers",
                "--prefix",
                "--tail=200",
            ],
            vec![
                "logs",
                "-n",
                name,
                "-l",
                "app.kubernetes.io/name in (mysql-backup, store)",
                "--all-containers",
                "--prefix",
                "--tail=100",
            ],
            vec![
                "logs",
                "-n",
                super::OPERATOR_NAMESPACE,
                "-l",
                "app.kubernetes.io/name=porpoise",
                "--prefix",
                "--tail=300",
            ],
        ] {
            let text = self.stage.kubectl(&arguments).await.unwrap_or_else(|error| format!("{error:#}"));
            report.extend([
                "--- kubectl ",
                &arguments.join(" "),
                "
",
                &text,
                "
",
            ]);
        }
        report + &self.agent_states().await
    }

    /// What each agent knows of its member, in its own words.
    async fn agent_states(&self) -> String {
        let members = ["get", "pods", "-n", &self.name, "-l", "app.kubernetes.io/name=mysql", "-o", "name"];
        let mut states = String::new();
        for pod in self.stage.kubectl(&members).await.unwrap_or_default().lines() {
            let ask =
                ["exec", "-n", &self.name, pod, "-c", "mysql", "--", "/porpoise/bin/porpoise-agent", "state"];
            let state = self.stage.kubectl(&ask).await.unwrap_or_else(|error| format!("{error:#}"));
            states.extend(["--- agent of ", pod, "\n", state.trim_end(), "\n"]);
        }
        states
    }
}
