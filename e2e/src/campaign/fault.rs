//! What can be done to a cluster, and how it is taken back.

use super::scene::Scene;
use crate::fault::{Cut, Signal};
use crate::ledger::At;
use crate::rig::Rig;
use crate::rig::process::Process;
use crate::scenario::{HEALTHY_WITHIN, Seen, until};
use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::{DeleteParams, EvictParams};
use serde_json::json;

/// A fault. Each takes the primary, alone or with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// No fault: the user asks for another primary, by `spec.switchover`.
    Switchover,
    /// `kill -9` of mysqld.
    Kill,
    /// mysqld is stopped in its tracks, and goes on when another member has written: it must not acknowledge anything.
    Stop,
    /// The Pod is deleted by force.
    ForceDelete,
    /// The Pod is evicted, as `kubectl drain` does.
    Evict,
    /// The Pod is deleted in an orderly way.
    Delete,
    /// The node is cut off without a word, and comes back when writes go on.
    CutNode,
    /// The node loses its power, and comes back when writes go on.
    CrashNode,
    /// The primary's volume answers no write, until writes go on.
    StallDisk,
    /// The primary's volume is full to the last block, until writes go on.
    FillDisk,
    /// The operator's leader and mysqld of the primary are killed together, and the leader's Pod does not come back.
    OperatorAndPrimary,
    /// mysqld of every member is killed at once.
    KillAll,
}

/// A fault that was put on a cluster.
pub(super) struct Wound {
    /// The instant before anything was done.
    pub(super) at: At,
    /// When all of it was done: a write that begins later and is acknowledged goes to a cluster that got over it, unless
    /// Kubernetes carries the fault out later still.
    pub(super) done: At,
    /// The Pod that was deleted, with its UID.
    pub(super) deleted: Option<(String, String)>,
    remedy: Remedy,
}

/// How a fault is taken back.
enum Remedy {
    /// The cluster mends by itself.
    None,
    Continue(Process),
    Heal(String),
    Boot(String),
    Resume(String),
    Release(String),
}

impl Fault {
    /// Its name, on command lines and in results.
    pub fn word(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or_else(|| format!("{self:?}"), |value| value.get_name().to_owned())
    }

    /// What must be so before the fault.
    pub(super) async fn prepare(self, scene: &Scene<'_>, primary: &str) -> Result<()> {
        match self {
            Self::CutNode | Self::CrashNode | Self::StallDisk | Self::FillDisk => {
                scene.lead_away_from(&scene.node_of(primary).await?).await
            }
            Self::Switchover
            | Self::Kill
            | Self::Stop
            | Self::ForceDelete
            | Self::Evict
            | Self::Delete
            | Self::OperatorAndPrimary
            | Self::KillAll => Ok(()),
        }
    }

    /// Whether the primary is moved while it is well.
    pub(super) fn is_planned(self) -> bool {
        matches!(self, Self::Switchover | Self::Evict | Self::Delete)
    }

    /// Puts the fault on the cluster. What has to be found out is found out first: `at` is the instant of the fault itself.
    pub(super) async fn strike(self, scene: &Scene<'_>, primary: &str) -> Result<Wound> {
        match self {
            Self::Switchover => switch_over(scene).await,
            Self::Kill => signal(scene, &[primary], Signal::SIGKILL),
            Self::Stop => signal(scene, &[primary], Signal::SIGSTOP),
            Self::KillAll => kill_all(scene).await,
            Self::ForceDelete => delete(scene, primary, &DeleteParams::default().grace_period(0)).await,
            Self::Delete => delete(scene, primary, &DeleteParams::default()).await,
            Self::Evict => evict(scene, primary).await,
            Self::CutNode => {
                let cut = |rig: &Rig, node: &str| rig.cut_node(node, Cut::Both);
                on_node(scene, primary, cut, Remedy::Heal).await
            }
            Self::CrashNode => on_node(scene, primary, Rig::crash_node, Remedy::Boot).await,
            Self::StallDisk => on_node(scene, primary, Rig::stall_disk, Remedy::Resume).await,
            Self::FillDisk => {
                let wound = on_node(scene, primary, Rig::fill_disk, Remedy::Release).await?;
                until_stuck(scene, primary).await?;
                Ok(Wound { done: scene.ledger.clock().now(), ..wound })
            }
            Self::OperatorAndPrimary => {
                let (leader, operator) = scene.leading_process().await?;
                let mysqld = scene.mysqld(primary)?;
                let at = scene.ledger.clock().now();
                operator.signal(Signal::SIGKILL)?;
                mysqld.signal(Signal::SIGKILL)?;
                // Started again in place, it would take its own Lease back at once.
                scene.drop_operator(&leader).await?;
                Ok(Wound::new(scene, at, Remedy::None))
            }
        }
    }
}

