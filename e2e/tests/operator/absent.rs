//! MySQL without its operator (L1): it serves as long as nothing breaks, and loses nothing when something does.

use anyhow::{Context, Result, ensure};
use porpoise_crds::Phase;
use porpoise_e2e::campaign::Scene;
use porpoise_e2e::fault::{Container, Signal};
use porpoise_e2e::ledger::{Outcome, Pace, longest_gap};
use porpoise_e2e::scenario::{HEALTHY_WITHIN, Namespace, Seen, until};
use std::time::Duration;

const CLIENTS: u32 = 4;
const PACE: Pace = Pace::PerSecond(100);
/// Acknowledged while nobody operates: ten seconds' worth.
const ROWS: u64 = 1000;
/// No client waits longer than this for a cluster that nothing happened to.
const UNDISTURBED: Duration = Duration::from_secs(3);
/// What was on its way when the primary died has been answered by then, and its agent has seen the end.
const SILENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_mysql_serves_while_the_operator_is_stopped_and_is_taken_up_again() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Namespace::scenario("absent", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let stage = namespace.stage();
        stage.stop_operator().await?;
        let unattended = unattended(&mut scene).await;
        // Whatever happened: other scenarios need an operator.
        stage.start_operator().await?;
        unattended?;
        resumed(&mut scene).await?;
        scene.ledger.judge(&scene.database).await?.ensure_clean()
    })
    .await
}

/// First nothing happens, then the primary's mysqld is killed.
async fn unattended(scene: &mut Scene<'_>) -> Result<()> {
    let primary = scene.primary().await?;
    let network = scene.network_beside(&primary).await?;
    let begin = scene.ledger.clock().now();
    let shift = scene.ledger.shift(&network, CLIENTS, PACE);
    let served = shift.until_steady(ROWS, HEALTHY_WITHIN).await;
    let history = shift.end().await?;
    let gap = longest_gap(&history.entries, begin).context("rows were acknowledged")?;
    println!("without an operator: {} rows, longest gap {:?}", history.entries.len(), gap.length());
    scene.ledger.close(history);
    served?;
    ensure!(gap.length() < UNDISTURBED, "the longest gap without an operator was {:?}", gap.length());

    let shift = scene.ledger.shift(&network, CLIENTS, PACE);
    let killed = kill(scene, &primary, &shift).await;
    let history = shift.end().await?;
    let refused = history.entries.iter().filter(|entry| entry.outcome != Outcome::Acknowledged).count();
    println!("primary killed without an operator: {refused} writes refused or without an answer");
    scene.ledger.close(history);
    killed
}

/// Nobody else may become primary without an operator, so writes stop.
async fn kill(scene: &Scene<'_>, primary: &str, shift: &porpoise_e2e::ledger::Shift) -> Result<()> {
    shift.until_steady(60, HEALTHY_WITHIN).await?;
    let namespace = scene.database.namespace.name();
    let mysqld = Container { namespace, pod: primary, container: "mysql" };
    scene.rig.signal_in(&mysqld, "mysqld", Signal::SIGKILL)?;
    let clock = scene.ledger.clock();
    until("no client's write is acknowledged any more", HEALTHY_WITHIN, async || {
        let since = clock.now().saturating_sub(shift.pulse().newest());
        if since >= SILENCE { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("one was, {since:?} ago"))) }
    })
    .await
}

/// The operator goes on from the status that it finds.
async fn resumed(scene: &mut Scene<'_>) -> Result<()> {
    let begin = scene.ledger.clock().now();
    let network = scene.network_beside(&scene.primary().await?).await?;
    let shift = scene.ledger.shift(&network, CLIENTS, PACE);
    let resumed = shift.until_resumed(begin, HEALTHY_WITHIN).await;
    println!(
        "writes go on {:?} after the operator is ready",
        scene.ledger.clock().now().saturating_sub(begin)
    );
    let healthy = match resumed {
        Ok(()) => scene.database.until_phase(Phase::Healthy).await.map(drop),
        Err(error) => Err(error),
    };
    scene.ledger.close(shift.end().await?);
    healthy
}
