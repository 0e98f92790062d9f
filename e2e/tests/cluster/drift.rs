//! Manual changes of generated objects are put back; foreign fields are left alone (B18, D22, C12).

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn drift_is_repaired_and_metadata_restarts_nothing() -> Result<()> {
    crate::beside_others("drift", async |namespace| {
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        shop.until_phase(Phase::Healthy).await?;
        let before = pods(namespace).await?;
        changed_service(namespace).await?;
        deleted_objects(namespace).await?;
        inherited_label(namespace, &shop).await?;
        ensure!(pods(namespace).await? == before, "a Pod was replaced");
        Ok(())
    })
    .await
}

async fn pods(namespace: &Namespace) -> Result<BTreeMap<String, Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let list = pods.list(&ListParams::default().labels("app.kubernetes.io/instance=shop")).await?;
    Ok(list.items.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect())
}

async fn changed_service(namespace: &Namespace) -> Result<()> {
    let services: Api<Service> = Api::namespaced(namespace.client(), namespace.name());
    let drift = json!({
        "metadata": {"annotations": {"somebody.else/mark": "kept"}},
        "spec": {"selector": {"app.kubernetes.io/instance": "nobody"}},
    });
    services.patch("shop-ro", &PatchParams::default(), &Patch::Merge(drift)).await?;
    until("the ro Service selects its members again", HEALTHY_WITHIN, async || {
        let service = services.get("shop-ro").await?;
        let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
        if selector.get("app.kubernetes.io/instance").map(String::as_str) != Some("shop") {
            return Ok(Seen::Not(format!("{selector:?}")));
        }
        let mark = service.metadata.annotations.unwrap_or_default().contains_key("somebody.else/mark");
        ensure!(mark, "a foreign annotation was removed");
        Ok(Seen::Done(()))
    })
    .await
}

async fn deleted_objects(namespace: &Namespace) -> Result<()> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(namespace.client(), namespace.name());
    let maps: Api<ConfigMap> = Api::namespaced(namespace.client(), namespace.name());
    budgets.delete("shop", &DeleteParams::default()).await?;
    maps.delete("shop-config", &DeleteParams::default()).await?;
    until("budget and configuration are back", HEALTHY_WITHIN, async || {
        let there = (budgets.get_opt("shop").await?.is_some(), maps.get_opt("shop-config").await?.is_some());
        if there == (true, true) { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{there:?}"))) }
    })
    .await
}

async fn inherited_label(namespace: &Namespace, shop: &Database<'_>) -> Result<()> {
    let label = json!({"metadata": {"labels": {"team": "checkout"}}});
    shop.api().patch("shop", &PatchParams::default(), &Patch::Merge(label)).await?;
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    until("the Pod carries the label of the cluster", HEALTHY_WITHIN, async || {
        let found = pods.get("shop-0").await?.labels().get("team").cloned();
        if found.as_deref() == Some("checkout") {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not(format!("{found:?}")))
        }
    })
    .await
}
