//! A deposed primary comes back from its own data (ha.md §4e, ADR 0012).

use crate::programs::program;
use crate::sql;
use crate::world::World;
use nix::sys::signal::Signal;
use porpoise_core::protocol::{Action, MemberState, Role, ServerPhase};
use sqlx::mysql::MySqlConnection;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two looks at the binlog.
const SETTLE: Duration = Duration::from_millis(150);

/// A cluster with some data whose replicas are sealed in term 2: what the primary writes from now on is not acknowledged.
async fn abandoned(count: u32) -> World {
    let world = World::cluster(count, 1).await;
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY, what LONGBLOB)").await.unwrap();
    for id in 0..20 {
        sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id}, 'acknowledged')")).await.unwrap();
    }
    // The one that takes over comes last: what another one acknowledged until it was sealed reaches it too.
    for index in (1..world.members.len()).rev() {
        world.level(index, 0).await;
        world.ordered(index, 2, Action::Seal).await;
        world
            .until(index, "sealed", |state| {
                state.role == Role::Sealed { term: 2 } && state.data.as_ref().is_some_and(|data| data.settled)
            })
            .await;
    }
    world
}

/// Statements of clients of which none is answered. Each client stays connected until the server goes.
async fn unacknowledged(world: &World, clients: &[&[&str]]) {
    for statements in clients {
        let mut connection = sql::inside(&world.members[0]).await;
        let before = binlog_bytes(world);
        let statements: Vec<String> = statements.iter().map(|text| (*text).to_owned()).collect();
        tokio::spawn(async move {
            let (last, first) = statements.split_last().unwrap();
            for statement in first {
                sql::run(&mut connection, statement).await.unwrap();
            }
            let answer = sql::run(&mut connection, last).await;
            assert!(answer.is_err(), "{last} was answered");
        });
        grown(world, before).await;
    }
}

/// Size of all binlog files of the old primary.
fn binlog_bytes(world: &World) -> u64 {
    let entries = fs::read_dir(world.members[0].path("volume/data")).unwrap().flatten();
    let logs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("binlog.0"));
    logs.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Waits until something new is in the binlog, whole.
async fn grown(world: &World, before: u64) {
    let start = Instant::now();
    let mut last = before;
    loop {
        tokio::time::sleep(SETTLE).await;
        let now = binlog_bytes(world);
        if now > before && now == last {
            return;
        }
        last = now;
        assert!(start.elapsed() < crate::world::LONG, "nothing comes into the binlog");
    }
}

/// Makes member 1 the primary of term 2; what a member may keep then.
async fn elected(world: &World) -> String {
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    if world.members.len() > 2 {
        world.ordered(2, 2, world.following(1, true)).await;
    }
    let reigning =
        |state: &MemberState| matches!(state.role, Role::Primary { term: 2, .. }) && state.data.is_some();
    world.until(1, "reigning", reigning).await.data.unwrap().executed
}

fn rejoining(world: &World, keep: String) -> Action {
    match world.following(1, true) {
        Action::Follow { source, host, acknowledge, .. } => {
            Action::Follow { source, host, acknowledge, keep: Some(keep) }
        }
        other => other,
    }
}

async fn held(world: &World) {
    world.until(0, "held", |state| state.server == ServerPhase::Held { reigned: 1 }).await;
}

async fn follows(world: &World) -> MemberState {
    world
        .until(0, "following", |state| {
            matches!(
                state.role,
                Role::Replica { term: 2, receiving: true, applying: true, acknowledging: true, .. }
            )
        })
        .await
}

async fn admits(world: &World) {
    let role = Role::Primary { term: 2, proven_k: Some(1), admitting: true };
    world.until(1, "admitting", |state| state.role == role).await;
}

/// Kills the old primary's mysqld, elects, rejoins; the time from the order on.
async fn killed_and_rejoined(world: &World) -> (MemberState, Duration) {
    world.members[0].signal_mysqld(Signal::SIGKILL);
    held(world).await;
    let keep = elected(world).await;
    let start = Instant::now();
    world.ordered(0, 2, rejoining(world, keep)).await;
    let state = follows(world).await;
    (state, start.elapsed())
}

