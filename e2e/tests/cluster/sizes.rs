//! One to five instances, and clusters side by side (A14, E4, E5).

use anyhow::{Result, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, small};

#[tokio::test]
async fn one_two_four_and_five_instances_become_healthy() -> Result<()> {
    for (instances, k) in [(1, 0), (2, 1), (4, 2), (5, 2)] {
        crate::beside_others("sizes", async |namespace| {
            let client = Client::start(namespace).await?;
            let shop = Database::apply(namespace, &small("shop", instances)).await?;
            let status = shop.until_phase(Phase::Healthy).await?;
            let claim = status.quorum.unwrap_or_default();
            ensure!(claim.k == k, "{instances} instances have k = {}", claim.k);
            let account = Account::app(namespace, "shop").await?;
            client
                .sql_until(
                    &account,
                    "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1)",
                    HEALTHY_WITHIN,
                )
                .await?;
            shop.delete().await
        })
        .await?;
    }
    Ok(())
}

/// Two namespaces hold a cluster of the same name; one of them holds another beside it. Nobody mixes anything up.
#[tokio::test]
async fn three_clusters_in_two_namespaces_do_not_meet() -> Result<()> {
    crate::beside_others("east", async |east| {
        Namespace::scenario("west", async |west| {
            let (east_client, west_client) = (Client::start(east).await?, Client::start(west).await?);
            let first = Database::apply(east, &small("shop", 1)).await?;
            let second = Database::apply(east, &small("bank", 1)).await?;
            let third = Database::apply(west, &small("shop", 1)).await?;
            for database in [&first, &second, &third] {
                database.until_phase(Phase::Healthy).await?;
            }
            for (client, namespace, name, mark) in [
                (&east_client, east, "shop", "east shop"),
                (&east_client, east, "bank", "east bank"),
                (&west_client, west, "shop", "west shop"),
            ] {
                let account = Account::app(namespace, name).await?;
                let write = format!(
                    "CREATE TABLE mark (m VARCHAR(20) PRIMARY KEY); INSERT INTO mark VALUES ('{mark}')"
                );
                client.sql_until(&account, &write, HEALTHY_WITHIN).await?;
                let read = client.sql(&account, "SELECT m FROM mark").await?;
                ensure!(read == mark, "{name} in {} says {read:?}", namespace.name());
            }
            let stranger =
                Account { host: format!("shop.{}.svc", west.name()), ..Account::app(east, "shop").await? };
            ensure!(
                east_client.sql(&stranger, "SELECT 1").await.is_err(),
                "an account of one cluster opened another"
            );
            Ok(())
        })
        .await
    })
    .await
}
