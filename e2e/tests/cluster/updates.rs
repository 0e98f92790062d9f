//! Another MySQL image, by the object and by Helm: a verified backup first, then a try on a copy of it, then the replicas, last
//! the primary, while clients write and the ledger judges (A34, C8, D15, D40). Without a backup, or when the try fails, nothing
//! is touched.

use crate::maintenance::{clients_write, go_on};
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use porpoise_crds::{BackupPhase, MySQLBackup, MySQLClusterStatus, Phase};
use porpoise_e2e::campaign::Scene;
use porpoise_e2e::ledger::{At, Shift, longest_gap};
use porpoise_e2e::programs::checkout;
use porpoise_e2e::rig::MYSQL;
use porpoise_e2e::scenario::{Database, HEALTHY_WITHIN, Namespace, Seen, Store, small, until};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A bucket that the store does not have.
const NOWHERE: &str = "nowhere";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d15_a34_c8_another_image_waits_for_a_backup_and_rolls_under_load() -> Result<()> {
    crate::beside_others("update", async |namespace| {
        let Some(store) = Store::start(namespace).await? else { return Ok(()) };
        let mut manifest = small("shop", 3);
        manifest["spec"]["backup"] = json!({"target": store.target()});
        let Some(mut scene) = Scene::of(namespace, &manifest).await? else { return Ok(()) };
        let image = another_name(&scene, "second")?;
        let (before, shift) = clients_write(&mut scene).await?;
        let since = scene.ledger.clock().now();
        scene.database.patch_spec(json!({"image": image})).await?;
        until_rolled(&scene, &image, &before).await?;
        judged(&mut scene, shift, since).await?;
        let backup = the_backup(namespace, "shop-before-").await?;
        ensure!(is_older_than_pods(namespace, &backup).await?, "a Pod is older than {backup:?}");
        rehearsed_before_any_pod(namespace).await?;
        what_the_new_server_refuses_touches_nothing(&scene, &image).await?;
        an_image_that_does_not_start_is_taken_back(&scene, &image).await?;
        forget(namespace, &backup).await?;
        without_a_backup_nothing_is_touched(&scene).await
    })
    .await
}

/// The Job that tried the update on a copy had ended well before the first member got it.
async fn rehearsed_before_any_pod(namespace: &Namespace) -> Result<()> {
    let events: Api<Event> = Api::namespaced(namespace.client(), namespace.name());
    let told = events.list(&ListParams::default().fields("reason=UpdateRehearsed")).await?.items;
    let [event] = told.as_slice() else { bail!("{} rehearsals were told", told.len()) };
    println!("{}", event.message.clone().unwrap_or_default());
    let when = event.event_time.as_ref().map(|time| time.0).context("an Event has a time")?;
    let pods = members(namespace).await?;
    let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    ensure!(pods.iter().all(|pod| made(pod) >= Some(when.as_second())), "a Pod is older than {when}");
    Ok(())
}

/// The backup of the first update is young enough; the settings wait with the image that they came with.
async fn what_the_new_server_refuses_touches_nothing(scene: &Scene<'_>, image: &str) -> Result<()> {
    let present = state(scene).await?;
    let settings = settings(scene).await?;
    let wish = json!({
        "image": another_name(scene, "third")?, "update": {"backupMaxAge": "60m"},
        "mysql": {"config": {"no_such_setting": "1"}},
    });
    scene.database.patch_spec(wish).await?;
    let why = scene.database.until_condition("Progressing", "False", "RehearsalFailed").await?;
    println!("refused: {why}");
    ensure!(why.contains("unknown variable 'no_such_setting=1'"), "these are not the server's words: {why}");
    let back = json!({"image": image, "mysql": {"config": {"no_such_setting": null}}});
    ensure!(state(scene).await? == present, "the members were touched: {:?}", state(scene).await?);
    ensure!(self::settings(scene).await? == settings, "the settings of the members were touched");
    scene.database.patch_spec(back).await?;
    scene.database.until_condition("Progressing", "False", "Healthy").await?;
    ensure!(state(scene).await? == present, "the way back touched something");
    Ok(())
}

async fn settings(scene: &Scene<'_>) -> Result<Option<BTreeMap<String, String>>> {
    let namespace = scene.database.namespace;
    let maps: Api<ConfigMap> = Api::namespaced(namespace.client(), namespace.name());
    Ok(maps.get("shop-config").await?.data)
}

