//! Fault cycles: after each of them the cluster is Healthy, and in the end no acknowledged row is lost.

use anyhow::Result;
use porpoise_e2e::campaign::{Mix, Scene};
use porpoise_e2e::scenario::Namespace;

/// What CI runs. `FAULTS` names another mix, `CYCLES` another number.
const MIX: &str = "kill*7,switchover*2,stop,force-delete*2,evict*2,cut-node,crash-node,operator-and-primary,kill-all,\
                   kill+saturated,kill+xa-prepared,switchover+open-transaction";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_in_twenty_fault_cycles() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    let mix: Mix = std::env::var("FAULTS").unwrap_or_else(|_| MIX.to_owned()).parse()?;
    let count = std::env::var("CYCLES").map_or(Ok(mix.round()), |count| count.parse())?;
    Namespace::scenario("faults", async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { return Ok(()) };
        let (_, verdict) = scene.campaign(&mix.cycles(count)).await?;
        verdict.ensure_clean()
    })
    .await
}
