//! An undisturbed operator writes nothing but its Lease (A14, D22, ha.md I10), by the API server's own audit.

use anyhow::{Result, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Database, Namespace, small};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough for several of the operator's calm looks at each cluster.
const WATCHED: Duration = Duration::from_secs(90);
const OPERATOR: &str = "system:serviceaccount:porpoise-system:porpoise";

#[tokio::test]
async fn an_idle_operator_writes_only_its_lease() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Namespace::scenario("idle", async |namespace| {
        let Some(audit) = namespace.stage().audit_log() else {
            println!("skipped: this cluster's audit log cannot be read; use the rig");
            return Ok(());
        };
        let mut databases = Vec::new();
        for name in ["one", "two", "three"] {
            databases.push(Database::apply(namespace, &small(name, 1)).await?);
        }
        for database in &databases {
            database.until_phase(Phase::Healthy).await?;
        }
        // Let what follows from becoming Healthy happen first: it is the last change of the status.
        audit.until_quiet(OPERATOR, namespace.name(), Duration::from_secs(10)).await?;
        // An unchanged manifest applied again is no change either (D22).
        Database::apply(namespace, &small("one", 1)).await?;
        let begin = audit.position()?;
        tokio::time::sleep(WATCHED).await;
        let writes: BTreeMap<String, u64> = audit.writes_since(begin, OPERATOR, namespace.name())?;
        println!("writes of the operator in {WATCHED:?} with three clusters: {writes:?}");
        let leases = writes.get("leases").copied().unwrap_or_default();
        let others: u64 =
            writes.iter().filter(|(resource, _)| *resource != "leases").map(|(_, count)| count).sum();
        ensure!(leases > 0, "the audit log shows no Lease write: it does not see the operator");
        ensure!(others == 0, "an idle operator wrote {writes:?}");
        Ok(())
    })
    .await
}