/// Without a rehearsal it stops the roll-out at the first replica. The way back makes no backup and touches nobody else.
async fn an_image_that_does_not_start_is_taken_back(scene: &Scene<'_>, image: &str) -> Result<()> {
    let (before, _) = state(scene).await?;
    scene
        .database
        .patch_spec(json!({"image": format!("{MYSQL}-absent"), "update": {"backupMaxAge": "60m", "rehearsal": "Skip"}}))
        .await?;
    let message = scene.database.until_condition("Degraded", "True", "ImageUnavailable").await?;
    println!("stopped: {message}");
    // Nothing stands that would do for another image now.
    scene.database.patch_spec(json!({"image": image, "update": {"backupMaxAge": "1m"}})).await?;
    scene.database.until_phase(Phase::Healthy).await?;
    let (after, _) = state(scene).await?;
    let replaced = after.iter().filter(|(name, uid)| before.get(*name) != Some(uid)).count();
    ensure!(replaced == 1, "{replaced} Pods were replaced: {before:?} became {after:?}");
    the_backup(scene.database.namespace, "shop-before-").await.map(drop)
}

/// The store does not take the backup; the way back to the image that runs needs none.
async fn without_a_backup_nothing_is_touched(scene: &Scene<'_>) -> Result<()> {
    let present = state(scene).await?;
    let image = scene.database.api().get("shop").await?.spec.image;
    let wish =
        json!({"image": another_name(scene, "third")?, "backup": {"target": {"s3": {"bucket": NOWHERE}}}});
    scene.database.patch_spec(wish).await?;
    let why = scene.database.until_condition("Progressing", "False", "BackupFailed").await?;
    println!("held: {why}");
    ensure!(
        state(scene).await? == present,
        "something was touched: {:?} was {present:?}",
        state(scene).await?
    );
    scene.database.patch_spec(json!({"image": image})).await?;
    scene.database.until_condition("Progressing", "False", "Healthy").await?;
    ensure!(state(scene).await? == present, "the way back touched something");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d15_helm_backs_up_before_it_changes_anything_and_stops_if_it_cannot() -> Result<()> {
    crate::beside_others("helm", async |namespace| {
        let Some(store) = Store::start(namespace).await? else { return Ok(()) };
        let release = Release::new(namespace, &store)?;
        release.run("install", &[]).await?;
        let shop = Database { namespace, name: "shop".to_owned() };
        let Some(mut scene) = Scene::around(shop).await? else { return Ok(()) };
        let image = another_name(&scene, "second")?;
        let (before, shift) = clients_write(&mut scene).await?;
        let since = scene.ledger.clock().now();
        let set = format!("spec.image={image}");
        release.run("upgrade", &["--reuse-values", "--set", &set]).await?;
        until_rolled(&scene, &image, &before).await?;
        judged(&mut scene, shift, since).await?;
        let backup = the_backup(namespace, "shop-hook-").await?;
        ensure!(is_older_than_pods(namespace, &backup).await?, "a Pod is older than {backup:?}");
        forget(namespace, &backup).await?;
        helm_stops(&scene, &release).await
    })
    .await
}

/// A failing backup stops helm upgrade, rollback and uninstall; without hooks they go on.
async fn helm_stops(scene: &Scene<'_>, release: &Release<'_>) -> Result<()> {
    let nowhere = format!("spec.backup.target.s3.bucket={NOWHERE}");
    release.run("upgrade", &["--reuse-values", "--no-hooks", "--set", &nowhere]).await?;
    scene.database.until_phase(Phase::Healthy).await?;
    let present = state(scene).await?;
    let spec = scene.database.api().get("shop").await?.metadata.generation;
    let set = format!("spec.image={}", another_name(scene, "third")?);
    for arguments in
        [vec!["upgrade", "--reuse-values", "--set", &set], vec!["rollback", "1"], vec!["uninstall"]]
    {
        let Err(error) = release.run(arguments[0], &arguments[1..]).await else {
            bail!("helm {} went on without a backup", arguments[0]);
        };
        println!("helm {} stopped: {error:#}", arguments[0]);
        ensure!(state(scene).await? == present, "helm {} touched something", arguments[0]);
        let now = scene.database.api().get("shop").await?.metadata;
        ensure!(now.generation == spec && now.deletion_timestamp.is_none(), "helm changed the cluster");
    }
    release.run("uninstall", &["--no-hooks"]).await?;
    scene.database.until_gone().await
}

/// The release `shop` of the chart.
struct Release<'a> {
    namespace: &'a Namespace,
    chart: String,
    values: PathBuf,
    _folder: tempfile::TempDir,
}

impl<'a> Release<'a> {
    fn new(namespace: &'a Namespace, store: &Store) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut spec = small("shop", 3)["spec"].clone();
        spec["backup"] = json!({"target": store.target()});
        let hook = json!({"image": namespace.stage().operator_image(), "timeout": "200s"});
        let values = folder.path().join("values.json");
        std::fs::write(&values, json!({"spec": spec, "backupHook": hook}).to_string())?;
        let chart = checkout().join("charts/mysql-cluster").to_string_lossy().into_owned();
        Ok(Self { namespace, chart, values, _folder: folder })
    }

