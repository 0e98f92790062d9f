//! Backups and restores as people ask for them: by objects and fields (A29, A30, B28, L6).

use crate::life::everyone_has;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use porpoise_crds::{BackupPhase, MySQLBackup, MySQLBackupStatus, Phase};
use porpoise_e2e::scenario::{
    Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, Store, small, until,
};
use serde_json::{Value, json};

pub fn backup_of(cluster: &str, name: &str) -> Value {
    json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "metadata": {"name": name},
        "spec": {"clusterRef": {"name": cluster}},
    })
}

/// The same as statements.
fn dump_of(cluster: &str, name: &str) -> Value {
    let mut backup = backup_of(cluster, name);
    backup["spec"]["method"] = json!("Logical");
    backup
}

/// Waits until nothing more happens to the backup by itself.
async fn outcome(namespace: &Namespace, name: &str) -> Result<MySQLBackupStatus> {
    let backups: Api<MySQLBackup> = Api::namespaced(namespace.client(), namespace.name());
    until(&format!("the backup {name} is over"), HEALTHY_WITHIN, async || {
        let status = backups.get_opt(name).await?.and_then(|backup| backup.status).unwrap_or_default();
        if status.phase.is_some_and(BackupPhase::is_over) {
            Ok(Seen::Done(status))
        } else {
            Ok(Seen::Not(format!("{:?}: {}", status.phase, status.message)))
        }
    })
    .await
}

pub async fn succeeded(namespace: &Namespace, name: &str) -> Result<MySQLBackupStatus> {
    let status = outcome(namespace, name).await?;
    ensure!(status.phase == Some(BackupPhase::Succeeded), "{name}: {:?}: {}", status.phase, status.message);
    ensure!(status.verified == Some(true), "{name} is not verified: {status:?}");
    Ok(status)
}

#[tokio::test]
async fn a29_a30_everything_is_lost_and_comes_back_from_a_backup() -> Result<()> {
    crate::beside_others("backup", async |namespace| {
        let Some(store) = Store::start(namespace).await? else { return Ok(()) };
        let mut manifest = small("shop", 3);
        manifest["spec"]["backup"] = json!({"target": store.target(), "onDemand": {"requestId": "first"}});
        manifest["spec"]["storage"]["deletionPolicy"] = json!("BackupThenDelete");
        let shop = Database::apply(namespace, &manifest).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        client.sql(&account, "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40)); INSERT INTO orders VALUES (1, '日本語')").await?;
        succeeded(namespace, "shop-first").await?;
        namespace.apply(&backup_of("shop", "by-hand")).await?;
        let status = succeeded(namespace, "by-hand").await?;
        ensure!(status.donor != shop.status().await?.primary, "the primary was copied");
        namespace.apply(&dump_of("shop", "dump")).await?;
        succeeded(namespace, "dump").await?;
        client.sql(&account, "INSERT INTO orders VALUES (2, 'later')").await?;
        shop.delete().await?;
        let last = last_backup(namespace).await?;
        succeeded(namespace, &last).await?;
        no_volume_is_left(namespace).await?;
        restore_here(namespace, &client, &last).await?;
        let location = serde_json::to_value(status.location)?;
        tokio::try_join!(
            restore_elsewhere(namespace, &store, &location),
            import_here(namespace, &client, "dump")
        )?;
        remove(namespace, "by-hand").await
    })
    .await
}

/// The one that the operator made before it let the cluster go (A12).
async fn last_backup(namespace: &Namespace) -> Result<String> {
    let backups: Api<MySQLBackup> = Api::namespaced(namespace.client(), namespace.name());
    let names: Vec<String> =
        backups.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    let last = names.iter().find(|name| name.starts_with("shop-final-"));
    last.cloned().with_context(|| format!("there is no last backup among {names:?}"))
}

