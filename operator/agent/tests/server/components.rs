//! Components of mysqld (ha.md H18). In MySQL 9.7 `MD5()` is one's: a view of it is made by no replica that lacks it, and a
//! trigger with it fails on a new primary that does.

use crate::sql;
use crate::world::World;
use nix::sys::signal::Signal;
use porpoise_core::protocol::{Action, Component, MemberState, Role, ServerPhase};

const HASHING: &str = "classic_hashing";
const OF_A: &str = "0cc175b9c0f1b6a831c399e269772661";

/// A table that a trigger fills with hashes and a view that computes them. The application may not make triggers.
async fn hashed(world: &World) {
    let mut inside = sql::inside(&world.members[0]).await;
    sql::run(&mut inside, "USE sh_op").await.unwrap();
    for statement in [
        "CREATE TABLE t (id INT PRIMARY KEY, what VARCHAR(9), hash CHAR(32))",
        "CREATE TRIGGER hashes BEFORE INSERT ON t FOR EACH ROW SET NEW.hash = MD5(NEW.what)",
        "CREATE VIEW hashed AS SELECT id, hash = MD5(what) AS fits FROM t",
    ] {
        sql::run(&mut inside, statement).await.unwrap();
    }
}

async fn insert(world: &World, index: usize, id: i32) {
    let mut app = sql::app(world, index).await;
    sql::run(&mut app, &format!("INSERT INTO sh_op.t (id, what) VALUES ({id}, 'a')")).await.unwrap();
}

/// What the trigger made and what the view makes of it, on one member.
async fn fits(world: &World, index: usize, id: i32) {
    let mut inside = sql::inside(&world.members[index]).await;
    let hash = format!("SELECT hash FROM sh_op.t WHERE id = {id}");
    assert_eq!(sql::text(&mut inside, &hash).await, OF_A);
    sql::run(&mut inside, "USE sh_op").await.unwrap();
    assert_eq!(sql::number(&mut inside, &format!("SELECT fits FROM hashed WHERE id = {id}")).await, 1);
}

async fn executed(world: &World, index: usize) -> String {
    sql::text(&mut sql::inside(&world.members[index]).await, "SELECT @@gtid_executed").await
}

fn loaded(state: &MemberState) -> bool {
    state.components == [Component { name: HASHING.into(), error: String::new() }]
}

#[tokio::test(flavor = "multi_thread")]
async fn h18_a_listed_component_is_there_after_failover_restart_and_clone() {
    let mut world = World::listing(2, &[HASHING]).founded(1).await;
    for index in [0, 1] {
        world.until(index, "the component", loaded).await;
    }
    hashed(&world).await;
    insert(&world, 0, 1).await;
    world.level(1, 0).await;
    fits(&world, 1, 1).await;
    assert_eq!(executed(&world, 1).await, executed(&world, 0).await, "loading leaves no transaction");

    world.members[0].signal_mysqld(Signal::SIGKILL);
    world.ordered(1, 2, Action::Seal).await;
    world.until(1, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    world.promote(1, 2, 0).await;
    insert(&world, 1, 2).await;
    fits(&world, 1, 2).await;

    world.members[1].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[1].ended().await, Some(0));
    world.start(1);
    world.running(1).await;
    world.promote(1, 3, 0).await;
    insert(&world, 1, 3).await;

    world.add_member(2);
    world.running(2).await;
    let host = world.members[1].address.to_string();
    world.ordered(2, 3, Action::Clone { donor: "shop-1".into(), host, request: "wish-1".into() }).await;
    world
        .until(2, "cloned", |state| {
            state.server == ServerPhase::Running && state.data.as_ref().is_some_and(|data| data.history == 3)
        })
        .await;
    world.follow(2, 3, 1, true).await;
    world.until(2, "the component", loaded).await;
    insert(&world, 1, 4).await;
    world.level(2, 1).await;
    for id in 1..=4 {
        fits(&world, 2, id).await;
    }
}

/// The primary sees the new list first: its replica cannot apply what needs it, and goes on when it sees the list too.
#[tokio::test(flavor = "multi_thread")]
async fn h18_a_changed_list_is_taken_up_without_a_restart() {
    let mut world = World::cluster(2, 1).await;
    let runs = [world.members[0].mysqld_pid(), world.members[1].mysqld_pid()];
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "USE sh_op").await.unwrap();
    assert!(sql::run(&mut app, "DO MD5('a')").await.is_err(), "this MySQL has MD5() by itself");
    world.components = vec![HASHING.to_owned()];
    world.write_config(0);
    world.until(0, "the component", loaded).await;
    hashed(&world).await;
    insert(&world, 0, 1).await;
    world
        .until(1, "an applier that cannot go on", |state| {
            matches!(&state.role, Role::Replica { error, receiving: true, .. } if error.contains("MD5"))
        })
        .await;
    world.write_config(1);
    world.until(1, "the component", loaded).await;
    world.level(1, 0).await;
    fits(&world, 1, 1).await;
    let mut replica = sql::inside(&world.members[1]).await;
    let closed = "SELECT @@super_read_only AND NOT @@rpl_semi_sync_source_enabled";
    assert_eq!(sql::number(&mut replica, closed).await, 1);
    assert_eq!([world.members[0].mysqld_pid(), world.members[1].mysqld_pid()], runs);
    sql::run(&mut app, "DO 0").await.expect("the client's session goes on");
}

/// With an applier that has nothing to do, for whose sake nothing may be left open.
#[tokio::test(flavor = "multi_thread")]
async fn h18_a_replica_that_follows_loads_and_goes_on() {
    let mut world = World::cluster(2, 1).await;
    let run = world.members[1].mysqld_pid();
    world.components = vec![HASHING.to_owned()];
    world.write_config(1);
    world.until(1, "the component", loaded).await;
    world
        .until(1, "applying", |state| {
            matches!(state.role, Role::Replica { receiving: true, applying: true, acknowledging: true, .. })
        })
        .await;
    let mut replica = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut replica, "SELECT @@super_read_only").await, 1);
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY)").await.expect("acknowledged");
    world.level(1, 0).await;
    assert_eq!(executed(&world, 1).await, executed(&world, 0).await);
    assert_eq!(world.members[1].mysqld_pid(), run);
}

#[tokio::test(flavor = "multi_thread")]
async fn h18_a_component_that_is_not_there_keeps_no_primary_from_serving() {
    let world = World::listing(2, &["not_there", HASHING]).founded(1).await;
    for index in [0, 1] {
        let state = world.until(index, "both tried", |state| state.components.len() == 2).await;
        assert!(state.components[0].error.contains("no component_not_there.so in /"), "{state:?}");
        assert_eq!(state.components[1], Component { name: HASHING.into(), error: String::new() });
    }
    hashed(&world).await;
    insert(&world, 0, 1).await;
    world.level(1, 0).await;
    fits(&world, 1, 1).await;
}
