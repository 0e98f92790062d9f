//! The lag governor (ha.md §5, ADR 0014).

use crate::sql;
use crate::world::{LONG, World};
use porpoise_core::protocol::{Action, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Waits until the delay of commits on the first member is as wanted; microseconds.
async fn delay(world: &World, what: &str, holds: impl Fn(i64) -> bool) -> i64 {
    let mut inside = sql::inside(&world.members[0]).await;
    let start = Instant::now();
    loop {
        let delay = sql::number(&mut inside, "SELECT @@GLOBAL.binlog_group_commit_sync_delay").await;
        if holds(delay) {
            return delay;
        }
        assert!(start.elapsed() < LONG, "{what}: {delay} us; log:\n{}", world.members[0].log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Clients of a primary whose replica applies slowly, and the primary that was slowed by it.
async fn slowed(world: &World, over: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut app = sql::app(world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY AUTO_INCREMENT, what INT)").await.unwrap();
    // Each commit of its applier takes longer than one of the primary's.
    let mut replica = sql::inside(&world.members[1]).await;
    sql::run(&mut replica, "SET GLOBAL binlog_group_commit_sync_delay = 200000").await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let mut client = sql::app(world, 0).await;
        let over = Arc::clone(over);
        clients.spawn(async move {
            let insert = "INSERT INTO sh_op.t (what) VALUES (1)";
            while !over.load(Ordering::SeqCst) && sql::run(&mut client, insert).await.is_ok() {}
        });
    }
    let longest = delay(world, "slowed", |delay| delay >= 50_000).await;
    assert!(longest <= 100_000, "{longest}");
    clients
}

/// It is as fast as before when its replica has caught up.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_falls_behind_slows_its_primary() {
    let world = World::cluster(2, 1).await;
    let over = Arc::default();
    let clients = slowed(&world, &over).await;
    over.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let mut replica = sql::inside(&world.members[1]).await;
    sql::run(&mut replica, "SET GLOBAL binlog_group_commit_sync_delay = 0").await.unwrap();
    delay(&world, "as fast as before", |delay| delay == 0).await;
    world.level(1, 0).await;
}

/// What delayed a primary must not delay the applier that it becomes.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_deposed_delays_nothing_more() {
    let world = World::cluster(2, 1).await;
    let clients = slowed(&world, &Arc::default()).await;
    world.ordered(0, 2, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    clients.join_all().await;
    delay(&world, "no primary any more", |delay| delay == 0).await;
}
