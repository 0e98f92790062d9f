//! Volumes, copied while their member ran, as storage drivers do it: examined, and taken over by a new cluster (A10, A30).
//!
//! The copy is made while agent and mysqld are stopped in the middle of what they do: so it has all files at one moment.

use crate::backup::{Job, facts, fill, stored};
use crate::passwords::{NEXT_APP, accepts_all, renew};
use crate::sql;
use crate::world::World;
use nix::sys::signal::Signal;
use porpoise_core::backup::{BackupJob, JobReport};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::{Action, MemberState, OrderAnswer, ServerPhase};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::task::JoinHandle;

const OTHER: &str = "22222222-3333-4444-5555-666666666666";

/// Copies the member's volume to where there is nothing yet.
fn snapshot(world: &World, index: usize, to: &Path) {
    let member = &world.members[index];
    member.signal_agent(Signal::SIGSTOP);
    member.signal_mysqld(Signal::SIGSTOP);
    let copied = Command::new("cp").arg("-a").arg(member.path("volume")).arg(to).status().unwrap();
    member.signal_mysqld(Signal::SIGCONT);
    member.signal_agent(Signal::SIGCONT);
    assert!(copied.success());
}

fn examine(world: &World, cluster: &str) -> BackupJob {
    BackupJob::Examine {
        snapshot: "shop-monday".to_owned(),
        bytes: 7,
        cluster: cluster.to_owned(),
        donor: world.members[0].name.clone(),
    }
}

/// A Job whose volume was made from a snapshot of this member.
fn pod(world: &World, index: usize) -> Job {
    let pod = Job::new(world, 0);
    fs::remove_dir(pod.path("volume")).unwrap();
    snapshot(world, index, &pod.path("volume"));
    pod
}

/// Counts as fast as it can; what it shows was acknowledged.
async fn count(world: &World) -> (Arc<AtomicI64>, JoinHandle<()>) {
    let mut connection = sql::app(world, 0).await;
    sql::run(&mut connection, "CREATE TABLE sh_op.counted (id BIGINT PRIMARY KEY)").await.unwrap();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let shown = acknowledged.clone();
    let counting = tokio::spawn(async move {
        for number in 1.. {
            let row = format!("INSERT INTO sh_op.counted VALUES ({number})");
            if sql::run(&mut connection, &row).await.is_err() {
                break;
            }
            acknowledged.store(number, Ordering::SeqCst);
        }
    });
    while shown.load(Ordering::SeqCst) < 50 {
        tokio::task::yield_now().await;
    }
    (shown, counting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_snapshot_under_load_is_recovered_and_every_table_is_checked() {
    let world = World::cluster(2, 1).await;
    fill(&world).await;
    world.level(1, 0).await;
    let (_, counting) = count(&world).await;
    for index in [1, 0] {
        let pod = pod(&world, index);
        let summary = stored(pod.run(&world, &examine(&world, &world.cluster)).await);
        assert!(summary.verified && summary.tables >= 3, "{summary:?}");
        assert!(!GtidSet::parse(&summary.gtid_set.unwrap()).unwrap().is_empty());
    }
    let report = pod(&world, 1).run(&world, &examine(&world, OTHER)).await;
    let JobReport::Failed { reason, for_good: true } = report else { panic!("{report:?}") };
    assert!(reason.contains(&format!("find the data of cluster {OTHER}")), "{reason}");
    let pod = pod(&world, 1);
    fs::write(pod.path("volume/porpoise/intent.json"), r#"{"request": "a", "donor": "b", "term": 1}"#)
        .unwrap();
    let report = pod.run(&world, &examine(&world, &world.cluster)).await;
    assert!(matches!(report, JobReport::Failed { for_good: true, .. }), "{report:?}");
    counting.abort();
}

fn cloning(world: &World, donor: usize) -> Action {
    let member = &world.members[donor];
    Action::Clone { donor: member.name.clone(), host: member.address.to_string(), request: "first".into() }
}

/// Of the primary, whose binlog decides what of the last transactions is there.
#[tokio::test(flavor = "multi_thread")]
async fn a30_a_new_cluster_takes_over_a_snapshot_of_another_one_that_goes_on() {
    let world = World::cluster(2, 1).await;
    fill(&world).await;
    let known = facts(&world, 0).await;
    let (shown, counting) = count(&world).await;
    let mut other = World::new(0);
    OTHER.clone_into(&mut other.cluster);
    let root = other.directory.path().join("shop-0");
    fs::create_dir(&root).unwrap();
    let promised = shown.load(Ordering::SeqCst);
    snapshot(&world, 0, &root.join("volume"));
    other.add_member(0);
    let is_foreign = |state: &MemberState| matches!(state.server, ServerPhase::ForeignVolume { .. });
    let term = other.until(0, "seeing whose volume it is", is_foreign).await.promised;
    // The passwords are the new cluster's.
    renew(&other, 0);
    let take =
        |former: &str| Action::TakeOver { former: former.to_owned(), request: "restore-u2".to_owned() };
    let answer = other.order(0, term, take(OTHER)).await;
    assert!(matches!(answer, OrderAnswer::Refused { .. }), "{answer:?}");
    other.ordered(0, term, take(&world.cluster)).await;
    let ours = |state: &MemberState| state.replaced_by == "restore-u2" && state.data.is_some();
    let state = other.until(0, "having taken over", ours).await;
    let first = world.state(0).await;
    assert_ne!(state.server_uuid, first.server_uuid, "it gives no number away that the original gives");
    assert_ne!(state.volume, first.volume);
    assert_eq!((state.claim, state.promised), (None, 0), "what the original promised is its own");
    assert!(
        !other.members[0].log().contains("the volume was not taken over"),
        "what is done is not tried again"
    );
    // Once more, as an agent that starts again sees it.
    other.members[0].crash();
    other.start(0);
    let state = other.until(0, "being the same again", ours).await;
    let data = state.data.unwrap();
    // The original still has all that it ever wrote, and nobody replays that: it has the former passwords, and not the new ones.
    assert_eq!(data.purged, data.executed);
    let term = data.history + 1;
    other.promote(0, term, 0).await;
    other.add_member(1);
    other.running(1).await;
    renew(&other, 1);
    let executed = |state: &MemberState| state.data.as_ref().is_some_and(|data| !data.executed.is_empty());
    other.ordered(1, term, cloning(&other, 0)).await;
    other.until(1, "having copied the data", executed).await;
    other.follow(1, term, 0, false).await;
    // Nobody gets in with one of the snapshot's time, not even beside the new one.
    for index in [0, 1] {
        accepts_all(&other, index, false, true).await;
    }
    let mut app = sql::connect(&other, 0, "app", NEXT_APP).await.unwrap();
    let last = sql::number(&mut app, "SELECT MAX(id) FROM sh_op.counted").await;
    assert!(last >= promised, "{promised} was acknowledged before the snapshot, and it has {last}");
    assert_eq!(sql::number(&mut app, "SELECT COUNT(*) FROM sh_op.counted").await, last, "without a gap");
    sql::run(&mut app, "INSERT INTO sh_op.counted VALUES (-1)").await.unwrap();
    assert_eq!(facts(&other, 0).await, known);
    // The original goes on and knows nothing of it.
    let before = shown.load(Ordering::SeqCst);
    while shown.load(Ordering::SeqCst) <= before {
        tokio::task::yield_now().await;
    }
    counting.abort();
}
