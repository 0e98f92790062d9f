//! Several agents.

use crate::sql;
use crate::world::{APP_PASSWORD, LONG, PASSWORDS, World};
use nix::sys::signal::Signal;
use porpoise_core::protocol::{Action, OrderAnswer, Role, ServerPhase};
use std::time::Instant;

async fn insert(world: &World, index: usize, id: i32) {
    let mut app = sql::app(world, index).await;
    sql::run(&mut app, "CREATE TABLE IF NOT EXISTS sh_op.t (id INT PRIMARY KEY)").await.unwrap();
    sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id})")).await.unwrap();
}

/// Waits until the row is there.
async fn sees(world: &World, index: usize, id: i32) {
    let start = Instant::now();
    let mut inside = sql::inside(&world.members[index]).await;
    loop {
        let found = sqlx::Executor::fetch_optional(
            &mut inside,
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT id FROM sh_op.t WHERE id = {id}"))),
        );
        if matches!(found.await, Ok(Some(_))) {
            return;
        }
        assert!(start.elapsed() < LONG, "row {id} never came to {index}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicate_and_fail_over() {
    let mut world = World::cluster(3, 1).await;
    insert(&world, 0, 1).await;
    for index in 1..3 {
        sees(&world, index, 1).await;
        world.ready(index).await;
    }
    // Reads on a replica, no writes.
    let mut reader = sql::app(&world, 1).await;
    assert_eq!(sql::number(&mut reader, "SELECT COUNT(*) FROM sh_op.t").await, 1);
    let denied = sql::run(&mut reader, "INSERT INTO sh_op.t VALUES (9)").await;
    assert_eq!(sql::code(&denied.unwrap_err()), Some(1290));

    // The primary's machine goes; the others are sealed, one of them is promoted.
    world.members[0].crash();
    let start = Instant::now();
    for index in 1..3 {
        world.ordered(index, 2, Action::Seal).await;
    }
    for index in 1..3 {
        let sealed = world.until(index, "sealed and settled", |state| {
            state.role == Role::Sealed { term: 2 } && state.data.as_ref().is_some_and(|data| data.settled)
        });
        assert_eq!(sealed.await.data.unwrap().history, 1);
    }
    println!("sealed: {:?}", start.elapsed());
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.follow(2, 2, 1, true).await;
    world
        .until(1, "the admitting primary", |state| {
            state.role == Role::Primary { term: 2, proven_k: Some(1), admitting: true }
        })
        .await;
    println!("failed over: {:?}", start.elapsed());
    insert(&world, 1, 2).await;
    sees(&world, 2, 2).await;

    // The old primary comes back as a replica.
    world.start(0);
    world.running(0).await;
    world.follow(0, 2, 1, true).await;
    sees(&world, 0, 2).await;
    for (_, password) in PASSWORDS {
        assert!(world.members.iter().all(|member| !member.log().contains(password)));
    }
    let escaped = APP_PASSWORD.replace('\\', "\\\\");
    for secret in [APP_PASSWORD, escaped.as_str(), "pass-9Ez", "word-7Qx", "word-3Yc", "-8Wy", "-2Tb"] {
        assert!(world.members.iter().all(|member| !member.log().contains(secret)), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h13_h15_a_switchover_loses_nothing_and_ends_sessions() {
    let world = World::cluster(2, 1).await;
    insert(&world, 0, 1).await;
    let mut client = sql::app(&world, 0).await;
    let start = Instant::now();
    world.ordered(0, 2, Action::Seal).await;
    let old = world
        .until(0, "sealed", |state| {
            state.role == Role::Sealed { term: 2 } && state.data.as_ref().is_some_and(|data| data.settled)
        })
        .await;
    assert!(sql::run(&mut client, "INSERT INTO sh_op.t VALUES (5)").await.is_err(), "sealed");
    // Connections that outlive the move would go on reading what is old.
    assert!(sql::run(&mut client, "SELECT 1").await.is_err(), "its session has ended");
    let executed = old.data.unwrap().executed;
    world
        .until(1, "having all", |state| state.data.as_ref().is_some_and(|data| data.executed == executed))
        .await;
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.ordered(0, 2, world.following(1, true)).await;
    world
        .until(1, "the admitting primary", |state| {
            state.role == Role::Primary { term: 2, proven_k: Some(1), admitting: true }
        })
        .await;
    println!("switched over: {:?}", start.elapsed());
    insert(&world, 1, 2).await;
    sees(&world, 0, 2).await;
}

/// H1: with nobody to acknowledge, a shutdown of mysqld would release waiting commits with OK.
#[tokio::test(flavor = "multi_thread")]
async fn h1_no_waiting_commit_is_acknowledged_by_a_shutdown() {
    let mut world = World::cluster(2, 1).await;
    insert(&world, 0, 1).await;
    world.members[1].crash();
    let mut client = sql::app(&world, 0).await;
    let write = tokio::spawn(async move { sql::run(&mut client, "INSERT INTO sh_op.t VALUES (2)").await });
    world
        .until(0, "a waiting commit", |state| {
            state.data.as_ref().is_some_and(|data| data.waiting_commits > 0)
        })
        .await;
    let start = Instant::now();
    world.members[0].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[0].ended().await, Some(0));
    println!("fenced shutdown with a waiter: {:?}", start.elapsed());
    assert!(write.await.unwrap().is_err(), "the client must not be told OK");
}

/// H4, H5: a deposed primary with waiting commits is killed, not talked out of them.
#[tokio::test(flavor = "multi_thread")]
async fn h4_h5_sealing_a_primary_with_waiters_answers_none_of_them() {
    let mut world = World::cluster(2, 1).await;
    insert(&world, 0, 1).await;
    world.members[1].crash();
    let mut client = sql::app(&world, 0).await;
    let write = tokio::spawn(async move { sql::run(&mut client, "INSERT INTO sh_op.t VALUES (2)").await });
    world
        .until(0, "a waiting commit", |state| {
            state.data.as_ref().is_some_and(|data| data.waiting_commits > 0)
        })
        .await;
    world.ordered(0, 2, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 2 } && state.data.is_some()).await;
    assert!(write.await.unwrap().is_err(), "the client must not be told OK");
}

/// H7 and raising k: the proof waits for a replica that acknowledges.
#[tokio::test(flavor = "multi_thread")]
async fn h9_a_count_is_proven_only_by_acknowledgements() {
    let mut world = World::cluster(3, 1).await;
    world.members[2].crash();
    world.ordered(0, 1, Action::Promote { k: 2, admit: true }).await;
    let waiting = world
        .until(0, "waiting for the second", |state| {
            state.data.as_ref().is_some_and(|data| data.waiting_commits > 0)
        })
        .await;
    // What is wanted is not proven yet; one acknowledgement still is waited for.
    assert_eq!(waiting.role, Role::Primary { term: 1, proven_k: None, admitting: true });
    world.start(2);
    world.running(2).await;
    world.follow(2, 1, 0, true).await;
    world
        .until(0, "two proven", |state| {
            state.role == Role::Primary { term: 1, proven_k: Some(2), admitting: true }
        })
        .await;
    insert(&world, 0, 1).await;
    world.promote(0, 1, 1).await;
    world.promote(0, 1, 0).await;
    insert(&world, 0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_member_is_cloned_once() {
    let mut world = World::cluster(2, 1).await;
    insert(&world, 0, 1).await;
    world.add_member(2);
    let blank = world.running(2).await;
    let action = Action::Clone {
        donor: "shop-0".into(),
        host: world.members[0].address.to_string(),
        request: "wish-1".into(),
    };
    let start = Instant::now();
    world.ordered(2, 1, action.clone()).await;
    let cloned = world
        .until(2, "cloned", |state| {
            state.server == ServerPhase::Running && state.data.as_ref().is_some_and(|data| data.history == 1)
        })
        .await;
    println!("cloned: {:?}", start.elapsed());
    assert_eq!((&cloned.volume, &cloned.role), (&blank.volume, &Role::Idle));
    assert_ne!(
        cloned.server_uuid, blank.server_uuid,
        "a cloned server numbers its transactions anew (ADR 0009)"
    );
    assert_eq!(cloned.message, "");
    let starts = world.members[2].log().matches("mysqld started").count();
    world.ordered(2, 1, action).await;
    world.follow(2, 1, 0, true).await;
    assert_eq!(world.members[2].log().matches("mysqld started").count(), starts);
    insert(&world, 0, 2).await;
    sees(&world, 2, 2).await;
    let uuids: Vec<_> = [world.state(0).await, world.state(2).await]
        .into_iter()
        .map(|state| state.server_uuid.unwrap())
        .collect();
    assert_ne!(uuids[0], uuids[1]);
}

/// A clone that was broken off leaves data nobody may trust: the next start begins blank.
#[tokio::test(flavor = "multi_thread")]
async fn h17_a_broken_off_clone_leaves_a_blank_member() {
    let mut world = World::cluster(2, 0).await;
    insert(&world, 0, 1).await;
    sees(&world, 1, 1).await;
    world.members[1].crash();
    let intent = world.members[1].path("volume/porpoise/intent.json");
    std::fs::write(intent, r#"{"request":"wish-9","donor":"shop-0","term":1}"#).unwrap();
    world.start(1);
    let state = world.running(1).await;
    assert_eq!(state.data.unwrap().executed, "");
    world
        .ordered(
            1,
            1,
            Action::Clone {
                donor: "shop-0".into(),
                host: world.members[0].address.to_string(),
                request: "wish-9".into(),
            },
        )
        .await;
    world.until(1, "cloned", |state| state.data.as_ref().is_some_and(|data| data.history == 1)).await;
    world.follow(1, 1, 0, true).await;
}

/// A member with transactions that the primary lacks: MySQL replicates on without a word, so the member's sets must show
/// it. Then it is cloned.
#[tokio::test(flavor = "multi_thread")]
async fn a_diverged_member_shows_it_and_is_cloned() {
    let world = World::cluster(2, 0).await;
    // Both were primaries for a moment, without acknowledgement: k = 0.
    world.ordered(1, 2, Action::Seal).await;
    world.until(1, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    let uuid = world.promote(1, 2, 0).await.server_uuid.unwrap();
    insert(&world, 1, 7).await;
    world.ordered(0, 3, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 3 }).await;
    let primary = world.promote(0, 3, 0).await;
    world.follow(1, 3, 0, true).await;
    let state = world.running(1).await;
    assert!(state.data.unwrap().executed.contains(&uuid));
    assert!(!primary.data.unwrap().executed.contains(&uuid));
    let answer = world
        .order(
            0,
            3,
            Action::Clone {
                donor: "shop-1".into(),
                host: world.members[1].address.to_string(),
                request: "wrong".into(),
            },
        )
        .await;
    assert!(matches!(answer, OrderAnswer::Refused { .. }), "the primary is never cloned onto");
    world
        .ordered(
            1,
            3,
            Action::Clone {
                donor: "shop-0".into(),
                host: world.members[0].address.to_string(),
                request: "wish-2".into(),
            },
        )
        .await;
    world
        .until(1, "cloned", |state| {
            state.data.as_ref().is_some_and(|data| data.history == 3 && !data.executed.contains(&uuid))
        })
        .await;
    world.follow(1, 3, 0, true).await;
    assert!(!world.members[1].log().contains("clone failed"), "{}", world.members[1].log());
}

/// What ran on the primary runs on its successor, as its owner made it, and on the primary of before no more. What its owner
/// disabled stays so.
#[tokio::test(flavor = "multi_thread")]
async fn d34_events_run_on_the_new_primary_and_nowhere_else() {
    let world = World::cluster(2, 1).await;
    let mut app = sql::app(&world, 0).await;
    for statement in [
        "CREATE TABLE sh_op.beats (id INT PRIMARY KEY AUTO_INCREMENT)",
        "SET SESSION sql_mode = 'ANSI'",
        "CREATE EVENT sh_op.beat ON SCHEDULE EVERY 1 SECOND DO INSERT INTO sh_op.beats VALUES ()",
        "CREATE EVENT sh_op.resting ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM sh_op.beats",
    ] {
        sql::run(&mut app, statement).await.unwrap();
    }
    let told = "SELECT CONCAT_WS('|', STATUS, DEFINER, SQL_MODE) FROM information_schema.EVENTS WHERE EVENT_NAME = 'beat'";
    let before = sql::text(&mut sql::inside(&world.members[0]).await, told).await;
    assert!(before.starts_with("ENABLED|app@%|"), "{before}");
    let start = Instant::now();
    let mut replica = sql::inside(&world.members[1]).await;
    // The primary keeps a list of what runs.
    while sql::number(&mut replica, "SELECT COUNT(*) FROM porpoise.events_state WHERE enabled LIKE '%beat%'")
        .await
        == 0
    {
        assert!(start.elapsed() < LONG, "nobody wrote down which events run");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for index in 0..2 {
        world.ordered(index, 2, Action::Seal).await;
    }
    world.level(1, 0).await;
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.follow(0, 2, 1, true).await;
    while sql::text(&mut replica, told).await != before {
        assert!(start.elapsed() < LONG, "{}", sql::text(&mut replica, told).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let beats = sql::number(&mut replica, "SELECT COUNT(*) FROM sh_op.beats").await;
    while sql::number(&mut replica, "SELECT COUNT(*) FROM sh_op.beats").await < beats + 2 {
        assert!(start.elapsed() < LONG, "the event does not run");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let resting = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'resting'";
    assert_ne!(sql::text(&mut replica, resting).await, "ENABLED");
    world.level(0, 1).await;
    let old = sql::text(&mut sql::inside(&world.members[0]).await, told).await;
    assert!(old.starts_with("REPLICA_SIDE_DISABLED|app@%|"), "{old}");
}
