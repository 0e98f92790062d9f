//! The first data of a cluster, by statements or by a copy of another cluster, with real servers (B29).

use crate::backup::{facts, fill};
use crate::sql;
use crate::world::{APP_PASSWORD, PASSWORDS, World};
use nix::sys::signal::Signal;
use porpoise_core::backup::Donor;
use porpoise_core::beginning::{DonorKey, Origin, ScriptPart};
use porpoise_core::protocol::{Action, MemberState, OrderAnswer, Role};
use std::fs;

const SECRET_WORD: &str = "Tr0ub4dor";

fn part(name: &str, text: &str, secret: bool) -> ScriptPart {
    ScriptPart { name: name.to_owned(), text: text.to_owned(), secret }
}

pub fn begin(world: &World, wish: &str, origin: Origin) -> Action {
    Action::Begin { origin: Box::new(origin), request: format!("begin-{}-{wish}", world.cluster) }
}

fn script(world: &World, wish: &str, parts: Vec<ScriptPart>) -> Action {
    begin(world, wish, Origin::Script { parts })
}

/// What the agent shows to members of another cluster.
fn key(old: &World) -> DonorKey {
    DonorKey {
        password: fs::read_to_string(old.members[0].path("accounts/clone")).unwrap(),
        authority: String::from_utf8(old.authority_pem()).unwrap(),
    }
}

fn donor(instance: &str, host: String) -> Donor {
    Donor { instance: instance.to_owned(), host }
}

fn from(donors: Vec<Donor>, key: DonorKey) -> Origin {
    Origin::Cluster { cluster: "old".to_owned(), donors, key }
}

