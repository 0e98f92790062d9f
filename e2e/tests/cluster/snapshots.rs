//! A backup that is a snapshot of a volume, on a storage driver that takes real ones (A9, A10, A30).

use crate::backups::{backup_of, remove, succeeded};
use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use porpoise_crds::{MySQLBackupStatus, Phase};
use porpoise_e2e::rig::SNAPSHOTS;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::{Value, json};

/// Written one after the other; `executed[N]` is all that the primary had executed after row N, counted from 0.
struct Rows {
    executed: Vec<String>,
}

#[tokio::test]
async fn a9_a10_a30_a_snapshot_under_load_is_booted_and_begins_a_cluster() -> Result<()> {
    crate::beside_others("snapshot", async |namespace| {
        let Some(rig) = namespace.stage().rig().cloned() else { return Ok(()) };
        without_snapshots(namespace).await?;
        tokio::task::spawn_blocking(move || rig.with_snapshots()).await??;
        let shop = Database::apply(namespace, &shop()).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        let mut rows = Rows::begin(&client, &account).await?;
        namespace.apply(&snapshot_of("shop", "monday")).await?;
        let status = tokio::select! {
            status = succeeded(namespace, "monday") => status?,
            error = rows.go_on(&client, &account) => return Err(error),
        };
        ensure!(status.donor != shop.status().await?.primary, "the primary was taken");
        ensure!(status.location.is_none(), "something was stored: {:?}", status.location);
        let kept = rows.within(&client, &account, &status).await?;
        begun(namespace, &client, &status, kept).await?;
        refused_in_place(&shop).await?;
        remove(namespace, "monday").await?;
        nothing_is_left(namespace).await
    })
    .await
}

fn shop() -> Value {
    let mut manifest = small("shop", 3);
    manifest["spec"]["storage"]["storageClassName"] = json!(SNAPSHOTS);
    manifest["spec"]["backup"] = json!({
        "target": {"volume": {"size": "1Gi"}}, "method": "VolumeSnapshot", "binlogArchive": {"mode": "Off"},
    });
    manifest
}

fn snapshot_of(cluster: &str, name: &str) -> Value {
    let mut backup = backup_of(cluster, name);
    backup["spec"]["method"] = json!("VolumeSnapshot");
    backup
}

/// Before any scenario asked for them, the rig is one of those that have no snapshots.
async fn without_snapshots(namespace: &Namespace) -> Result<()> {
    if namespace.stage().kubectl(&["get", "--raw=/apis/snapshot.storage.k8s.io/v1"]).await.is_ok() {
        return Ok(());
    }
    let mut manifest = shop();
    manifest["metadata"]["name"] = json!("plain");
    manifest["spec"]["instances"] = json!(1);
    manifest["spec"]["storage"] = small("plain", 1)["spec"]["storage"].clone();
    let plain = Database::apply(namespace, &manifest).await?;
    let message = plain.until_condition("BackupReady", "False", "SnapshotsUnavailable").await?;
    ensure!(message.contains("install the snapshot CRDs"), "{message}");
    plain.api().delete(&plain.name, &DeleteParams::default()).await?;
    Ok(())
}

impl Rows {
    /// Some to begin with; a replica may have received them and not have them in its data yet.
    async fn begin(client: &Client<'_>, account: &Account) -> Result<Self> {
        client.sql(account, "CREATE TABLE orders (id INT PRIMARY KEY)").await?;
        let mut rows = Self { executed: Vec::new() };
        for _ in 0..3 {
            rows.add(client, account).await?;
        }
        Ok(rows)
    }

    async fn add(&mut self, client: &Client<'_>, account: &Account) -> Result<()> {
        let id = self.executed.len();
        let statements =
            format!("INSERT INTO orders VALUES ({id}); SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')");
        self.executed.push(client.sql(account, &statements).await?);
        Ok(())
    }

