//! One broken cluster delays no other (C17): its agents accept calls and never answer.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use porpoise_crds::Phase;
use porpoise_e2e::fault::{Container, Signal};
use porpoise_e2e::rig::Rig;
use porpoise_e2e::scenario::{Database, HEALTHY_WITHIN, Namespace, Seen, brief, small, until};
use serde_json::json;
use std::time::{Duration, Instant};

const BROKEN: [&str; 2] = ["bad-0", "bad-1"];
const CHANGES: usize = 10;
/// From a change of the object to the change of what it owns. Milliseconds are usual; a pass that waits for somebody
/// else's agents takes seconds each time.
const PROMPT: Duration = Duration::from_secs(3);
const LABEL: &str = "example.com/round";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c17_a_cluster_whose_agents_never_answer_delays_no_other() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Namespace::scenario("isolation", async |namespace| {
        let Some(rig) = namespace.stage().rig().cloned() else {
            eprintln!("SKIPPED: stopping processes needs the rig, and this is CLUSTER=current");
            return Ok(());
        };
        let good = Database::apply(namespace, &small("good", 1)).await?;
        let bad = Database::apply(namespace, &small("bad", 2)).await?;
        good.until_phase(Phase::Healthy).await?;
        bad.until_phase(Phase::Healthy).await?;
        let calm = slowest_change(&good, "calm").await?;
        signal(&rig, namespace, Signal::SIGSTOP)?;
        let beside = beside_a_broken_one(&good, &bad).await;
        signal(&rig, namespace, Signal::SIGCONT)?;
        let broken = beside?;
        println!("slowest of {CHANGES} changes: {calm:?} in calm, {broken:?} beside a broken cluster");
        ensure!(broken < PROMPT, "a change took {broken:?} beside a broken cluster, {calm:?} without");
        bad.until_phase(Phase::Healthy).await.map(drop)
    })
    .await
}

/// Changes are carried out, and a crash is healed, while the other cluster is of no use.
async fn beside_a_broken_one(good: &Database<'_>, bad: &Database<'_>) -> Result<Duration> {
    until("the operator misses the broken cluster's members", HEALTHY_WITHIN, async || {
        let status = bad.status().await?;
        let is_missed = status.phase != Some(Phase::Healthy);
        if is_missed { Ok(Seen::Done(())) } else { Ok(Seen::Not(brief(&status))) }
    })
    .await?;
    slowest_change(good, "broken").await
}

/// Agents that are stopped accept connections, since the kernel does, and say nothing.
fn signal(rig: &Rig, namespace: &Namespace, signal: Signal) -> Result<()> {
    for pod in BROKEN {
        let container = Container { namespace: namespace.name(), pod, container: "mysql" };
        rig.signal_in(&container, "porpoise-agent", signal)?;
    }
    Ok(())
}

/// The longest time from a new label on the cluster to the same label on its `StatefulSet`.
async fn slowest_change(good: &Database<'_>, prefix: &str) -> Result<Duration> {
    let sets: Api<StatefulSet> = Api::namespaced(good.namespace.client(), good.namespace.name());
    let mut slowest = Duration::ZERO;
    for round in 0..CHANGES {
        let value = format!("{prefix}-{round}");
        let patch = json!({"metadata": {"labels": {LABEL: value}}});
        good.api().patch(&good.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        let begin = Instant::now();
        until(&format!("the StatefulSet carries {value}"), HEALTHY_WITHIN, async || {
            let labels = sets.get(&good.name).await?.metadata.labels.unwrap_or_default();
            if labels.get(LABEL) == Some(&value) {
                Ok(Seen::Done(()))
            } else {
                Ok(Seen::Not(format!("{labels:?}")))
            }
        })
        .await?;
        slowest = slowest.max(begin.elapsed());
    }
    Ok(slowest)
}