impl Wound {
    fn new(scene: &Scene<'_>, at: At, remedy: Remedy) -> Self {
        Self { at, done: scene.ledger.clock().now(), deleted: None, remedy }
    }

    /// Takes the fault back, when clients can write again.
    pub(super) fn heal(&self, scene: &Scene<'_>) -> Result<()> {
        match &self.remedy {
            Remedy::None => Ok(()),
            // Killed by its agent in the meantime, it needs no remedy.
            Remedy::Continue(process) if !process.is_alive() => Ok(()),
            Remedy::Continue(process) => process.signal(Signal::SIGCONT),
            Remedy::Heal(node) => scene.rig.heal_node(node),
            Remedy::Boot(node) => scene.rig.boot_node(node),
            Remedy::Resume(node) => scene.rig.resume_disk(node),
            Remedy::Release(node) => scene.rig.release_disk(node),
        }
    }
}

/// Strikes the primary's node.
async fn on_node(
    scene: &Scene<'_>,
    primary: &str,
    strike: impl FnOnce(&Rig, &str) -> Result<()>,
    remedy: fn(String) -> Remedy,
) -> Result<Wound> {
    let node = scene.node_of(primary).await?;
    let at = scene.ledger.clock().now();
    strike(&scene.rig, &node)?;
    Ok(Wound::new(scene, at, remedy(node)))
}

/// What files have been given already does for a while.
async fn until_stuck(scene: &Scene<'_>, primary: &str) -> Result<()> {
    until("writes get stuck in the full volume", HEALTHY_WITHIN, async || {
        let status = scene.database.status().await?;
        let is_closed = status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Writable" && condition.status == "False");
        let has_moved = status.primary.as_deref() != Some(primary);
        if is_closed || has_moved {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not(crate::scenario::brief(&status)))
        }
    })
    .await
}

fn signal(scene: &Scene<'_>, members: &[&str], signal: Signal) -> Result<Wound> {
    let processes = members.iter().map(|member| scene.mysqld(member)).collect::<Result<Vec<_>>>()?;
    let at = scene.ledger.clock().now();
    for process in &processes {
        process.signal(signal)?;
    }
    let stopped = processes.first().filter(|_| signal == Signal::SIGSTOP);
    let remedy = stopped.map_or(Remedy::None, |process| Remedy::Continue(*process));
    Ok(Wound::new(scene, at, remedy))
}

async fn kill_all(scene: &Scene<'_>) -> Result<Wound> {
    let status = scene.database.status().await?;
    let members: Vec<&str> = status.instances.iter().map(|one| one.name.as_str()).collect();
    signal(scene, &members, Signal::SIGKILL)
}

async fn delete(scene: &Scene<'_>, primary: &str, how: &DeleteParams) -> Result<Wound> {
    let uid = uid(scene, primary).await?;
    let at = scene.ledger.clock().now();
    scene.pods().delete(primary, how).await?;
    Ok(Wound { deleted: Some((primary.to_owned(), uid)), ..Wound::new(scene, at, Remedy::None) })
}

async fn evict(scene: &Scene<'_>, primary: &str) -> Result<Wound> {
    let uid = uid(scene, primary).await?;
    let at = scene.ledger.clock().now();
    scene.pods().evict(primary, &EvictParams::default()).await.context("evict the primary")?;
    Ok(Wound { deleted: Some((primary.to_owned(), uid)), ..Wound::new(scene, at, Remedy::None) })
}

async fn switch_over(scene: &Scene<'_>) -> Result<Wound> {
    let request = format!("cycle-{}", scene.round);
    let at = scene.ledger.clock().now();
    scene.database.patch_spec(json!({"switchover": {"requestId": request}})).await?;
    Ok(Wound::new(scene, at, Remedy::None))
}

async fn uid(scene: &Scene<'_>, pod: &str) -> Result<String> {
    scene.pods().get(pod).await?.uid().context("a Pod has a UID")
}