    async fn run(&self, verb: &str, more: &[&str]) -> Result<String> {
        let values = self.values.to_string_lossy().into_owned();
        let mut arguments = vec![verb, "shop", "-n", self.namespace.name(), "--timeout", "240s"];
        match verb {
            "install" => arguments.extend([self.chart.as_str(), "--values", &values]),
            "upgrade" => arguments.insert(2, &self.chart),
            _ => {}
        }
        arguments.extend(more);
        self.namespace.stage().helm(&arguments).await
    }
}

/// The image under another tag: the same program, and for Kubernetes another one.
fn another_name(scene: &Scene<'_>, suffix: &str) -> Result<String> {
    let name = format!("{MYSQL}-{suffix}");
    scene.rig.tag_image(MYSQL, &name)?;
    Ok(name)
}

fn image_of(pod: &Pod) -> Option<&str> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.iter().find(|container| container.name == "mysql")?.image.as_deref()
}

async fn members(namespace: &Namespace) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let ours = ListParams::default().labels("app.kubernetes.io/name=mysql,app.kubernetes.io/instance=shop");
    Ok(pods.list(&ours).await?.items)
}

/// Waits until every member runs this image and all is well. The primary got it last, and moved once, by a switchover.
async fn until_rolled(scene: &Scene<'_>, image: &str, before: &MySQLClusterStatus) -> Result<()> {
    let mut order: Vec<String> = Vec::new();
    until(&format!("every member runs {image}"), HEALTHY_WITHIN, async || {
        for pod in members(scene.database.namespace).await? {
            let name = pod.name_any();
            if image_of(&pod) == Some(image) && !order.contains(&name) {
                order.push(name);
            }
        }
        if order.len() == 3 { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{order:?}"))) }
    })
    .await?;
    let after = scene.database.until_phase(Phase::Healthy).await?;
    println!("{image}: {order:?}; {:?}", after.last_switchover);
    ensure!(order.last() == before.primary.as_ref(), "{:?} is not last: {order:?}", before.primary);
    ensure!(after.last_failover == before.last_failover, "the primary was lost: {:?}", after.last_failover);
    Ok(())
}

/// What an update would touch: the Pods, and the generation of the `StatefulSet`.
async fn state(scene: &Scene<'_>) -> Result<(BTreeMap<String, Option<String>>, Option<i64>)> {
    let namespace = scene.database.namespace;
    let pods = members(namespace).await?.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    let sets: Api<StatefulSet> = Api::namespaced(namespace.client(), namespace.name());
    Ok((pods, sets.get("shop").await?.metadata.generation))
}

async fn judged(scene: &mut Scene<'_>, shift: Shift, since: At) -> Result<()> {
    go_on(&shift).await?;
    let history = shift.end().await?;
    let gap = longest_gap(&history.entries, since).context("nothing was written")?;
    println!("the longest gap between acknowledged writes was {:?}", gap.length());
    scene.ledger.close(history);
    let verdict = scene.ledger.judge(&scene.database).await?;
    println!("{verdict}");
    verdict.ensure_clean()
}

/// The only backup there is: verified, and of this name.
async fn the_backup(namespace: &Namespace, prefix: &str) -> Result<MySQLBackup> {
    let backups: Api<MySQLBackup> = Api::namespaced(namespace.client(), namespace.name());
    let mut all = backups.list(&ListParams::default()).await?.items;
    let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    ensure!(names.len() == 1 && names[0].starts_with(prefix), "{names:?} and not one {prefix}");
    let backup = all.remove(0);
    let status = backup.status.clone().unwrap_or_default();
    let verified = status.phase == Some(BackupPhase::Succeeded) && status.verified == Some(true);
    ensure!(verified, "{names:?}: {status:?}");
    Ok(backup)
}

async fn is_older_than_pods(namespace: &Namespace, backup: &MySQLBackup) -> Result<bool> {
    let completed = backup.status.as_ref().and_then(|status| status.completed_at.clone());
    let completed = completed.context("a backup has an end")?;
    let pods = members(namespace).await?;
    // Kubernetes keeps whole seconds.
    let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    Ok(pods.iter().all(|pod| made(pod) >= Some(completed.0.as_second())))
}

/// Deletes it, and waits until what it stored is gone.
async fn forget(namespace: &Namespace, backup: &MySQLBackup) -> Result<()> {
    let backups: Api<MySQLBackup> = Api::namespaced(namespace.client(), namespace.name());
    let name = backup.name_any();
    backups.delete(&name, &DeleteParams::default()).await?;
    until(&format!("{name} is gone"), HEALTHY_WITHIN, async || match backups.get_opt(&name).await? {
        None => Ok(Seen::Done(())),
        Some(backup) => Ok(Seen::Not(format!("{:?}", backup.status.map(|status| status.message)))),
    })
    .await
}
