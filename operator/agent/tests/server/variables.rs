//! Settings that a running mysqld takes (C12).

use crate::sql;
use crate::world::World;
use nix::sys::signal::Signal;
use porpoise_core::protocol::{Action, MemberState, Role, ServerPhase};
use porpoise_core::runtime::RUNTIME_SETTINGS;
use porpoise_core::validate::REMOVED_SETTINGS;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CONNECTIONS: &str = "SELECT @@GLOBAL.max_connections";

/// Whether a member says that it has what is wanted.
fn has(state: &MemberState, wanted: &[(&str, &str)]) -> bool {
    let is_set = |(name, value): &(&str, &str)| {
        state.variables.iter().any(|told| told.name == *name && told.value == *value && told.error.is_empty())
    };
    state.variables.len() == wanted.len() && wanted.iter().all(is_set)
}

async fn connections(world: &World, index: usize) -> i64 {
    sql::number(&mut sql::inside(&world.members[index]).await, CONNECTIONS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_change_reaches_every_member_without_a_restart_and_stays() {
    let mut world = World::cluster(2, 1).await;
    let runs = [world.members[0].mysqld_pid(), world.members[1].mysqld_pid()];
    let before = connections(&world, 0).await;
    let mut app = sql::app(&world, 0).await;
    // The first is bounded by the second, which comes after it.
    let wanted = [
        ("innodb_io_capacity", "30000"),
        ("innodb_io_capacity_max", "40000"),
        ("max_connections", "321"),
        ("max_heap_table_size", "32M"),
        ("slow_query_log", "true"),
        ("sql_mode", ""),
    ];
    world.configure(&wanted);
    for index in [0, 1] {
        world.until(index, "the settings", |state| has(state, &wanted)).await;
        let mut inside = sql::inside(&world.members[index]).await;
        let text = "SELECT CONCAT_WS(' ', @@GLOBAL.innodb_io_capacity, @@GLOBAL.max_connections, \
                    @@GLOBAL.max_heap_table_size, @@GLOBAL.slow_query_log, @@GLOBAL.sql_mode)";
        assert_eq!(sql::text(&mut inside, text).await, "30000 321 33554432 1 ");
    }
    assert_eq!([world.members[0].mysqld_pid(), world.members[1].mysqld_pid()], runs);
    sql::run(&mut app, "DO 0").await.expect("the client's session goes on");

    // Started again in place, with what its Pod began with.
    world.members[1].signal_mysqld(Signal::SIGKILL);
    world.until(1, "the settings again", |state| state.crashes == 1 && has(state, &wanted)).await;
    assert_eq!(connections(&world, 1).await, 321);
    // Promoted, and cloned.
    world.level(1, 0).await;
    world.ordered(1, 2, Action::Seal).await;
    world.until(1, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    world.promote(1, 2, 0).await;
    assert_eq!(connections(&world, 1).await, 321);
    world.add_member(2);
    world.running(2).await;
    let host = world.members[1].address.to_string();
    world.ordered(2, 2, Action::Clone { donor: "shop-1".into(), host, request: "wish-1".into() }).await;
    world
        .until(2, "cloned", |state| {
            state.server == ServerPhase::Running && state.data.as_ref().is_some_and(|data| data.history == 2)
        })
        .await;
    world.follow(2, 2, 1, true).await;
    world.until(2, "the settings", |state| has(state, &wanted)).await;
    assert_eq!(connections(&world, 2).await, 321);

    // What is wanted no more is what it would be without.
    world.configure(&[]);
    for index in [1, 2] {
        world.until(index, "no settings", |state| has(state, &[])).await;
        assert_eq!(connections(&world, index).await, before);
        let mut inside = sql::inside(&world.members[index]).await;
        let defaults =
            "SELECT @@GLOBAL.max_heap_table_size = 16777216 AND @@GLOBAL.sql_mode LIKE '%STRICT_TRANS%'";
        assert_eq!(sql::number(&mut inside, defaults).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_refused_value_changes_nothing_and_keeps_no_server_from_starting() {
    let bad = [("max_connections", "many"), ("slow_query_log", "7"), ("sql_mode", "NO_SUCH_MODE")];
    let mut world = World::configured(1, &[], &bad).founded(0).await;
    let refused = |state: &MemberState| {
        state.variables.iter().any(|told| {
            told.value == "many" && told.error == "Incorrect argument type to variable 'max_connections'"
        })
    };
    world.until(0, "a refusal", refused).await;
    assert_eq!(connections(&world, 0).await, 151);
    let run = world.members[0].mysqld_pid();
    let good = [("max_connections", "222")];
    world.configure(&good);
    world.until(0, "the remedy", |state| has(state, &good)).await;
    world.configure(&[("max_connections", "many")]);
    world.until(0, "a refusal", refused).await;
    assert_eq!(connections(&world, 0).await, 222, "it goes on with what it had");
    world.configure(&[("max_connections", "200000")]);
    let moved = |state: &MemberState| {
        state.variables.iter().any(|told| told.value == "200000" && told.effective == "100000")
    };
    world.until(0, "what mysqld made of it", moved).await;
    assert_eq!(world.members[0].mysqld_pid(), run);
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_what_somebody_sets_by_hand_is_set_back() {
    let mut world = World::cluster(1, 0).await;
    let wanted = [("max_connections", "222")];
    world.configure(&wanted);
    world.until(0, "the setting", |state| has(state, &wanted)).await;
    let mut inside = sql::inside(&world.members[0]).await;
    sql::run(&mut inside, "SET GLOBAL max_connections = 333").await.unwrap();
    sql::run(&mut inside, "SET GLOBAL max_error_count = 77").await.unwrap();
    let start = Instant::now();
    while sql::number(&mut inside, CONNECTIONS).await != 222 {
        assert!(start.elapsed() < crate::world::LONG, "nobody set it back");
        sleep(Duration::from_millis(200)).await;
    }
    let unlisted = "SELECT @@GLOBAL.max_error_count";
    assert_eq!(sql::number(&mut inside, unlisted).await, 77, "what is not listed is left alone");
}

/// The tables of core against this MySQL.
#[tokio::test(flavor = "multi_thread")]
async fn c12_d15_a_real_server_takes_what_is_listed_and_knows_nothing_of_what_was_removed() {
    let world = World::cluster(1, 0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    let compiled = "SELECT COUNT(*) FROM performance_schema.variables_info WHERE VARIABLE_SOURCE = 'COMPILED' AND \
                    VARIABLE_NAME = ";
    for name in RUNTIME_SETTINGS {
        let value = sql::text(&mut inside, &format!("SELECT @@GLOBAL.{name}")).await;
        let is_compiled = sql::number(&mut inside, &format!("{compiled}'{name}'")).await == 1;
        for statement in
            [format!("SET GLOBAL {name} = @@GLOBAL.{name}"), format!("SET GLOBAL {name} = DEFAULT")]
        {
            sql::run(&mut inside, &statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let after = sql::text(&mut inside, &format!("SELECT @@GLOBAL.{name}")).await;
        // What is sized by another variable follows what that one is now.
        let follows = ["table_definition_cache", "thread_cache_size", "host_cache_size"].contains(name);
        assert!(
            !is_compiled || follows || after == value,
            "{name}: {value} at the start, {after} by default"
        );
    }
    for (name, _) in REMOVED_SETTINGS {
        let output = Command::new(world.members[0].path("mysqld"))
            .args(["--no-defaults", "--validate-config", "--secure-file-priv=NULL"])
            .arg(format!("--{name}=1"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("unknown variable") || said.contains("unknown option"), "{name}: {said}");
    }
}
