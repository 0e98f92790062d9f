//! Nodes: members are spread, drains take one member at a time, and the primary moves before its Pod ends (A25, C1, C2, H2).

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{EvictParams, ListParams};
use porpoise_crds::{MySQLClusterStatus, Phase, RequestOutcome};
use porpoise_e2e::scenario::{Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn c1_h2_members_are_spread_and_two_drains_never_take_two_members() -> Result<()> {
    crate::alone("nodes", async |namespace| {
        let shop = Database::apply(namespace, &small("shop", 3)).await?;
        let before = shop.until_phase(Phase::Healthy).await?;
        members_are_spread(namespace).await?;
        budget_allows_one(namespace, &shop, &before).await?;
        primary_moves_first(namespace, &shop).await?;
        moves_on_request(&shop).await
    })
    .await
}

async fn members_are_spread(namespace: &Namespace) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let members = pods.list(&ListParams::default().labels("app.kubernetes.io/instance=shop")).await?;
    let nodes: BTreeSet<_> = members.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    ensure!(nodes.len() == 3, "three members run on {nodes:?}");
    Ok(())
}

/// What two drains at the same time do: each asks for an eviction. The client asks again while the budget refuses, as
/// `kubectl drain` does, so the second one is granted when the first member is back.
async fn budget_allows_one(
    namespace: &Namespace,
    shop: &Database<'_>,
    status: &MySQLClusterStatus,
) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let replicas: Vec<String> = replicas(status);
    let uid = pods.get(&replicas[0]).await?.metadata.uid;
    pods.evict(&replicas[0], &EvictParams::default()).await.context("evict the first member")?;
    let other = pods.get(&replicas[1]).await?.metadata.uid;
    let granted = until("the second eviction is granted", HEALTHY_WITHIN, async || {
        match pods.evict(&replicas[1], &EvictParams::default()).await {
            Ok(_) => Ok(Seen::Done(pods.get(&replicas[0]).await?)),
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(Seen::Not(status.message)),
            Err(error) => Err(error.into()),
        }
    });
    let first = granted.await?;
    ensure!(first.metadata.uid != uid && is_ready(&first), "two members were taken: {:?}", first.status);
    until_another(&pods, &replicas[1], other.as_deref()).await?;
    shop.until_phase(Phase::Healthy).await?;
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

async fn primary_moves_first(namespace: &Namespace, shop: &Database<'_>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let before = shop.status().await?;
    let primary = before.primary.clone().context("a healthy cluster has a primary")?;
    let uid = pods.get(&primary).await?.metadata.uid;
    pods.evict(&primary, &EvictParams::default()).await.context("evict the primary")?;
    until_another(&pods, &primary, uid.as_deref()).await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    let moved = after.last_switchover.context("the eviction of the primary is a switchover")?;
    ensure!(moved.from.as_deref() == Some(primary.as_str()) && moved.to != primary, "{moved:?}");
    ensure!(after.last_failover == before.last_failover, "the primary was lost: {:?}", after.last_failover);
    Ok(())
}

async fn moves_on_request(shop: &Database<'_>) -> Result<()> {
    let before = shop.status().await?;
    let target = replicas(&before).remove(0);
    shop.patch_spec(json!({"switchover": {"requestId": "first", "target": target}})).await?;
    until("the requested member is the primary", HEALTHY_WITHIN, async || {
        let status = shop.status().await?;
        let moved = status.last_switchover.as_ref().is_some_and(|moved| moved.to == target);
        Ok(if moved { Seen::Done(()) } else { Seen::Not(format!("{:?}", status.switchover)) })
    })
    .await?;
    let answer = shop.status().await?.switchover.context("a request is answered")?;
    ensure!(answer.outcome == RequestOutcome::Started && answer.request_id == "first", "{answer:?}");
    shop.until_phase(Phase::Healthy).await?;
    shop.patch_spec(json!({"switchover": {"requestId": "second", "target": "shop-7"}})).await?;
    let message = until("the impossible request is explained", HEALTHY_WITHIN, async || {
        match shop.status().await?.switchover {
            Some(answer) if answer.request_id == "second" => Ok(Seen::Done(answer.message)),
            other => Ok(Seen::Not(format!("{other:?}"))),
        }
    })
    .await?;
    ensure!(message == "there is no instance shop-7", "{message}");
    ensure!(shop.status().await?.primary == Some(target), "an impossible request moved the primary");
    Ok(())
}

fn replicas(status: &MySQLClusterStatus) -> Vec<String> {
    let names = status.instances.iter().map(|one| one.name.clone());
    names.filter(|name| Some(name) != status.primary.as_ref()).collect()
}

async fn until_another(pods: &Api<Pod>, name: &str, uid: Option<&str>) -> Result<()> {
    until(&format!("{name} is another Pod"), HEALTHY_WITHIN, async || match pods.get_opt(name).await? {
        Some(pod) if pod.metadata.uid.as_deref() != uid => Ok(Seen::Done(())),
        other => Ok(Seen::Not(format!("{:?}", other.and_then(|pod| pod.metadata.deletion_timestamp)))),
    })
    .await
}
