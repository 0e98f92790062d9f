//! What may happen to a backup on its way (backup.md, "Faults to survive"), with real servers and a real store.

use crate::backup::{Job, facts, job, location, prepared, restore, restored, stored, transactions};
use crate::sql;
use crate::store::LONG;
use crate::world::World;
use nix::sys::signal::Signal;
use porpoise_core::gtid::GtidSet;
use std::process::Child;
use std::time::{Duration, Instant};

/// Waits for words in the log of a Job that runs.
pub async fn said(pod: &Job, words: &str) {
    let began = Instant::now();
    while !pod.log().contains(words) {
        assert!(began.elapsed() < LONG, "the Job never said {words:?}: {}", pod.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn kill(mut job: Child) {
    job.kill().unwrap();
    job.wait().unwrap();
}

/// It takes connections, as its kernel still lives, and sends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_frozen_donor_is_given_up_for_the_next_one() {
    let (world, store, mut pod) = prepared(2).await;
    world.members[1].signal_mysqld(Signal::SIGSTOP);
    pod.flags = vec!["--copy-patience=5".to_owned()];
    let summary = stored(pod.run(&world, &job(&world, &store, &[1, 2], None)).await);
    world.members[1].signal_mysqld(Signal::SIGCONT);
    assert_eq!(summary.donor, "shop-2");
    assert!(pod.log().contains("nothing arrived from the donor"), "{}", pod.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_donor_that_dies_in_the_middle_is_replaced_by_the_next_one() {
    let (world, store, pod) = prepared(2).await;
    // It is not done before it dies.
    world.members[1].signal_mysqld(Signal::SIGSTOP);
    let running = pod.start(&world, &job(&world, &store, &[1, 2], None));
    said(&pod, "the donor is asked").await;
    world.members[1].signal_mysqld(Signal::SIGKILL);
    assert_eq!(stored(pod.end(running).await).donor, "shop-2");
    // It comes back as a replica like before.
    world.running(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_failover_in_the_middle_harms_neither_the_backup_nor_the_cluster() {
    let (mut world, store, pod) = prepared(2).await;
    let known = transactions(&world).await;
    let running = pod.start(&world, &job(&world, &store, &[1, 2], None));
    said(&pod, "the donor is asked").await;
    world.members[0].crash();
    world.promote(1, 2, 0).await;
    let mut app = sql::app(&world, 1).await;
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (4, 2031)").await.unwrap();
    let summary = stored(pod.end(running).await);
    assert!(GtidSet::parse(&summary.gtid_set.unwrap()).unwrap().contains(&known));
    let other = World::new(1);
    other.running(0).await;
    other.ordered(0, 0, restore(&world, &store)).await;
    restored(&other, 0).await;
}

/// Whenever its Pod is killed, nothing that is half a backup is left, and the next Pod makes a whole one.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_job_killed_at_any_moment_is_done_again() {
    let (world, store, pod) = prepared(1).await;
    let wish = job(&world, &store, &[1], None);
    let manifest =
        || store.objects(&location(&world, &store).path).iter().any(|name| name.contains("manifest"));
    for words in ["copy begins", "the donor is asked", "the copy is in order"] {
        let running = pod.start(&world, &wish);
        said(&pod, words).await;
        kill(running);
        assert!(!manifest(), "a backup is listed though its Job was killed at {words:?}");
    }
    let summary = stored(pod.run(&world, &wish).await);
    assert!(summary.tables > 30 && manifest());
}

/// Two new clusters from one backup at the same time, while the first one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a30_two_restores_at_once_are_both_whole() {
    let (world, store, pod) = prepared(1).await;
    stored(pod.run(&world, &job(&world, &store, &[1], None)).await);
    let before = facts(&world, 0).await;
    let others = [World::new(1), World::new(1)];
    for other in &others {
        other.running(0).await;
        other.ordered(0, 0, restore(&world, &store)).await;
    }
    for other in &others {
        restored(other, 0).await;
        other.promote(0, 2, 0).await;
        assert_eq!(facts(other, 0).await, before);
    }
}