pub async fn begun(world: &World, wish: &str) -> MemberState {
    let request = format!("begin-{}-{wish}", world.cluster);
    world.until(0, "begun", |state| state.replaced_by == request && state.data.is_some()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn b29_statements_run_once_before_any_client_and_reach_every_member() {
    let world = World::new(2);
    world.running(0).await;
    world.running(1).await;
    let routine = "CREATE PROCEDURE grow() BEGIN INSERT INTO books (title) VALUES ('a;b'); SELECT ';'; END";
    let parts = vec![
        part(
            "spec.bootstrap.initSql[0]",
            "CREATE TABLE books (id INT PRIMARY KEY AUTO_INCREMENT, title TEXT)",
            false,
        ),
        part(
            "spec.bootstrap.initSql[1]",
            "INSERT INTO books (title) VALUES ('日本語'); -- done; \n SELECT * FROM books;",
            false,
        ),
        part(
            "entry a.sql of ConfigMap schema",
            &format!("{routine}; CALL grow(); CREATE VIEW titles AS SELECT title FROM books;"),
            false,
        ),
        part(
            "entry b.sql of Secret users",
            &format!(
                "CREATE USER reader IDENTIFIED BY '{SECRET_WORD}'; GRANT SELECT ON sh_op.* TO reader, app;"
            ),
            true,
        ),
    ];
    world.ordered(0, 0, script(&world, "a", parts)).await;
    let state = begun(&world, "a").await;
    assert!(!state.data.unwrap().executed.is_empty());
    world.promote(0, 1, 0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    assert_eq!(
        sql::text(&mut inside, "SELECT GROUP_CONCAT(title ORDER BY id) FROM sh_op.books").await,
        "日本語,a;b"
    );
    // As a client of the mysql program would have made it.
    let made = "SELECT CONCAT_WS(' ', DEFINER, SQL_MODE = @@GLOBAL.sql_mode) FROM information_schema.ROUTINES WHERE ROUTINE_NAME = 'grow'";
    assert_eq!(sql::text(&mut inside, made).await, "root@localhost 1");
    let root =
        "SELECT CONCAT(account_locked, authentication_string = '') FROM mysql.user WHERE user = 'root'";
    assert_eq!(sql::text(&mut inside, root).await, "Y0");
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.books (title) VALUES ('later')").await.unwrap();

    // Nobody can follow from before the statements: who lacks them copies.
    let action = world.following(0, true);
    world.ordered(1, 1, action).await;
    world
        .until(1, "the need of a copy", |state| matches!(state.role, Role::Replica { needs_clone: true, .. }))
        .await;
    let (donor, host) = (world.members[0].name.clone(), world.members[0].address.to_string());
    world.ordered(1, 1, Action::Clone { donor, host, request: "clone".to_owned() }).await;
    let copied = |state: &MemberState| state.data.as_ref().is_some_and(|data| !data.executed.is_empty());
    world.until(1, "being a copy", copied).await;
    world.follow(1, 1, 0, true).await;
    world.level(1, 0).await;
    let mut copy = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut copy, "SELECT COUNT(*) FROM sh_op.titles").await, 3);
    let log = world.members[0].log();
    for secret in PASSWORDS.map(|(_, password)| password).into_iter().chain([SECRET_WORD, APP_PASSWORD]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b29_an_agent_killed_in_the_middle_begins_anew_and_nothing_is_done_twice() {
    let mut world = World::new(1);
    world.running(0).await;
    let table = "CREATE TABLE once (id INT PRIMARY KEY AUTO_INCREMENT)";
    let slow = vec![
        part("one", &format!("{table}; INSERT INTO once VALUES ()"), false),
        part("two", "DO SLEEP(300)", false),
    ];
    world.ordered(0, 0, script(&world, "a", slow)).await;
    world.until(0, "the second text", |state| state.message.contains("running two (2 of 2)")).await;
    world.members[0].crash();
    world.start(0);
    let state = world.running(0).await;
    assert_eq!((state.replaced_by.as_str(), state.data.unwrap().executed.as_str()), ("", ""));
    let quick = || vec![part("one", &format!("{table}; INSERT INTO once VALUES ()"), false)];
    world.ordered(0, 0, script(&world, "a", quick())).await;
    begun(&world, "a").await;
    // The same order again, as an operator sends it that was killed before it knew.
    let answer = world.order(0, 0, script(&world, "a", quick())).await;
    assert_eq!(answer, OrderAnswer::Accepted);
    world.promote(0, 1, 0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    assert_eq!(sql::number(&mut inside, "SELECT COUNT(*) FROM sh_op.once").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b29_a_failing_statement_is_named_with_mysqls_words_and_a_corrected_one_is_taken_at_once() {
    let world = World::new(1);
    world.running(0).await;
    let good = "CREATE TABLE a (id INT)";
    let wrong = vec![part("spec.bootstrap.initSql[0]", &format!("{good}; SELEKT 1"), false)];
    world.ordered(0, 0, script(&world, "a", wrong)).await;
    let failed = |state: &MemberState| state.message.starts_with("cannot begin as spec.bootstrap asks: ");
    let state = world.until(0, "a refusal", failed).await;
    for words in
        ["statement 2 of spec.bootstrap.initSql[0]: MySQL error 1064: ", "'SELEKT 1'", "correct it there"]
    {
        assert!(state.message.contains(words), "{}", state.message);
    }
    let secret = vec![part("entry b.sql of Secret users", &format!("SELEKT '{SECRET_WORD}'"), true)];
    world.running(0).await;
    world.ordered(0, 0, script(&world, "b", secret)).await;
    let other = |state: &MemberState| failed(state) && state.message.contains("Secret users");
    let state = world.until(0, "another refusal", other).await;
    assert!(
        state.message.contains("statement 1 of entry b.sql of Secret users: MySQL error 1064: its words"),
        "{}",
        state.message
    );
    assert!(!world.members[0].log().contains(SECRET_WORD));
    world.running(0).await;
    world.ordered(0, 0, script(&world, "c", vec![part("one", good, false)])).await;
    begun(&world, "c").await;
    // Changed once more before the first claim: made anew, since nobody was promised anything.
    world.running(0).await;
    world.ordered(0, 0, script(&world, "d", vec![part("one", "CREATE TABLE d (id INT)", false)])).await;
    begun(&world, "d").await;
    world.promote(0, 1, 0).await;
    let tables =
        "SELECT GROUP_CONCAT(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'sh_op'";
    assert_eq!(sql::text(&mut sql::inside(&world.members[0]).await, tables).await, "d");
}

#[tokio::test(flavor = "multi_thread")]
async fn b29_a_new_cluster_begins_with_a_copy_of_another_and_passwords_of_its_own() {
    let old = World::cluster(2, 1).await;
    fill(&old).await;
    old.level(1, 0).await;
    let before = facts(&old, 0).await;
    let other = World::new(1);
    other.running(0).await;
    fs::write(other.members[0].path("app/password"), "Another'one").unwrap();
    let key = || key(&old);
    let replica = || donor("old-1", old.members[1].address.to_string());
    // Of another authority than that of the cluster: nothing is copied.
    let stranger = DonorKey { authority: String::from_utf8(other.authority_pem()).unwrap(), ..key() };
    other.ordered(0, 0, begin(&other, "a", from(vec![replica()], stranger))).await;
    let failed = |state: &MemberState| {
        state.message.contains("cannot begin as spec.bootstrap asks: copy old-1: MySQL error")
    };
    other.until(0, "a refusal", failed).await;
    other.running(0).await;
    // The first one is no donor at all: the next best is asked.
    let donors = vec![donor("old-9", "127.0.0.1".to_owned()), replica()];
    other.ordered(0, 0, begin(&other, "b", from(donors, key()))).await;
    let state = begun(&other, "b").await;
    assert_eq!(state.data.unwrap().history, 1);
    assert_ne!(state.server_uuid, old.state(1).await.server_uuid);
    other.promote(0, 2, 0).await;
    assert_eq!(facts(&other, 0).await, before);
    let mut app = sql::connect(&other, 0, "app", "Another'one").await.unwrap();
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (8, 2030)").await.unwrap();
    assert!(sql::connect(&other, 0, "app", APP_PASSWORD).await.is_err());
    let log = other.members[0].log();
    for (_, password) in PASSWORDS {
        assert!(!log.contains(password), "{password} is in the log");
    }
    // The other cluster was not disturbed.
    let mut app = sql::app(&old, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (9, 2030)").await.unwrap();
}

/// It takes connections, as its kernel still lives, and sends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn b29_a_frozen_donor_is_given_up_for_the_next_one() {
    let old = World::cluster(3, 1).await;
    fill(&old).await;
    old.level(2, 0).await;
    let other = World::flagged(1, "--copy-patience=5");
    other.running(0).await;
    old.members[1].signal_mysqld(Signal::SIGSTOP);
    let donors = vec![
        donor("old-1", old.members[1].address.to_string()),
        donor("old-2", old.members[2].address.to_string()),
    ];
    other.ordered(0, 0, begin(&other, "a", from(donors, key(&old)))).await;
    begun(&other, "a").await;
    old.members[1].signal_mysqld(Signal::SIGCONT);
    let log = other.members[0].log();
    assert!(log.contains("nothing arrived from the donor for 5s"), "{log}");
    other.promote(0, 2, 0).await;
    assert_eq!(facts(&other, 0).await, facts(&old, 0).await);
}
