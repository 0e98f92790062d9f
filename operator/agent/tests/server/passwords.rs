//! Passwords that change while members run (G8). The test plays the kubelet too: each member's files change on their own.

use crate::archive::{SOON, archives, base_backup, caught_up, inside, restored, restoring};
use crate::sql;
use crate::store::Server;
use crate::world::{APP_PASSWORD, LONG, MYSQL_PORT, PASSWORDS, World};
use nix::sys::signal::Signal;
use porpoise_core::backup::RestorePoint;
use porpoise_core::protocol::{Action, MemberState, Role, ServerPhase};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use std::fs;
use std::time::{Duration, Instant};

/// What comes after [`PASSWORDS`] and [`APP_PASSWORD`].
const NEXT: [(&str, &str); 5] = [
    ("agent", "Next'agent\\pass-4Kd"),
    ("replication", "Next'replica\"tion-5Lf"),
    ("clone", "Next`clone-6Mg"),
    ("backup", "Next%backup_-7Nh"),
    ("monitor", "Next;monitor-8Pj"),
];
pub(crate) const NEXT_APP: &str = "Next'app\\pass-9Qk";
const SHORT: Duration = Duration::from_millis(20);

/// The Secrets' new content reaches a member.
pub(crate) fn renew(world: &World, index: usize) {
    let member = &world.members[index];
    for (account, password) in NEXT {
        fs::write(member.path("accounts").join(account), password).unwrap();
    }
    fs::write(member.path("app/password"), NEXT_APP).unwrap();
}

async fn log_in(world: &World, index: usize, user: &str, password: &str) -> Result<(), sqlx::Error> {
    let member = &world.members[index];
    let options = MySqlConnectOptions::new().username(user).password(password);
    let options = if user == "porpoise_agent" {
        options.socket(member.path("run/mysqld.sock")).ssl_mode(MySqlSslMode::Required)
    } else {
        let place = options.host(&member.address.to_string()).port(MYSQL_PORT);
        place.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(world.authority_pem())
    };
    // The server may be the first to hang up.
    let _ = MySqlConnection::connect_with(&options).await?.close().await;
    Ok(())
}

/// Every account with its former and its next password.
fn accounts() -> Vec<(String, &'static str, &'static str)> {
    let own = PASSWORDS.iter().zip(NEXT);
    let own = own.map(|((account, former), (_, next))| (format!("porpoise_{account}"), *former, next));
    own.chain([("app".to_owned(), APP_PASSWORD, NEXT_APP)]).collect()
}

/// Waits until the member accepts or denies a password.
async fn accepts(world: &World, index: usize, user: &str, password: &str, wanted: bool) {
    let start = Instant::now();
    loop {
        let found = log_in(world, index, user, password).await;
        let settled = match &found {
            Ok(()) => wanted,
            Err(error) => !wanted && sql::code(error) == Some(1045),
        };
        if settled {
            return;
        }
        assert!(
            start.elapsed() < LONG,
            "{user} at {index}: wanted {wanted}, found {found:?}; log:\n{}",
            world.members[index].log_tail()
        );
        tokio::time::sleep(SHORT).await;
    }
}

pub(crate) async fn accepts_all(world: &World, index: usize, former: bool, next: bool) {
    for (user, old, new) in accounts() {
        accepts(world, index, &user, new, next).await;
        accepts(world, index, &user, old, former).await;
    }
}

fn told(state: &MemberState) -> &[String] {
    state.former_passwords.as_deref().unwrap_or_default()
}

async fn insert(world: &World, index: usize, password: &str, id: i32) {
    let mut app = sql::connect(world, index, "app", password).await.unwrap();
    sql::run(&mut app, "CREATE TABLE IF NOT EXISTS sh_op.t (id INT PRIMARY KEY)").await.unwrap();
    sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id})")).await.unwrap();
}

async fn receives(world: &World, index: usize) {
    world
        .until(index, "receiving", |state| {
            matches!(&state.role, Role::Replica { receiving: true, applying: true, .. })
        })
        .await;
}

