//! Somebody drops a table, and the cluster goes back to the moment before, in place (A30).

use crate::backups::{backup_of, succeeded};
use crate::life::everyone_has;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use porpoise_crds::{Phase, RestorePhase};
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, until};
use serde_json::json;

/// Drops the table `orders`, which has `rows`, and takes that back. `monday` is a backup from before the last row, and all that
/// was written since is archived. Then a row 4 is written, and `tuesday` is a backup of the new line.
pub async fn accident_taken_back(
    namespace: &Namespace,
    shop: &Database<'_>,
    client: &Client<'_>,
    rows: &str,
) -> Result<()> {
    let account = Account::app(namespace, "shop").await?;
    let before = shop.status().await?;
    let last = last_transaction(client, &account).await?;
    client.sql(&account, "DROP TABLE orders").await?;
    let wish = json!({
        "requestId": "drop-table", "backupRef": {"name": "monday"}, "pointInTime": {"gtid": last},
    });
    shop.patch_spec(json!({ "restore": wish })).await?;
    until("the restore in place is done", HEALTHY_WITHIN, async || {
        let status = shop.status().await?;
        match status.restore.as_ref().map(|restore| restore.phase) {
            Some(RestorePhase::Done) => Ok(Seen::Done(())),
            _ => Ok(Seen::Not(format!("{:?} {:?}", status.phase, status.restore))),
        }
    })
    .await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    ensure!(after.term > before.term, "the term went from {:?} to {:?}", before.term, after.term);
    everyone_has(client, namespace, rows).await?;
    client.sql(&account, "INSERT INTO orders VALUES (4)").await?;
    everyone_has(client, namespace, &format!("{rows},4")).await?;
    new_volumes_beside_the_old(namespace).await?;
    namespace.apply(&backup_of("shop", "tuesday")).await?;
    let stored = succeeded(namespace, "tuesday").await?;
    let path = stored.location.context("the backup has a place")?.path;
    ensure!(path.ends_with(".2/tuesday"), "the backup of the new line is in {path}");
    Ok(())
}

/// The newest transaction of the primary, `UUID:NUMBER`.
async fn last_transaction(client: &Client<'_>, account: &Account) -> Result<String> {
    let uuid = client.sql(account, "SELECT @@server_uuid").await?;
    let executed = client.sql(account, "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')").await?;
    let own = executed.split(',').find(|part| part.starts_with(&uuid));
    let number = own.and_then(|own| own.rsplit([':', '-']).next());
    let number = number.with_context(|| format!("{uuid} wrote none of {executed}"))?;
    Ok(format!("{uuid}:{number}"))
}

async fn new_volumes_beside_the_old(namespace: &Namespace) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    let found: Vec<String> =
        claims.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    for ordinal in 0..3 {
        let (old, new) = (format!("data-shop-{ordinal}"), format!("data-2-shop-{ordinal}"));
        ensure!(found.contains(&old) && found.contains(&new), "{old} or {new} is not among {found:?}");
        let pod = pods.get(&format!("shop-{ordinal}")).await?;
        let volumes = pod.spec.and_then(|spec| spec.volumes).unwrap_or_default();
        let mut mounted = volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        ensure!(mounted.all(|claim| claim.claim_name == new), "shop-{ordinal} mounts {volumes:?}");
    }
    Ok(())
}
