//! The end of a Pod: the preStop hook, then the kubelet's signal.

use crate::sql;
use crate::world::{LONG, World};
use nix::sys::signal::Signal;
use porpoise_core::names::PRESTOP_SECONDS;
use porpoise_core::protocol::ServerPhase;
use std::fs;
use std::time::{Duration, Instant};

/// Waits until the application's account has reached the replica.
async fn known_there(world: &World) {
    sql::app(world, 0).await;
    world.level(1, 0).await;
}

/// Runs the hook; its words.
async fn prestop(world: &World, index: usize) -> String {
    let hook = tokio::process::Command::new(env!("CARGO_BIN_EXE_porpoise-agent"))
        .args(["prestop", "--run-path"])
        .arg(world.members[index].path("run"))
        .output();
    let output = tokio::time::timeout(LONG, hook).await.expect("the hook ends").unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_replica_lets_its_clients_finish_before_it_ends() {
    let world = World::cluster(2, 1).await;
    world.ready(1).await;
    known_there(&world).await;
    let mut reader = sql::app(&world, 1).await;
    let mut idle = sql::app(&world, 1).await;
    sql::run(&mut idle, "SELECT 1").await.unwrap();
    let read = tokio::spawn(async move { sql::run(&mut reader, "SELECT SLEEP(4)").await });
    let mut watcher = sql::inside(&world.members[1]).await;
    let running =
        "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_INFO LIKE 'SELECT SLEEP%'";
    while sql::number(&mut watcher, running).await == 0 {}
    let start = Instant::now();
    let (said, (status, why)) = tokio::join!(prestop(&world, 1), async {
        loop {
            let found = world.probe(1, "/readyz").await;
            if found.0 == 503 || start.elapsed() > LONG {
                break found;
            }
        }
    });
    println!("drained after {:?}", start.elapsed());
    assert_eq!(
        (status, why.as_str()),
        (503, "the Pod is about to end\n"),
        "no new clients from the beginning"
    );
    assert_eq!(said, "drained\n");
    assert!(read.is_finished(), "the hook waits for the client's statement");
    read.await.unwrap().expect("the statement was not disturbed");
    // Who only holds a connection keeps nobody waiting, and is sent away by what follows.
    sql::run(&mut idle, "SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_client_that_never_finishes_is_waited_for_within_bounds() {
    let world = World::cluster(2, 1).await;
    known_there(&world).await;
    let mut reader = sql::app(&world, 1).await;
    for statement in
        ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT COUNT(*) FROM information_schema.tables"]
    {
        sql::run(&mut reader, statement).await.unwrap();
    }
    let start = Instant::now();
    assert_eq!(prestop(&world, 1).await, "clients are still busy\n");
    let limit = Duration::from_secs(PRESTOP_SECONDS.unsigned_abs());
    println!("given up after {:?}", start.elapsed());
    assert!(start.elapsed() > limit / 2 && start.elapsed() <= limit, "{:?}", start.elapsed());
}

/// Position of a text in a log.
fn found(log: &str, text: &str) -> usize {
    log.find(text).unwrap_or_else(|| panic!("{text:?} is not in the log:\n{log}"))
}

/// The signal goes to process 1, the agent. Clients are out before mysqld hears of it, and mysqld ends as it is configured
/// to: with a very fast shutdown the next start recovers, by default there is nothing to recover.
#[tokio::test(flavor = "multi_thread")]
async fn c15_sigterm_fences_then_stops_mysqld_in_its_configured_mode() {
    const RECOVERS: &str = "Starting crash recovery";
    let mut world = World::new(1);
    world.running(0).await;
    world.promote(0, 1, 0).await;
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY)").await.unwrap();
    let pid = nix::unistd::Pid::from_raw;
    let group = |process: i32| nix::unistd::getpgid(Some(pid(process))).unwrap();
    assert_ne!(group(world.members[0].mysqld_pid()), group(world.members[0].agent_pid()));
    let busy = tokio::spawn(async move { sql::run(&mut app, "SELECT SLEEP(25)").await });
    let start = Instant::now();
    terminated(&mut world).await;
    println!("ended after {:?}", start.elapsed());
    assert!(busy.await.unwrap().is_err(), "the client's session ends");
    let log = world.members[0].log();
    let order =
        ["\"stopping\"", "writes are closed: stopping mysqld", "Received SHUTDOWN", "Shutdown complete"];
    let places = order.map(|text| found(&log, text));
    assert!(places.is_sorted(), "{places:?}");

    let my_cnf = world.members[0].path("config/my.cnf");
    let text = fs::read_to_string(&my_cnf).unwrap();
    fs::write(&my_cnf, format!("{text}\n[mysqld]\nlog_error_verbosity=3\ninnodb_fast_shutdown=2\n")).unwrap();
    // Another Pod.
    fs::remove_file(world.members[0].path("run/my.cnf")).unwrap();
    let start = restarted(&mut world).await;
    assert!(!start.contains(RECOVERS), "{start}");
    world.promote(0, 1, 0).await;
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.t VALUES (1)").await.unwrap();
    terminated(&mut world).await;
    let start = restarted(&mut world).await;
    assert!(start.contains(RECOVERS), "{start}");
}

async fn terminated(world: &mut World) {
    world.members[0].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[0].ended().await, Some(0));
}

/// Starts the first member again; what is logged until it runs.
async fn restarted(world: &mut World) -> String {
    let before = world.members[0].log().len();
    world.start(0);
    world.running(0).await;
    world.members[0].log().split_off(before)
}

/// The volume with the configuration follows the `ConfigMap`; a crash must not be what brings a new setting to a member.
#[tokio::test(flavor = "multi_thread")]
async fn d40_a_server_that_restarts_in_place_does_not_try_new_settings() {
    let world = World::new(1);
    world.running(0).await;
    let my_cnf = world.members[0].path("config/my.cnf");
    let text = fs::read_to_string(&my_cnf).unwrap();
    fs::write(&my_cnf, format!("{text}\n[mysqld]\nno_such_variable=1\n")).unwrap();
    world.members[0].signal_mysqld(Signal::SIGKILL);
    let again = world
        .until(0, "a server again", |state| state.crashes == 1 && state.server == ServerPhase::Running)
        .await;
    assert_eq!(again.message, "");
}

/// The kubelet may show a new Pod the settings of a former template for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_pod_waits_for_the_settings_of_its_template() {
    let mut world = World::new(1);
    world.running(0).await;
    let [config, kept, template] =
        ["config/my.cnf", "run/my.cnf", "template"].map(|name| world.members[0].path(name));
    let text = fs::read_to_string(&config).unwrap();
    terminated(&mut world).await;
    fs::remove_file(&kept).unwrap();
    fs::write(template, "new").unwrap();
    fs::write(&config, format!("# template old\n{text}\n[mysqld]\nno_such_variable=1\n")).unwrap();
    world.start(0);
    world.until(0, "an agent that waits", |state| state.server == ServerPhase::Starting).await;
    fs::write(&config, format!("# template new\n{text}")).unwrap();
    let state = world.running(0).await;
    assert_eq!(state.crashes, 0);
    assert!(fs::read_to_string(&kept).unwrap().starts_with("# template new\n"));
}
