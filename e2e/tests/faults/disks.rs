//! Volumes that hang or are full: a server that still answers must not stay the primary.

use anyhow::Result;
use porpoise_e2e::campaign::{Mix, Scene};
use porpoise_e2e::scenario::Namespace;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d11_a_primary_whose_volume_hangs_or_is_full_is_replaced() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    let mix: Mix = "stall-disk,fill-disk".parse()?;
    Namespace::scenario("disks", async |namespace| {
        let Some(mut scene) = Scene::with_limited_volumes(namespace).await? else { return Ok(()) };
        let (_, verdict) = scene.campaign(&mix.cycles(mix.round())).await?;
        verdict.ensure_clean()
    })
    .await
}
