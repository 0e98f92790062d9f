//! Nodes under maintenance, as the runbook has it: cordon, drain, uncordon (C1, C3, C4). Clients write all the while, and
//! the ledger judges.

use anyhow::{Context, Result, ensure};
use porpoise_crds::{MySQLClusterStatus, Phase};
use porpoise_e2e::campaign::Scene;
use porpoise_e2e::ledger::{Pace, Shift};
use porpoise_e2e::scenario::{HEALTHY_WITHIN, Namespace, Seen, until};
use std::time::{Duration, Instant};

const WRITERS: u32 = 4;
const PACE: Pace = Pace::PerSecond(100);
/// Writes after which clients are at their pace, or have gone on.
const SOME: u64 = 200;
/// A cordon moves the primary within seconds; a machine that is busy gets some more.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_the_primary_leaves_a_cordoned_node_at_once_and_stays_away() -> Result<()> {
    crate::alone("cordon", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let (before, shift) = clients_write(&mut scene).await?;
        let node = scene.node_of(&primary_of(&before)?).await?;
        let moved = while_cordoned(namespace, &node, async || {
            namespace.stage().kubectl(&["cordon", &node]).await?;
            primary_has_moved(&scene, &before, Some(&node)).await
        })
        .await?;
        go_on(&shift).await?;
        let after = scene.database.until_phase(Phase::Healthy).await?;
        ensure!(
            (&after.primary, after.term) == (&moved.primary, moved.term),
            "uncordoning moved the primary: {:?}",
            after.last_switchover
        );
        judged(&mut scene, shift).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_c4_a_drain_of_the_primarys_node_loses_no_write_and_ends() -> Result<()> {
    crate::alone("drain", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let (before, shift) = clients_write(&mut scene).await?;
        let node = scene.node_of(&primary_of(&before)?).await?;
        while_cordoned(namespace, &node, async || {
            // Only our Pods: other scenarios may have some there.
            let ours = format!("--pod-selector=app.kubernetes.io/instance={}", scene.database.name);
            let drain =
                ["drain", &node, "--delete-emptydir-data", "--ignore-daemonsets", &ours, "--timeout=120s"];
            namespace.stage().kubectl(&drain).await?;
            primary_has_moved(&scene, &before, None).await?;
            go_on(&shift).await
        })
        .await?;
        let after = scene.database.until_phase(Phase::Healthy).await?;
        ensure!(
            after.last_failover == before.last_failover,
            "the primary was lost: {:?}",
            after.last_failover
        );
        judged(&mut scene, shift).await
    })
    .await
}

/// Starts clients on a node that stays; answers the status at that time.
pub async fn clients_write(scene: &mut Scene<'_>) -> Result<(MySQLClusterStatus, Shift)> {
    let network = scene.network_beside(&scene.primary().await?).await?;
    let shift = scene.ledger.shift(&network, WRITERS, PACE);
    shift.until_steady(SOME, HEALTHY_WITHIN).await?;
    Ok((scene.database.status().await?, shift))
}

pub(crate) fn primary_of(status: &MySQLClusterStatus) -> Result<String> {
    status.primary.clone().context("a Healthy cluster has a primary")
}

/// Lets the node take Pods again, however `body` ends: later scenarios need whole nodes.
async fn while_cordoned<T>(
    namespace: &Namespace,
    node: &str,
    body: impl AsyncFnOnce() -> Result<T>,
) -> Result<T> {
    let ended = body().await;
    let uncordoned = namespace.stage().kubectl(&["uncordon", node]).await;
    let value = ended?;
    uncordoned?;
    Ok(value)
}

/// Waits until another member is the open primary by a planned move, because of the node if one is given.
async fn primary_has_moved(
    scene: &Scene<'_>,
    before: &MySQLClusterStatus,
    node: Option<&str>,
) -> Result<MySQLClusterStatus> {
    let begin = Instant::now();
    let from = primary_of(before)?;
    let after = until(&format!("the primary has left {from}"), SOON, async || {
        let status = scene.database.status().await?;
        let moved = status.primary != before.primary && status.operation.is_none();
        if moved { Ok(Seen::Done(status)) } else { Ok(Seen::Not(format!("{:?}", status.operation))) }
    })
    .await?;
    println!("the primary left {from} within {:?}", begin.elapsed());
    let moved = after.last_switchover.as_ref().context("a planned move is a switchover")?;
    ensure!(moved.from.as_ref() == Some(&from) && moved.to != from, "{moved:?}");
    ensure!(after.last_failover == before.last_failover, "the primary was lost: {:?}", after.last_failover);
    if let Some(node) = node {
        let why = format!("the node {node} of {from} is cordoned");
        ensure!(moved.reason.starts_with(&why), "{}", moved.reason);
    }
    Ok(after)
}

/// Waits until the clients have written on for a while.
pub async fn go_on(shift: &Shift) -> Result<()> {
    shift.until_steady(shift.pulse().count() + SOME, HEALTHY_WITHIN).await
}

pub(crate) async fn judged(scene: &mut Scene<'_>, shift: Shift) -> Result<()> {
    let history = shift.end().await?;
    scene.ledger.close(history);
    let verdict = scene.ledger.judge(&scene.database).await?;
    println!("{verdict}");
    verdict.ensure_clean()
}