async fn checksum(connection: &mut MySqlConnection, table: &str) -> String {
    let row = sqlx::Executor::fetch_one(
        connection,
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CHECKSUM TABLE {table}"))),
    );
    sqlx::Row::try_get_unchecked(&row.await.unwrap(), 1).unwrap()
}

/// Both have the same transactions and rows, and nobody was cloned.
async fn is_one_with_the_primary(world: &World) {
    admits(world).await;
    let mut app = sql::app(world, 1).await;
    sql::run(&mut app, "INSERT INTO sh_op.t VALUES (1000, 'after')").await.unwrap();
    world.level(0, 1).await;
    let mut old = sql::inside(&world.members[0]).await;
    let mut new = sql::inside(&world.members[1]).await;
    assert_eq!(checksum(&mut old, "sh_op.t").await, checksum(&mut new, "sh_op.t").await);
    assert_eq!(sql::number(&mut old, "SELECT COUNT(*) FROM sh_op.t").await, 21);
    assert!(!world.members[0].log().contains("clone begins"));
}

fn state_file(world: &World, name: &str) -> PathBuf {
    world.members[0].path("volume/porpoise").join(name)
}

/// What `mysqlbinlog` makes of an archived tail.
fn shown(path: &std::path::Path) -> String {
    let output = program("mysqlbinlog")
        .args(["--verify-binlog-checksum", "--base64-output=decode-rows"])
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("not closed"), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn e_h3_a_deposed_primary_rejoins_without_a_clone() {
    let world = abandoned(3).await;
    let before = world.state(0).await;
    unacknowledged(
        &world,
        &[
            &["INSERT INTO sh_op.t VALUES (100, 'tail')"],
            &["SET gtid_next = 'AUTOMATIC:batch'", "INSERT INTO sh_op.t VALUES (101, 'tail')"],
            &["INSERT INTO sh_op.t VALUES (102, REPEAT('x', 10485760))"],
            &["CREATE TABLE sh_op.made (id INT PRIMARY KEY)"],
            &["CREATE DATABASE made"],
            &["XA START 'x'", "INSERT INTO sh_op.t VALUES (103, 'tail')", "XA END 'x'", "XA PREPARE 'x'"],
        ],
    )
    .await;
    let (state, took) = killed_and_rejoined(&world).await;
    println!("order to following, 6 transactions and 10 MB cut off: {took:?}");
    assert_ne!(state.server_uuid, before.server_uuid, "its numbers are free again (ADR 0009)");
    assert_eq!(state.tails.len(), 1);
    let tail = &state.tails[0];
    // The agent may have nudged the silent replicas with a write meanwhile (H7).
    assert!(tail.term == 1 && tail.transactions >= 6, "{tail:?}");
    let text = shown(&state_file(&world, "tails").join(&tail.file));
    for part in ["CREATE DATABASE made", "CREATE TABLE sh_op.made", "XA PREPARE", ":batch:1'"] {
        assert!(text.contains(part), "{part}");
    }
    is_one_with_the_primary(&world).await;
    let mut old = sql::inside(&world.members[0]).await;
    assert_eq!(
        sql::number(&mut old, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'made'")
            .await,
        0
    );
    // Nothing is left in the way of the same names.
    let mut inside = sql::inside(&world.members[1]).await;
    for statement in ["CREATE DATABASE made", "CREATE TABLE sh_op.made (id INT PRIMARY KEY)"] {
        sql::run(&mut inside, statement).await.unwrap();
    }
    world.level(0, 1).await;
    assert!(!state_file(&world, "reign.json").exists() && !state_file(&world, "cut.json").exists());
}

/// A node that was cut off and comes back: its primary still runs, with commits that wait. It is sealed, so its mysqld is
/// killed (H4), and then held back: the seal was decided before that.
#[tokio::test(flavor = "multi_thread")]
async fn e_h4_a_deposed_primary_that_still_runs_rejoins_without_a_clone() {
    let world = abandoned(3).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    let keep = elected(&world).await;
    let start = Instant::now();
    world.ordered(0, 2, Action::Seal).await;
    held(&world).await;
    world.ordered(0, 2, rejoining(&world, keep)).await;
    let state = follows(&world).await;
    println!("seal to following: {:?}", start.elapsed());
    assert_eq!(state.tails.len(), 1);
    is_one_with_the_primary(&world).await;
}

/// In a pair the held member is the only one who can acknowledge the new primary's term record.
#[tokio::test(flavor = "multi_thread")]
async fn e_a_pair_rejoins_before_the_new_primary_is_proven() {
    let world = abandoned(2).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    let (state, took) = killed_and_rejoined(&world).await;
    println!("pair, order to following: {took:?}");
    assert_eq!(state.tails[0].transactions, 1);
    is_one_with_the_primary(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e_without_a_tail_nothing_is_cut_off() {
    let world = abandoned(2).await;
    let before = world.state(0).await;
    let (state, took) = killed_and_rejoined(&world).await;
    println!("no tail, order to following: {took:?}");
    assert_eq!((state.tails.len(), state.server_uuid), (0, before.server_uuid));
    is_one_with_the_primary(&world).await;
}

/// The tail begins in a new file.
#[tokio::test(flavor = "multi_thread")]
async fn e_a_tail_after_a_rotation_is_cut_off() {
    let world = abandoned(2).await;
    let mut inside = sql::inside(&world.members[0]).await;
    sql::run(&mut inside, "FLUSH BINARY LOGS").await.unwrap();
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    // Why a tail never spans two files: the next one waits for it.
    let flush = tokio::spawn(async move { sql::run(&mut inside, "FLUSH BINARY LOGS").await });
    tokio::time::sleep(SETTLE * 5).await;
    assert!(!flush.is_finished(), "a file began while a commit waited");
    let (state, _) = killed_and_rejoined(&world).await;
    assert_eq!(state.tails[0].transactions, 1);
    is_one_with_the_primary(&world).await;
}

/// The whole machine goes; the agent starts and waits for the order.
#[tokio::test(flavor = "multi_thread")]
async fn e_a_crashed_machine_rejoins_without_a_clone() {
    let mut world = abandoned(3).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    world.members[0].crash();
    let keep = elected(&world).await;
    let start = Instant::now();
    world.start(0);
    held(&world).await;
    world.ordered(0, 2, rejoining(&world, keep)).await;
    follows(&world).await;
    println!("agent start to following: {:?}", start.elapsed());
    is_one_with_the_primary(&world).await;
}

/// The agent is killed when the tail is kept aside and nothing is cut, and again when the intent is durable.
#[tokio::test(flavor = "multi_thread")]
async fn e_a_cut_that_was_interrupted_is_finished() {
    let mut world = abandoned(2).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    world.members[0].crash();
    let keep = elected(&world).await;
    let settings = settings(&world);
    let found = {
        let set = porpoise_core::gtid::GtidSet::parse(&keep).unwrap();
        let found = porpoise_agent::tail::survey::newest(
            &settings.data_path,
            &set,
            Instant::now() + crate::world::LONG,
        );
        found.unwrap().expect("there is a tail")
    };
    porpoise_agent::tail::archive::store(&settings.state_path, 1, &found).unwrap();
    world.start(0);
    held(&world).await;
    world.members[0].crash();
    porpoise_agent::tail::truncate::begin(&settings, &found).unwrap();
    world.start(0);
    held(&world).await;
    assert_eq!(fs::metadata(&found.path).unwrap().len(), found.offset, "finished before anything else");
    world.ordered(0, 2, rejoining(&world, keep)).await;
    let state = follows(&world).await;
    assert_eq!(state.tails.len(), 1);
    is_one_with_the_primary(&world).await;
}

fn settings(world: &World) -> porpoise_agent::settings::Settings {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        settings: porpoise_agent::settings::Settings,
    }
    let at = |name: &str| world.members[0].path(name).to_string_lossy().into_owned();
    let (data, state) = (at("volume/data"), at("volume/porpoise"));
    let line =
        ["agent", "--instance=shop-0", "--namespace=prod", "--data-path", &data, "--state-path", &state];
    <Line as clap::Parser>::parse_from(line).settings
}

/// A tail that recovery has committed already, because no order came in time: it shows, and the member is cloned.
#[tokio::test(flavor = "multi_thread")]
async fn e_h3_a_committed_tail_asks_for_a_clone() {
    let world = abandoned(3).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    let keep = elected(&world).await;
    world.members[0].signal_mysqld(Signal::SIGKILL);
    let start = Instant::now();
    held(&world).await;
    world.running(0).await;
    println!("killed to running without an order: {:?}", start.elapsed());
    world.ordered(0, 2, rejoining(&world, keep)).await;
    is_cloned(&world).await;
}

/// What the agent cannot read it does not cut: mysqld starts with it, and the member is cloned.
#[tokio::test(flavor = "multi_thread")]
async fn e_an_unreadable_binlog_falls_back_to_a_clone() {
    let mut world = abandoned(3).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    world.members[0].crash();
    let keep = elected(&world).await;
    // Recovery reads the events' headers and what is in the last one of a transaction; the time in a GTID's is nothing to it.
    let settings = settings(&world);
    let set = porpoise_core::gtid::GtidSet::parse(&keep).unwrap();
    let found =
        porpoise_agent::tail::survey::newest(&settings.data_path, &set, Instant::now() + crate::world::LONG);
    let found = found.unwrap().expect("there is a tail");
    let mut bytes = fs::read(&found.path).unwrap();
    let commit_time = usize::try_from(found.offset).unwrap() + 19 + 45;
    bytes[commit_time] ^= 1;
    fs::write(&found.path, bytes).unwrap();
    world.start(0);
    held(&world).await;
    world.ordered(0, 2, rejoining(&world, keep)).await;
    is_cloned(&world).await;
    assert!(world.members[0].log().contains("the tail cannot be cut off"), "{}", world.members[0].log_tail());
}

async fn is_cloned(world: &World) {
    let asked = world
        .until(0, "asking for a clone", |state| {
            matches!(
                state.role,
                Role::Replica { needs_clone: true, receiving: false, acknowledging: false, .. }
            )
        })
        .await;
    assert!(asked.message.contains("what the primary lacks"), "{}", asked.message);
    admits(world).await;
    let donor = Action::Clone {
        donor: "shop-1".into(),
        host: world.members[1].address.to_string(),
        request: "wish-1".into(),
    };
    let start = Instant::now();
    world.ordered(0, 2, donor).await;
    world
        .until(0, "cloned", |state| {
            state.server == ServerPhase::Running && state.data.as_ref().is_some_and(|data| data.history == 2)
        })
        .await;
    println!("cloned: {:?}", start.elapsed());
    assert!(!state_file(world, "reign.json").exists());
    world.follow(0, 2, 1, true).await;
}

/// Milliseconds of the last hold, as the agent told them.
fn held_for(world: &World) -> u64 {
    let log = world.members[0].log();
    let line =
        log.lines().rev().find(|line| line.contains("held back no longer")).expect("a hold that ended");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["after_ms"].as_u64().unwrap()
}

/// Other orders start mysqld at once, and so does time.
#[tokio::test(flavor = "multi_thread")]
async fn e_a_held_member_that_is_needed_starts_at_once() {
    let mut world = abandoned(2).await;
    unacknowledged(&world, &[&["INSERT INTO sh_op.t VALUES (100, 'tail')"]]).await;
    world.members[0].crash();
    world.start(0);
    held(&world).await;
    let start = Instant::now();
    world.ordered(0, 2, Action::Seal).await;
    let state = world
        .until(0, "sealed", |state| state.role == Role::Sealed { term: 2 } && state.data.is_some())
        .await;
    println!("held to sealed: {:?}", start.elapsed());
    assert!(held_for(&world) < 3_000, "the order ends the hold, not time: {}", world.members[0].log_tail());
    assert!(state.tails.is_empty());
    let mut inside = sql::inside(&world.members[0]).await;
    assert_eq!(sql::number(&mut inside, "SELECT COUNT(*) FROM sh_op.t WHERE id = 100").await, 1);
    assert!(!state_file(&world, "reign.json").exists(), "all in its binlog is committed");
}