fn nothing_shows_in_the_logs(world: &World) {
    for (_, former, next) in accounts() {
        for secret in [former, next, &former[former.len() - 4..], &next[next.len() - 4..]] {
            assert!(world.members.iter().all(|member| !member.log().contains(secret)), "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_members_whose_files_change_later_stay_in() {
    let mut world = World::cluster(3, 1).await;
    insert(&world, 0, APP_PASSWORD, 1).await;
    // A replica knows first: what it knows now is accepted nowhere, so it comes in with what it knew.
    renew(&world, 2);
    world.members[2].signal_mysqld(Signal::SIGKILL);
    world.until(2, "gone", |state| state.server != ServerPhase::Running).await;
    receives(&world, 2).await;
    renew(&world, 0);
    accepts_all(&world, 0, true, true).await;
    for index in 1..3 {
        accepts_all(&world, index, true, true).await;
    }
    // With the files of yesterday a member starts, connects, and copies.
    world.members[1].signal_mysqld(Signal::SIGKILL);
    world.until(1, "gone", |state| state.server != ServerPhase::Running).await;
    receives(&world, 1).await;
    let before = world.running(2).await.server_uuid;
    let (donor, host) = (world.members[0].name.clone(), world.members[0].address.to_string());
    world.ordered(2, 1, Action::Clone { donor, host, request: "again".into() }).await;
    world
        .until(2, "a new server", |state| {
            state.server == ServerPhase::Running && state.server_uuid.is_some() && state.server_uuid != before
        })
        .await;
    world.follow(2, 1, 0, true).await;

    // The new primary's files are those of yesterday: it takes nothing back.
    world.members[0].crash();
    for index in 1..3 {
        world.ordered(index, 2, Action::Seal).await;
    }
    for index in 1..3 {
        world
            .until(index, "settled", |state| {
                state.role == Role::Sealed { term: 2 } && state.data.as_ref().is_some_and(|data| data.settled)
            })
            .await;
    }
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.follow(2, 2, 1, true).await;
    world.promote(1, 2, 1).await;
    accepts_all(&world, 1, true, true).await;
    insert(&world, 1, APP_PASSWORD, 2).await;
    insert(&world, 1, NEXT_APP, 3).await;

    // The others' files follow, and the one that was away comes back.
    renew(&world, 1);
    world.start(0);
    world.running(0).await;
    world.follow(0, 2, 1, true).await;
    world.level(0, 1).await;
    world.level(2, 1).await;
    accepts_all(&world, 0, true, true).await;
    nothing_shows_in_the_logs(&world);
}

/// Cuts every connection of a replica to this primary.
async fn cut_replicas(world: &World, index: usize) {
    let mut inside = sql::inside(&world.members[index]).await;
    let ids = "SELECT GROUP_CONCAT(ID) FROM performance_schema.processlist WHERE COMMAND LIKE 'Binlog Dump%'";
    for id in sql::text(&mut inside, ids).await.split(',') {
        sql::run(&mut inside, &format!("KILL {id}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_former_passwords_end_also_when_the_primary_changed() {
    let world = World::forgetting(2, 20).founded(1).await;
    insert(&world, 0, APP_PASSWORD, 1).await;
    renew(&world, 0);
    renew(&world, 1);
    for (user, _, next) in accounts() {
        accepts(&world, 0, &user, next, true).await;
    }
    let state = world.until(0, "telling", |state| told(state).len() == 6).await;
    assert_eq!(told(&state)[0], "porpoise_agent");
    let (_, metrics) = world.probe(0, "/metrics").await;
    assert!(metrics.contains("porpoise_agent_former_passwords 6"), "{metrics}");
    // The next primary ends them.
    world.level(1, 0).await;
    world.ordered(0, 2, Action::Seal).await;
    world.until(0, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    world.level(1, 0).await;
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.follow(0, 2, 1, true).await;
    world.promote(1, 2, 1).await;
    for (user, former, _) in accounts() {
        accepts(&world, 1, &user, former, false).await;
    }
    world.level(0, 1).await;
    for index in 0..2 {
        accepts_all(&world, index, false, true).await;
    }
    world
        .until(1, "telling no more", |state| state.former_passwords.as_ref().is_some_and(Vec::is_empty))
        .await;
    // A connection that breaks now is made again, with the new password.
    cut_replicas(&world, 1).await;
    insert(&world, 1, NEXT_APP, 2).await;
    world.level(0, 1).await;
    nothing_shows_in_the_logs(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_a_cluster_that_slept_through_a_change_comes_up() {
    let mut world = World::cluster(2, 1).await;
    insert(&world, 0, APP_PASSWORD, 1).await;
    world.level(1, 0).await;
    for index in 0..2 {
        world.members[index].signal_agent(Signal::SIGTERM);
        assert_eq!(world.members[index].ended().await, Some(0));
        renew(&world, index);
    }
    for index in 0..2 {
        world.start(index);
    }
    for index in 0..2 {
        world.running(index).await;
        assert!(!world.members[index].path("run/way-in.sql").exists());
    }
    let states = (world.state(0).await.data.unwrap(), world.state(1).await.data.unwrap());
    assert_eq!(states.0.executed, states.1.executed, "nothing was written beside replication");
    let mut inside = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut inside, "SELECT @@super_read_only + @@offline_mode").await, 2);
    world.ordered(0, 2, Action::Promote { k: 0, admit: true }).await;
    world.promote(0, 2, 0).await;
    world.follow(1, 2, 0, true).await;
    world.promote(0, 2, 1).await;
    insert(&world, 0, NEXT_APP, 2).await;
    world.level(1, 0).await;
    for index in 0..2 {
        accepts_all(&world, index, true, true).await;
    }
    nothing_shows_in_the_logs(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_a_copy_of_a_member_with_another_password_lets_its_agent_in() {
    let mut world = World::new(2);
    world.running(0).await;
    world.promote(0, 1, 0).await;
    insert(&world, 0, APP_PASSWORD, 1).await;
    world.members[1].lose_volume();
    // The copy is made with what both know.
    fs::write(world.members[1].path("accounts/agent"), NEXT[0].1).unwrap();
    world.start(1);
    world.running(1).await;
    let (donor, host) = (world.members[0].name.clone(), world.members[0].address.to_string());
    world.ordered(1, 1, Action::Clone { donor, host, request: "first".into() }).await;
    world.until(1, "copied", |state| state.data.as_ref().is_some_and(|data| data.history == 1)).await;
    world.follow(1, 1, 0, true).await;
    world.level(1, 0).await;
    let mut inside = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut inside, "SELECT COUNT(*) FROM sh_op.t").await, 1);
    // The primary's change finds it there already.
    renew(&world, 0);
    accepts(&world, 0, "porpoise_agent", NEXT[0].1, true).await;
    world.level(1, 0).await;
    accepts(&world, 1, "porpoise_agent", NEXT[0].1, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g8_a_password_that_cannot_be_used_changes_nothing_and_is_named() {
    let world = World::cluster(2, 1).await;
    let file = world.members[0].path("accounts/replication");
    fs::write(&file, "x".repeat(33)).unwrap();
    let told = world.until(0, "a refusal", |state| state.message.contains("more than 32 characters")).await;
    assert!(matches!(told.role, Role::Primary { admitting: true, .. }), "{told:?}");
    insert(&world, 0, APP_PASSWORD, 1).await;
    world.level(1, 0).await;
    fs::write(&file, NEXT[1].1).unwrap();
    accepts(&world, 0, "porpoise_replication", NEXT[1].1, true).await;
    accepts(&world, 0, "porpoise_replication", PASSWORDS[1].1, true).await;
    world.until(0, "content", |state| state.message.is_empty()).await;
    accepts(&world, 1, "porpoise_replication", NEXT[1].1, true).await;
}

/// Passwords of the backup's time may be why somebody restores. Neither they nor those of what was applied on top get anybody
/// in, not even for the while that a change of passwords leaves.
#[tokio::test(flavor = "multi_thread")]
async fn g8_a30_a_restored_cluster_takes_no_password_of_the_one_it_comes_from() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    inside(&world, 0, "CREATE USER reader IDENTIFIED BY 'Reader-1'").await;
    inside(&world, 0, "ALTER USER app IDENTIFIED BY 'Kept-1' RETAIN CURRENT PASSWORD").await;
    archives(&world, &store, 0, SOON).await;
    base_backup(&world, &store, 0).await;
    inside(&world, 0, "ALTER USER app IDENTIFIED BY 'Replayed-1'").await;
    inside(&world, 0, "ALTER USER porpoise_monitor IDENTIFIED BY 'Replayed-2'").await;
    caught_up(&world, 0).await;

    let mut other = World::new(1);
    other.running(0).await;
    renew(&other, 0);
    restored(&mut other, restoring(&world, &store, RestorePoint::Latest)).await;
    other.promote(0, 2, 0).await;
    accepts_all(&other, 0, false, true).await;
    for (user, password) in [("app", "Kept-1"), ("app", "Replayed-1"), ("porpoise_monitor", "Replayed-2")] {
        accepts(&other, 0, user, password, false).await;
    }
    accepts(&other, 0, "reader", "Reader-1", true).await;
    nothing_shows_in_the_logs(&other);
}