    /// Adds rows until one fails; says how.
    async fn go_on(&mut self, client: &Client<'_>, account: &Account) -> anyhow::Error {
        loop {
            if let Err(error) = self.add(client, account).await {
                return error;
            }
        }
    }

    /// How many are in the backup, by what it says of itself.
    async fn within(
        &self,
        client: &Client<'_>,
        account: &Account,
        status: &MySQLBackupStatus,
    ) -> Result<usize> {
        let set = status.gtid_set.as_ref().context("the backup says which transactions it has")?;
        let sum = self
            .executed
            .iter()
            .fold("0".to_owned(), |sum, executed| format!("{sum} + GTID_SUBSET('{executed}', '{set}')"));
        let kept = client.sql(account, &format!("SELECT {sum}")).await?.parse()?;
        let all = self.executed.len();
        println!("{kept} of {all} rows are in the snapshot");
        ensure!((1..all).contains(&kept), "{kept} of {all} rows are in it, and writes went on meanwhile");
        Ok(kept)
    }
}

/// A new cluster has exactly what the backup says, and goes on from there.
async fn begun(
    namespace: &Namespace,
    client: &Client<'_>,
    status: &MySQLBackupStatus,
    kept: usize,
) -> Result<()> {
    let mut manifest = small("copy", 1);
    manifest["spec"]["storage"]["storageClassName"] = json!(SNAPSHOTS);
    manifest["spec"]["bootstrap"] = json!({"restore": {"backupRef": {"name": "monday"}}});
    let copy = Database::apply(namespace, &manifest).await?;
    copy.until_phase(Phase::Healthy).await?;
    let account = Account::app(namespace, "copy").await?;
    let rows = client.sql(&account, "SELECT COUNT(*), MAX(id) + 1 FROM orders").await?;
    ensure!(rows == format!("{kept}\t{kept}"), "{rows} instead of {kept} rows");
    let set = status.gtid_set.clone().unwrap_or_default();
    let is_in = client.sql(&account, &format!("SELECT GTID_SUBSET('{set}', @@GLOBAL.gtid_executed)")).await?;
    ensure!(is_in == "1", "transactions of {set} are missing");
    client.sql(&account, &format!("INSERT INTO orders VALUES ({kept})")).await.map(drop)
}

/// What would lose the data since then in a way that there is none for is said, and nothing is touched.
async fn refused_in_place(shop: &Database<'_>) -> Result<()> {
    let before = shop.status().await?;
    let wish = json!({"requestId": "back", "backupRef": {"name": "monday"}});
    shop.patch_spec(json!({ "restore": wish })).await?;
    until("the restore in place is refused", HEALTHY_WITHIN, async || {
        let status = shop.status().await?;
        let said = format!("{:?}", status.restore);
        let is_refused =
            said.contains("MySQLBackup monday is a VolumeSnapshot, which only a new cluster can begin with");
        if is_refused { Ok(Seen::Done(())) } else { Ok(Seen::Not(said)) }
    })
    .await?;
    let after = shop.status().await?;
    ensure!((after.term, after.primary) == (before.term, before.primary), "something was touched");
    Ok(())
}

/// Neither the snapshot nor what the cluster's administrator sees of it.
async fn nothing_is_left(namespace: &Namespace) -> Result<()> {
    let names = "jsonpath={.items[*].spec.volumeSnapshotRef.namespace}";
    let stage = namespace.stage();
    until("the snapshot's content is gone", HEALTHY_WITHIN, async || {
        let contents = stage.kubectl(&["get", "volumesnapshotcontents", "-o", names]).await?;
        let snapshots =
            stage.kubectl(&["get", "volumesnapshots", "-n", namespace.name(), "-o", "name"]).await?;
        if contents.contains(namespace.name()) || !snapshots.trim().is_empty() {
            Ok(Seen::Not(format!("{contents} {snapshots}")))
        } else {
            Ok(Seen::Done(()))
        }
    })
    .await
}
