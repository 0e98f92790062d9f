//! Scaling by the scale subresource, hibernating, pausing (A17, H13, B20).

use anyhow::{Result, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Seen, small, until};
use serde_json::json;

#[tokio::test]
async fn kubectl_scale_adds_and_removes_members_and_hibernation_keeps_the_data() -> Result<()> {
    crate::beside_others("scale", async |namespace| {
        let client = Client::start(namespace).await?;
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        shop.until_phase(Phase::Healthy).await?;
        let account = Account::app(namespace, "shop").await?;
        client
            .sql_until(
                &account,
                "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (7)",
                HEALTHY_WITHIN,
            )
            .await?;
        scale(&shop, 3).await?;
        let grown = shop.until_phase(Phase::Healthy).await?;
        ensure!(
            grown.quorum.as_ref().map(|claim| claim.k) == Some(1),
            "three members need one acknowledgement"
        );
        shop.patch_spec(json!({"hibernated": true})).await?;
        shop.until_phase(Phase::Hibernated).await?;
        until("all Pods are stopped", HEALTHY_WITHIN, async || {
            let replicas = shop.status().await?.replicas;
            if replicas == Some(0) { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{replicas:?}"))) }
        })
        .await?;
        shop.patch_spec(json!({"hibernated": false})).await?;
        shop.until_phase(Phase::Healthy).await?;
        scale(&shop, 1).await?;
        let shrunk = shop.until_phase(Phase::Healthy).await?;
        ensure!(
            shrunk.quorum.as_ref().map(|claim| (claim.members.len(), claim.k)) == Some((1, 0)),
            "one member is left"
        );
        let read = client.sql_until(&account, "SELECT a FROM t", HEALTHY_WITHIN).await?;
        ensure!(read == "7", "the row became {read:?}");
        Ok(())
    })
    .await
}

async fn scale(shop: &Database<'_>, instances: i32) -> Result<()> {
    let replicas = format!("--replicas={instances}");
    shop.namespace
        .stage()
        .kubectl(&["scale", "-n", shop.namespace.name(), "mysqlcluster/shop", &replicas])
        .await?;
    Ok(())
}
