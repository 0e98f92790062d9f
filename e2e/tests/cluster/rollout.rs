//! Changes that need a restart, under clients that write: replicas first and the primary last (C8, A33, B14), watched and
//! supervised (C11), stopped by the first member that does not work, and healed by going back (D40).

use crate::maintenance::{clients_write, go_on, judged, primary_of};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::campaign::Scene;
use porpoise_e2e::scenario::{Account, Client, Namespace, Seen, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const SOAK: Duration = Duration::from_secs(20);
/// The kubelet refreshes volumes once a minute or so.
const TAKEN_UP_WITHIN: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d40_a_bad_change_stops_at_one_replica_and_going_back_heals() -> Result<()> {
    crate::beside_others("rollback", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let (_, shift) = clients_write(&mut scene).await?;
        takes_while_running(&scene).await.context("a setting of a running mysqld")?;
        go_on(&shift).await?;
        for (what, bad, good) in [
            (
                "a setting that mysqld does not know",
                json!({"mysql": {"config": {"no_such_variable": "1"}}}),
                json!({"mysql": {"config": null}}),
            ),
            (
                "more memory than any node has",
                json!({"resources": {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}}),
                json!({"resources": {"requests": {"memory": "512Mi"}, "limits": {"memory": "768Mi"}}}),
            ),
            (
                "an image that nobody has",
                json!({"image": "registry.invalid/mysql:9.7.4"}),
                json!({"image": null}),
            ),
        ] {
            println!("{what}");
            stops_and_heals(&scene, &bad, &good).await.context(what)?;
            go_on(&shift).await?;
        }
        judged(&mut scene, shift).await
    })
    .await
}

/// C12: every member has it, and no Pod is replaced.
async fn takes_while_running(scene: &Scene<'_>) -> Result<()> {
    let (shop, namespace) = (&scene.database, scene.database.namespace);
    let (before, pods_before) = (shop.status().await?, pods(namespace).await?);
    shop.patch_spec(json!({"mysql": {"config": {"max_connections": "345"}}})).await?;
    let client = Client::start(namespace).await?;
    let account = Account::app(namespace, "shop").await?;
    for member in pods_before.keys() {
        let host = account.at(&format!("{member}.shop-members"));
        until(&format!("{member} has the setting"), TAKEN_UP_WITHIN, async || {
            let value = client.sql(&host, "SELECT @@GLOBAL.max_connections").await?;
            Ok(if value.trim() == "345" { Seen::Done(()) } else { Seen::Not(value) })
        })
        .await?;
    }
    let after = shop.until_phase(Phase::Healthy).await?;
    let touched = differing(&pods_before, &pods(namespace).await?);
    ensure!(touched.is_empty(), "{touched:?} were replaced");
    ensure!((&after.primary, after.term) == (&before.primary, before.term), "the primary moved");
    Ok(())
}

/// One replica fails, nothing else is touched, and the former spec brings it back.
async fn stops_and_heals(scene: &Scene<'_>, bad: &Value, good: &Value) -> Result<()> {
    let (shop, namespace) = (&scene.database, scene.database.namespace);
    let (before, pods_before) = (shop.status().await?, pods(namespace).await?);
    shop.patch_spec(bad.clone()).await?;
    let words = shop.until_condition("Progressing", "False", "RolloutStopped").await?;
    println!("{words}");
    let stopped = pods(namespace).await?;
    let touched = differing(&pods_before, &stopped);
    ensure!(touched.len() == 1 && !touched.contains(&primary_of(&before)?), "{touched:?} were replaced");
    ensure!(words.starts_with(&touched[0]) && words.contains("Change the spec back"), "{words}");
    shop.patch_spec(good.clone()).await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    let others = differing(&pods_before, &pods(namespace).await?);
    ensure!(others == touched, "{others:?} were replaced to heal {touched:?}");
    ensure!((&after.primary, after.term) == (&before.primary, before.term), "the primary moved");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a33_b14_more_memory_reaches_a_watched_replica_then_the_others_then_the_primary() -> Result<()> {
    crate::beside_others("rollout", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let (before, shift) = clients_write(&mut scene).await?;
        let (shop, pods_before) = (&scene.database, pods(namespace).await?);
        shop.patch_spec(json!({
            "update": {"mode": "Supervised", "soak": format!("{}s", SOAK.as_secs())},
            "resources": {"limits": {"memory": "800Mi"}},
        }))
        .await?;
        shop.until_condition("Progressing", "True", "Soaking").await?;
        let first = differing(&pods_before, &pods(namespace).await?);
        ensure!(first.len() == 1, "{first:?} were replaced at once");
        let words = shop.until_condition("Progressing", "False", "SwitchoverAwaited").await?;
        let rolled = differing(&pods_before, &pods(namespace).await?);
        ensure!(rolled.len() == 2 && !rolled.contains(&primary_of(&before)?), "{rolled:?} were replaced");
        ensure!(words.contains("spec.switchover.requestId"), "{words}");
        watched(namespace, &first[0], rolled.iter().find(|name| *name != &first[0])).await?;
        ensure!(shop.status().await?.term == before.term, "the primary was touched before anybody asked");
        go_on(&shift).await?;
        shop.patch_spec(json!({"switchover": {"requestId": "take-up-more-memory"}})).await?;
        let after = shop.until_phase(Phase::Healthy).await?;
        let moved = after.last_switchover.as_ref().context("a planned move is a switchover")?;
        ensure!(moved.from == before.primary && after.primary != before.primary, "{moved:?}");
        ensure!(
            after.last_failover == before.last_failover,
            "the primary was lost: {:?}",
            after.last_failover
        );
        ensure!(differing(&pods_before, &pods(namespace).await?).len() == 3, "not every Pod was replaced");
        go_on(&shift).await?;
        judged(&mut scene, shift).await
    })
    .await
}

/// The second member was made no earlier than the first had been ready for the whole time.
async fn watched(namespace: &Namespace, first: &str, second: Option<&String>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let conditions = pods.get(first).await?.status.and_then(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let ready = ready.and_then(|condition| condition.last_transition_time.as_ref()).context("is ready")?.0;
    let made = pods.get(second.context("a second replica")?).await?.metadata.creation_timestamp;
    let pause = made.context("was made")?.0.duration_since(ready);
    ensure!(pause.as_secs() >= i64::try_from(SOAK.as_secs())?, "the second restarted after {pause:?}");
    Ok(())
}

/// UIDs of the members' Pods.
async fn pods(namespace: &Namespace) -> Result<BTreeMap<String, Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let list = pods.list(&ListParams::default().labels("app.kubernetes.io/instance=shop")).await?;
    Ok(list.items.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect())
}

/// Instances whose Pod is another one, or gone.
fn differing(
    before: &BTreeMap<String, Option<String>>,
    after: &BTreeMap<String, Option<String>>,
) -> Vec<String> {
    before.iter().filter(|(name, uid)| after.get(*name) != Some(*uid)).map(|(name, _)| name.clone()).collect()
}
