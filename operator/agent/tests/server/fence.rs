//! A primary that cannot show that its writes are acknowledged, and who notices (ha.md §2, §3; ADR 0011).

use crate::sql;
use crate::world::{LONG, World};
use nix::sys::signal::Signal;
use porpoise_core::protocol::{MemberState, Role};
use std::time::{Duration, Instant};

fn admits(state: &MemberState) -> bool {
    matches!(state.role, Role::Primary { admitting: true, .. })
}

fn hears(state: &MemberState) -> bool {
    matches!(state.role, Role::Replica { hearing: true, .. })
}

/// Stale reads last at most as long as T = 3 s; when acknowledgements arrive again the same reign goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_acknowledgements_turns_its_clients_away_until_they_return() {
    let mut world = World::cluster(2, 1).await;
    let mut reader = sql::app(&world, 0).await;
    world.members[1].crash();
    let start = Instant::now();
    let fenced = world.until(0, "clients turned away", |state| !admits(state)).await;
    println!("turned away after {:?}", start.elapsed());
    assert!(matches!(fenced.role, Role::Primary { term: 1, proven_k: None, .. }), "{:?}", fenced.role);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    // The state tells of it before the last session has ended.
    while sql::run(&mut reader, "SELECT 1").await.is_ok() {
        assert!(start.elapsed() < LONG, "a session goes on behind the fence");
    }
    world.start(1);
    world.running(1).await;
    world.follow(1, 1, 0, true).await;
    world.until(0, "clients let in", admits).await;
}

/// Letting clients in again was under way when the fence fell, held up by something else than acknowledgements.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_again_before_a_new_proof() {
    let world = World::cluster(2, 1).await;
    let mut holder = sql::inside(&world.members[0]).await;
    sql::run(&mut holder, "BEGIN").await.unwrap();
    let lock = "SELECT COUNT(*) FROM porpoise.accounts_state WHERE id = 1 FOR UPDATE";
    assert_eq!(sql::number(&mut holder, lock).await, 1);
    std::fs::write(world.members[0].path("app/password"), "Another'pass-4Zd").unwrap();
    while sql::number(&mut holder, "SELECT COUNT(*) FROM performance_schema.data_lock_waits").await == 0 {}
    world.members[1].signal_agent(Signal::SIGSTOP);
    world.members[1].signal_mysqld(Signal::SIGSTOP);
    let mut state = world.until(0, "clients turned away", |state| !admits(state)).await;
    world.members[1].signal_mysqld(Signal::SIGCONT);
    world.members[1].signal_agent(Signal::SIGCONT);
    sql::run(&mut holder, "ROLLBACK").await.unwrap();
    while !admits(&state) {
        state = world.news(0, &state).await.unwrap();
    }
    assert_eq!(state.role, Role::Primary { term: 1, proven_k: Some(1), admitting: true });
}

/// H6: a stopped server answers nobody, and its replicas hear it no more while their connections still stand.
#[tokio::test(flavor = "multi_thread")]
async fn h6_a_stopped_server_is_not_heard_and_is_killed() {
    let world = World::cluster(3, 1).await;
    world.until(1, "hearing", hears).await;
    world.members[0].signal_mysqld(Signal::SIGSTOP);
    let start = Instant::now();
    world.until(1, "silence", |state| !hears(state)).await;
    println!("not heard after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    world
        .until(0, "an idle member in a new run", |state| state.role == Role::Idle && state.data.is_some())
        .await;
    println!("killed and back after {:?}", start.elapsed());
}

/// News come when they happen, not when the operator asks next.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_at_once() {
    let world = World::cluster(2, 1).await;
    let state = world.state(0).await;
    let news = world.news(0, &state);
    world.members[0].signal_mysqld(Signal::SIGKILL);
    let start = Instant::now();
    let told = news.await.unwrap();
    println!("told after {:?}", start.elapsed());
    assert_eq!(told.role, Role::Idle);
    assert!(told.change > state.change);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
