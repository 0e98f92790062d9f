//! From `apply` of a three-instance cluster to the first accepted write through its Service.

use super::floor;
use super::results::{Case, Floor, Samples, milliseconds};
use crate::scenario::{
    Account, Database, HEALTHY_WITHIN, Namespace, Seen, Stage, first_write, in_network, joined,
    service_address, small, until,
};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measures `count` clusters and as many floors, in turn.
pub async fn time_to_writable(count: usize) -> Result<Case> {
    let stage = Stage::shared().await?;
    let rig = stage.rig().context("time-to-writable needs the rig: its client sits in a node's network")?;
    let network = PathBuf::from("/run/netns").join(&rig.node(1).namespace);
    let (mut samples, mut floors) = (Samples::default(), Samples::default());
    for round in 0..count {
        floors.0.push(milliseconds(tokio::task::spawn_blocking(|| floor::initialise_and_boot(3)).await??));
        let namespace = Namespace::create(&stage, "writable").await?;
        let taken = one(&namespace, network.clone()).await?;
        samples.0.push(milliseconds(taken));
        println!("round {}: {} ms, floor {} ms", round + 1, samples.0[round], floors.0[round]);
        namespace.delete().await?;
    }
    let floor =
        Floor { what: "three bare mysqld: initialise, then boot, side by side".to_owned(), samples: floors };
    Ok(Case { name: "time-to-writable", samples, floor: Some(floor), ..Case::default() })
}

async fn one(namespace: &Namespace, network: PathBuf) -> Result<Duration> {
    let begin = Instant::now();
    let shop = Database::apply(namespace, &small("shop", 3)).await?;
    let account = until("the Service and the application's Secret exist", HEALTHY_WITHIN, async || {
        let account = Account::app(namespace, "shop").await?;
        Ok(Seen::Done(account.at(&service_address(namespace, "shop").await?)))
    })
    .await?;
    let client = in_network(&network, move || first_write(account, HEALTHY_WITHIN));
    let at = joined(client).await?;
    shop.delete().await?;
    Ok(at.duration_since(begin))
}
