//! One agent.

use crate::sql;
use crate::world::{PASSWORDS, World};
use nix::sys::signal::Signal;
use porpoise_agent::mysql::quote;
use porpoise_core::protocol::{Action, OrderAnswer, Role, ServerPhase};
use std::fs;
use std::time::Instant;

fn is_refused(answer: &OrderAnswer, promised_term: i64) -> bool {
    matches!(answer, OrderAnswer::Refused { promised, .. } if *promised == promised_term)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_volume_comes_up_empty_and_keeps_its_identity() {
    let start = Instant::now();
    let mut world = World::new(1);
    let first = world.running(0).await;
    println!("blank to running: {:?}", start.elapsed());
    let data = first.data.clone().unwrap();
    assert_eq!((data.executed.as_str(), data.retrieved.as_str(), data.history), ("", "", 0));
    assert_eq!((&first.role, first.promised, data.settled), (&Role::Idle, 0, true));
    assert!(!first.volume.is_empty());
    let (status, why) = world.probe(0, "/readyz").await;
    assert_eq!((status, why.as_str()), (503, "waiting for orders\n"));
    assert_eq!(world.probe(0, "/livez").await.0, 200);

    world.members[0].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[0].ended().await, Some(0));
    let start = Instant::now();
    world.start(0);
    let second = world.running(0).await;
    println!("restart to running: {:?}", start.elapsed());
    assert_eq!(second.volume, first.volume);
    assert_eq!(second.server_uuid, first.server_uuid);
    assert_ne!(second.process, first.process);
    assert!(!world.members[0].path("run/initialize.sql").exists());
}

