//! The operator is killed before and after its writes while a cluster is made and deleted; the end is the same as
//! without (B26, B27, ha.md I7).

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{CrashProxy, Database, Moment, Namespace, OperatorProcess, Seen, small, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// As many kills as the issue asks for, over creation and deletion.
const KILLS: u64 = 30;
/// Kubernetes' own `EndpointSlice`s inherit the label of their Service.
const OWNED: &str = "app.kubernetes.io/managed-by=porpoise,endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io";
const WITHIN: Duration = Duration::from_mins(7);

#[tokio::test]
async fn h16_killed_at_any_write_the_operator_ends_in_the_same_state() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Namespace::scenario("undisturbed", async |calm| {
        let database = Database::apply(calm, &small("shop", 3)).await?;
        database.until_phase(Phase::Healthy).await?;
        let wanted = end_state(calm).await?;
        Namespace::scenario("kills", async |namespace| {
            let stage = namespace.stage();
            stage.stop_operator().await?;
            let result = killed_life(namespace, &wanted).await;
            stage.start_operator().await?;
            result
        })
        .await
    })
    .await
}

async fn killed_life(namespace: &Namespace, wanted: &BTreeMap<String, Value>) -> Result<()> {
    let proxy = CrashProxy::start(namespace.client()).await?;
    let folder = tempfile::tempdir()?;
    let mut operator = Killed { proxy, folder, life: 0, process: None };
    let shop = Database::apply(namespace, &small("shop", 3)).await?;
    until("the cluster is Healthy although the operator is killed again and again", WITHIN, async || {
        operator.keep_alive(namespace)?;
        let status = shop.status().await?;
        let done = status.phase == Some(Phase::Healthy);
        if done { Ok(Seen::Done(())) } else { Ok(Seen::Not(porpoise_e2e::scenario::brief(&status))) }
    })
    .await?;
    let created = operator.proxy.kills();
    operator.settle(namespace).await?;
    let found = end_state(namespace).await?;
    ensure!(&found == wanted, "the end state differs:\n{}", difference(wanted, &found));
    // The one that settled lives on undisturbed; the next one is killed again.
    operator.process = None;
    shop.api().delete("shop", &DeleteParams::default()).await?;
    until("the cluster is gone although the operator is killed again and again", WITHIN, async || {
        operator.keep_alive(namespace)?;
        match shop.api().get_opt("shop").await? {
            None => Ok(Seen::Done(())),
            Some(object) => Ok(Seen::Not(format!("{:?}", object.metadata.finalizers))),
        }
    })
    .await?;
    let deleted = operator.proxy.kills() - created;
    println!(
        "operator killed {created} times during creation, {deleted} times during deletion; {} writes in all",
        operator.proxy.writes()
    );
    ensure!(created + deleted >= KILLS, "only {created} + {deleted} kills");
    let left = end_state(namespace).await?;
    ensure!(left.is_empty(), "left behind: {:?}", left.keys());
    Ok(())
}

/// An operator that is started again whenever it was killed; each life may do a few writes more.
struct Killed {
    proxy: CrashProxy,
    folder: tempfile::TempDir,
    life: u32,
    process: Option<OperatorProcess>,
}

impl Killed {
    fn keep_alive(&mut self, namespace: &Namespace) -> Result<()> {
        if self.process.as_mut().is_some_and(OperatorProcess::is_running) {
            return Ok(());
        }
        let kubeconfig = self.proxy.kubeconfig(self.folder.path())?;
        let process = OperatorProcess::start(namespace, &kubeconfig)?;
        // Every other life dies after its first write, the others before their second: each life makes one write's
        // progress.
        let allowed = self.life % 2;
        let moment = if allowed == 0 { Moment::After } else { Moment::Before };
        self.proxy.arm(process.id().context("a started operator has a process id")?, allowed, moment)?;
        self.life += 1;
        self.process = Some(process);
        Ok(())
    }

    /// Lets the operator finish undisturbed.
    async fn settle(&mut self, namespace: &Namespace) -> Result<()> {
        self.keep_alive(namespace)?;
        self.proxy.disarm();
        let mut before = self.proxy.writes();
        let mut quiet = 0;
        until("the operator has nothing left to write", WITHIN, async || {
            self.keep_alive(namespace)?;
            self.proxy.disarm();
            tokio::time::sleep(Duration::from_millis(500)).await;
            quiet = if self.proxy.writes() == before { quiet + 1 } else { 0 };
            before = self.proxy.writes();
            if quiet >= 12 { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{before} writes"))) }
        })
        .await
    }
}

/// Every owned object's content without what differs between any two clusters.
async fn end_state(namespace: &Namespace) -> Result<BTreeMap<String, Value>> {
    let mut state = BTreeMap::new();
    for (group, version, kind) in [
        ("apps", "v1", "StatefulSet"),
        ("", "v1", "Service"),
        ("", "v1", "ConfigMap"),
        ("", "v1", "Secret"),
        ("", "v1", "ServiceAccount"),
        ("", "v1", "PersistentVolumeClaim"),
        ("policy", "v1", "PodDisruptionBudget"),
        ("networking.k8s.io", "v1", "NetworkPolicy"),
        ("discovery.k8s.io", "v1", "EndpointSlice"),
    ] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
        for object in api.list(&ListParams::default().labels(OWNED)).await?.items {
            if object.metadata.deletion_timestamp.is_none() {
                state.insert(format!("{kind} {}", object.name_any()), content(&object, namespace.name()));
            }
        }
    }
    Ok(state)
}

fn content(object: &DynamicObject, namespace: &str) -> Value {
    let mut data = object.data.clone();
    for volatile in ["status", "data", "endpoints"] {
        if let Some(fields) = data.as_object_mut() {
            let keys = fields
                .get(volatile)
                .and_then(Value::as_object)
                .map(|map| map.keys().cloned().collect::<Vec<_>>());
            if volatile == "data" && keys.is_some() {
                fields.insert("data".to_owned(), serde_json::json!(keys));
            } else {
                fields.remove(volatile);
            }
        }
    }
    for assigned in ["/spec/clusterIP", "/spec/clusterIPs", "/spec/volumeName"] {
        if let Some(value) = data.pointer_mut(assigned) {
            *value = Value::Null;
        }
    }
    let text = serde_json::json!({"labels": object.metadata.labels, "rest": data}).to_string();
    let uid = object
        .metadata
        .owner_references
        .iter()
        .flatten()
        .map(|owner| owner.uid.clone())
        .next()
        .unwrap_or_default();
    let text = text.replace(namespace, "NAMESPACE");
    let text = if uid.is_empty() { text } else { text.replace(&uid, "UID") };
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn difference(wanted: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> String {
    let mut lines = Vec::new();
    for key in wanted.keys().chain(found.keys().filter(|key| !wanted.contains_key(*key))) {
        if wanted.get(key) != found.get(key) {
            lines.push(format!("{key}\n  wanted {:?}\n  found  {:?}", wanted.get(key), found.get(key)));
        }
    }
    lines.join("\n")
}