/// With `BackupThenDelete` they go, once the last backup is verified (A12).
pub async fn no_volume_is_left(namespace: &Namespace) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    until("the volume claims of shop are gone", HEALTHY_WITHIN, async || {
        let claims = claims.list(&ListParams::default()).await?;
        let names: Vec<String> =
            claims.iter().map(ResourceExt::name_any).filter(|name| name.starts_with("data-")).collect();
        if names.is_empty() { Ok(Seen::Done(())) } else { Ok(Seen::Not(names.join(", "))) }
    })
    .await
}

/// A cluster of the same name, from the object that remembers the last backup of the one before.
async fn restore_here(namespace: &Namespace, client: &Client<'_>, last: &str) -> Result<()> {
    let mut manifest = small("shop", 3);
    manifest["spec"]["bootstrap"] = json!({"restore": {"backupRef": {"name": last}}});
    let shop = Database::apply(namespace, &manifest).await?;
    shop.until_phase(Phase::Healthy).await?;
    everyone_has(client, namespace, "1,2").await?;
    let account = Account::app(namespace, "shop").await?;
    let note = client.sql(&account, "SELECT note FROM orders WHERE id = 1").await?;
    ensure!(note == "日本語", "the note came back as {note:?}");
    client.sql(&account, "INSERT INTO orders VALUES (3, 'after the restore')").await?;
    everyone_has(client, namespace, "1,2,3").await
}

/// Another namespace, where there is no object of the backup at all. What was written after it is not in it.
async fn restore_elsewhere(namespace: &Namespace, store: &Store, location: &Value) -> Result<()> {
    Namespace::scenario("elsewhere", async |elsewhere| {
        store.let_in(elsewhere).await?;
        let mut manifest = small("copy", 1);
        manifest["spec"]["bootstrap"] = json!({"restore": {"location": location}});
        let copy = Database::apply(elsewhere, &manifest).await?;
        // A Secret is missing: the cluster waits, says which, and never begins empty.
        copy.until_message("store-tls").await?;
        store.trust_in(namespace, elsewhere).await?;
        copy.until_phase(Phase::Healthy).await?;
        let client = Client::start(elsewhere).await?;
        let account = Account::app(elsewhere, "copy").await?;
        let rows = client.sql(&account, "SELECT GROUP_CONCAT(id) FROM orders").await?;
        ensure!(rows == "1", "the copy has the rows {rows}");
        Ok(())
    })
    .await
}

/// A cluster that begins with the dump of one that is gone.
async fn import_here(namespace: &Namespace, client: &Client<'_>, dump: &str) -> Result<()> {
    let mut manifest = small("moved", 1);
    manifest["spec"]["bootstrap"] = json!({"import": {"backupRef": {"name": dump}}});
    let moved = Database::apply(namespace, &manifest).await?;
    moved.until_phase(Phase::Healthy).await?;
    let account = Account::app(namespace, "moved").await?;
    let note = client.sql(&account, "SELECT GROUP_CONCAT(id, note) FROM orders").await?;
    ensure!(note == "1日本語", "the dump came back as {note:?}");
    Ok(())
}

/// What is stored goes with the object.
pub async fn remove(namespace: &Namespace, name: &str) -> Result<()> {
    let backups: Api<MySQLBackup> = Api::namespaced(namespace.client(), namespace.name());
    let uid = backups.get(name).await?.uid();
    backups.delete(name, &DeleteParams::default()).await?;
    until(&format!("the backup {name} is gone"), HEALTHY_WITHIN, async || {
        match backups.get_opt(name).await? {
            Some(backup) if backup.uid() == uid => {
                Ok(Seen::Not(format!("{:?}", backup.status.map(|status| status.message))))
            }
            _ => Ok(Seen::Done(())),
        }
    })
    .await?;
    let events = namespace.stage().kubectl(&["get", "events", "-n", namespace.name(), "-o", "wide"]).await?;
    ensure!(events.contains("BackupRemoved"), "nobody said that the stored data is gone: {events}");
    Ok(())
}