/// A container that is killed leaves the lock of mysqld's socket behind, with a process number that a thread of the next
/// agent has.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_an_earlier_container_keeps_nothing_down() {
    let mut world = World::new(1);
    world.running(0).await;
    let lock = world.members[0].path("run/mysqld.sock.lock");
    assert!(lock.exists());
    let thread = world.members[0].agent_thread();
    world.members[0].crash();
    fs::write(&lock, format!("{thread}\n")).unwrap();
    world.start(0);
    let state = world.running(0).await;
    assert_eq!(state.server, ServerPhase::Running);
    assert_ne!(fs::read_to_string(&lock).unwrap().trim(), thread.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_outlive_the_agent() {
    let mut world = World::new(1);
    world.running(0).await;
    world.ordered(0, 7, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 7 }).await;
    world.members[0].crash();
    world.start(0);
    let state = world.running(0).await;
    assert_eq!((state.promised, &state.role), (7, &Role::Idle));
    assert!(is_refused(&world.order(0, 6, Action::Seal).await, 7));
    let late = world.draft(0, &state, 8, Action::Seal);
    world.ordered(0, 7, Action::Seal).await;
    assert!(is_refused(&world.send(0, &late).await, 7), "decided on an older state");
    let somebody = world.peer();
    let order = world.draft(0, &world.state(0).await, 9, Action::Seal);
    let answer = somebody.order(world.agent_address(0), "localhost", &order, crate::world::LONG).await;
    assert!(answer.is_err(), "only the operator gives orders: {answer:?}");
    assert_eq!(world.state(0).await.promised, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_volume_is_left_alone_until_it_is_adopted() {
    let mut world = World::new(1);
    let first = world.running(0).await;
    world.ordered(0, 4, Action::Seal).await;
    world.members[0].crash();
    let probe = world.members[0].path("volume/porpoise/probe");
    let _ = fs::remove_file(&probe);
    let former = std::mem::replace(&mut world.cluster, "99999999-2222-3333-4444-555555555555".into());
    world.write_config(0);
    world.start(0);
    let state = world
        .until(0, "a foreign volume", |state| {
            matches!(&state.server, ServerPhase::ForeignVolume { cluster, owner }
                if *cluster == former && owner == "prod/shop")
        })
        .await;
    assert_eq!((state.promised, state.volume.as_str()), (4, first.volume.as_str()));
    assert!(!world.members[0].path("run/mysqld.pid").exists() || state.data.is_none());
    for action in [Action::Promote { k: 0, admit: true }, Action::Adopt { former: "somebody".into() }] {
        assert!(is_refused(&world.order(0, 4, action).await, 4));
    }
    assert!(is_refused(&world.order(0, 3, Action::Adopt { former: former.clone() }).await, 4));
    assert!(!probe.exists(), "nothing is written to it");
    world.ordered(0, 4, Action::Adopt { former }).await;
    let adopted = world.running(0).await;
    assert_eq!((&adopted.cluster, &adopted.volume), (&world.cluster, &first.volume));
    assert_eq!(adopted.server_uuid, first.server_uuid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_primary_lets_the_application_in_and_nobody_else() {
    let world = World::new(1);
    world.running(0).await;
    world.ordered(0, 1, Action::Promote { k: 0, admit: false }).await;
    world
        .until(0, "a primary behind closed doors", |state| {
            state.role == Role::Primary { term: 1, proven_k: Some(0), admitting: false }
        })
        .await;
    // The account comes a moment after the proof; then it is offline mode that keeps it out.
    let start = Instant::now();
    loop {
        let refused = sql::connect(&world, 0, "app", crate::world::APP_PASSWORD).await;
        match sql::code(&refused.unwrap_err()) {
            Some(1045 | 1130) => assert!(start.elapsed() < crate::world::LONG),
            other => break assert_eq!(other, Some(3032), "offline mode"),
        }
    }
    assert_eq!(world.probe(0, "/readyz").await.0, 503);
    let start = Instant::now();
    let state = world.promote(0, 1, 0).await;
    println!("admit: {:?}", start.elapsed());
    assert_eq!(state.data.unwrap().history, 1);
    let mut app = sql::app(&world, 0).await;
    for statement in ["CREATE TABLE sh_op.t (id INT PRIMARY KEY)", "INSERT INTO sh_op.t VALUES (1)"] {
        sql::run(&mut app, statement).await.unwrap();
    }
    for denied in ["SELECT * FROM porpoise.term", "CREATE DATABASE other", "CREATE TABLE shXop.t (id INT)"] {
        assert!(sql::run(&mut app, denied).await.is_err(), "{denied}");
    }
    for (user, password) in [("root", ""), ("porpoise_agent", PASSWORDS[0].1)] {
        let login = sql::connect(&world, 0, user, password).await;
        assert_eq!(sql::code(&login.unwrap_err()), Some(1045), "{user} over TCP");
    }
    world.ready(0).await;
    let (status, metrics) = world.probe(0, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("porpoise_agent_role{is=\"primary\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_changes_nothing_writes_nothing() {
    let world = World::new(1);
    world.running(0).await;
    let state = world.promote(0, 1, 0).await;
    let before = state.data.unwrap().executed;
    for _ in 0..3 {
        world.promote(0, 1, 0).await;
    }
    let state = world.state(0).await;
    assert_eq!(state.data.unwrap().executed, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_primary_comes_back_idle_and_closed() {
    let world = World::new(1);
    world.running(0).await;
    world.promote(0, 1, 0).await;
    let start = Instant::now();
    world.members[0].signal_mysqld(Signal::SIGKILL);
    let state = world
        .until(0, "idle again", |state| {
            state.role == Role::Idle && state.server == ServerPhase::Running && state.data.is_some()
        })
        .await;
    println!("killed mysqld to running: {:?}", start.elapsed());
    assert_eq!(state.data.unwrap().history, 1);
    let mut inside = sql::inside(&world.members[0]).await;
    assert_eq!(sql::number(&mut inside, "SELECT @@super_read_only + @@offline_mode").await, 2);
    let state = world.promote(0, 2, 0).await;
    assert_eq!(state.data.unwrap().history, 2);
}

/// Its earlier writes belong to this reign too, so the record tells when it began, not when it last went on.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_opens_again_in_its_term_has_reigned_since_its_first_record() {
    let world = World::new(1);
    world.running(0).await;
    let record = "SELECT CONCAT(term, ' ', instance, ' ', at) FROM porpoise.term";
    let later = "SELECT CONCAT(term, ' ', instance, ' ', at + INTERVAL 1 MICROSECOND) FROM porpoise.term";
    let before = world.promote(0, 1, 0).await.data.unwrap().executed;
    let wanted = sql::text(&mut sql::inside(&world.members[0]).await, later).await;
    world.members[0].signal_mysqld(Signal::SIGKILL);
    world.until(0, "idle again", |state| state.role == Role::Idle && state.data.is_some()).await;
    let after = world.promote(0, 1, 0).await.data.unwrap().executed;
    assert_eq!(sql::text(&mut sql::inside(&world.members[0]).await, record).await, wanted);
    assert_ne!(before, after, "it was written, so that it can be acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_keeps_mysqld_down_until_another_order() {
    let world = World::new(1);
    world.running(0).await;
    world.promote(0, 1, 0).await;
    world.ordered(0, 1, Action::Shutdown).await;
    world.until(0, "stopped", |state| state.server == ServerPhase::Stopped).await;
    world.ordered(0, 2, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 2 } && state.data.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_reaped_and_mysqlds_end_is_still_seen() {
    let mut world = World::new(1);
    world.running(0).await;
    world.members[0].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[0].ended().await, Some(0));
    fs::write(world.members[0].path("mysqld.orphan"), "").unwrap();
    world.start(0);
    world.running(0).await;
    let agent = world.members[0].agent_pid();
    let start = Instant::now();
    // The orphan ends after a moment; unreaped, it would stay below the agent for ever.
    while crate::world::children(agent).len() != 1 {
        assert!(start.elapsed() < crate::world::LONG, "{:?}", crate::world::children(agent));
        tokio::task::yield_now().await;
    }
    world.members[0].signal_mysqld(Signal::SIGKILL);
    world.until(0, "no longer running", |state| state.server != ServerPhase::Running).await;
    world.running(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_server_does_not_hide_the_state() {
    let world = World::new(1);
    world.running(0).await;
    world.members[0].signal_mysqld(Signal::SIGSTOP);
    let state = world.until(0, "no facts", |state| state.data.is_none()).await;
    assert!(state.message.contains("has not answered"), "{}", state.message);
    let start = Instant::now();
    world.try_state(0).await.unwrap();
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
    assert_eq!(world.probe(0, "/livez").await.0, 200);
    world.members[0].signal_mysqld(Signal::SIGCONT);
    world.running(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quoted_literals_come_back_from_the_server() {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    let world = World::new(1);
    world.running(0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    let mut runner = proptest::test_runner::TestRunner::default();
    // Ours, and the one without backslash escapes, in which nothing may break out either.
    for (mode, is_exact) in [("STRICT_ALL_TABLES", true), ("NO_BACKSLASH_ESCAPES", false)] {
        sql::run(&mut inside, &format!("SET SESSION sql_mode = '{mode}'")).await.unwrap();
        for _ in 0..500 {
            let text = "[^\\x00]{0,40}".new_tree(&mut runner).unwrap().current();
            let quoted = quote::literal(&text).unwrap();
            let row = sqlx::Executor::fetch_one(
                &mut inside,
                sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT {quoted}"))),
            )
            .await
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let found: String = sqlx::Row::try_get_unchecked(&row, 0).unwrap();
            let want = if is_exact { text } else { text.replace('\\', "\\\\") };
            assert_eq!(found, want, "{mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_up() {
    let world = World::new(1);
    world.running(0).await;
    world.promote(0, 1, 0).await;
    world.write_certificate(0);
    let start = Instant::now();
    while !world.members[0].log().contains("mysqld has read its certificate again") {
        assert!(start.elapsed() < crate::world::LONG, "{}", world.members[0].log_tail());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    sql::app(&world, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unix_socket_tells_the_state_and_takes_the_drain() {
    let world = World::new(1);
    world.running(0).await;
    let run_path = world.members[0].path("run");
    let agent = |command: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_porpoise-agent"))
            .args([command, "--run-path"])
            .arg(&run_path)
            .output()
            .unwrap()
    };
    let told = agent("state");
    let state: porpoise_core::protocol::MemberState = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(state.instance, "shop-0");
    assert_eq!(agent("prestop").stdout, b"drained\n");
    let (_, why) = world.probe(0, "/readyz").await;
    assert_eq!(why, "the Pod is about to end\n");
}

#[test]
fn the_agent_copies_itself_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("bin");
    for _ in 0..2 {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_porpoise-agent"))
            .arg("copy")
            .arg(&target)
            .status()
            .unwrap();
        assert!(status.success());
    }
    let names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["porpoise-agent"]);
    let version = std::process::Command::new(target.join("porpoise-agent")).arg("--version").status();
    assert!(version.unwrap().success());
}

/// One file of statements: an unquoted value elsewhere would be a full injection.
#[test]
fn sql_text_is_made_in_one_file() {
    fn visit(directory: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if fs::read_to_string(&path).unwrap().contains("AssertSqlSafe") {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    visit(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, ["statements.rs"]);
}
