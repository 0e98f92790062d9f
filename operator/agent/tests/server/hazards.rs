//! What MySQL does that would lose a write or the cluster (ha.md §3), each on real servers.

use crate::sql;
use crate::world::{MYSQL_PORT, World};
use nix::sys::signal::Signal;
use porpoise_core::protocol::{Action, MemberState, Role, ServerPhase};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A statement of a client's on the first member, under way.
async fn started(world: &World, statement: &str) -> JoinHandle<Result<(), sqlx::Error>> {
    let mut connection = sql::inside(&world.members[0]).await;
    let statement = statement.to_owned();
    tokio::spawn(async move { sql::run(&mut connection, &statement).await })
}

async fn made(world: &World) {
    let mut app = sql::app(world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY, what LONGBLOB)").await.unwrap();
}

fn waits(state: &MemberState) -> bool {
    state.data.as_ref().is_some_and(|data| data.waiting_commits > 0)
}

async fn sealed(world: &World, index: usize, term: i64) {
    world.ordered(index, term, Action::Seal).await;
    world
        .until(index, "sealed and settled", |state| {
            state.role == Role::Sealed { term } && state.data.as_ref().is_some_and(|data| data.settled)
        })
        .await;
}

async fn admits(world: &World, index: usize, term: i64) {
    let role = Role::Primary { term, proven_k: Some(1), admitting: true };
    world.until(index, "admitting", |state| state.role == role).await;
}

/// With two to acknowledge and none there, mysqld would not end by itself.
#[tokio::test(flavor = "multi_thread")]
async fn h2_a_shutdown_behind_waiters_is_bounded_and_answers_none_of_them() {
    let mut world = World::cluster(3, 2).await;
    made(&world).await;
    world.members[1].crash();
    world.members[2].crash();
    let write = started(&world, "INSERT INTO sh_op.t VALUES (1, '')").await;
    let state = world.until(0, "a waiting commit", waits).await;
    let (uuid, owned) = (state.server_uuid.unwrap(), state.data.unwrap().owned);
    assert!(owned.starts_with(&uuid), "what waits is told: {owned:?}");
    let start = Instant::now();
    world.members[0].signal_agent(Signal::SIGTERM);
    assert_eq!(world.members[0].ended().await, Some(0));
    println!("ended after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(write.await.unwrap().is_err(), "the client must not be told OK");
}

/// An account statement that waits holds the lock that every login needs, the returning replica's too: without a kill
/// nobody would ever acknowledge again.
#[tokio::test(flavor = "multi_thread")]
async fn h6_an_account_statement_that_waits_locks_nobody_out_for_good() {
    let mut world = World::cluster(2, 1).await;
    made(&world).await;
    world.members[1].crash();
    let run = world.members[0].mysqld_pid();
    let statement = started(&world, "CREATE USER stuck IDENTIFIED BY 'Stuck-5Pw'").await;
    world.until(0, "a waiting commit", waits).await;
    world.start(1);
    world.running(1).await;
    world.ordered(1, 1, world.following(0, true)).await;
    world
        .until(0, "held after a kill", |state| {
            matches!(state.server, ServerPhase::Held { .. }) || state.role == Role::Idle
        })
        .await;
    assert!(statement.await.unwrap().is_err(), "the client must not be told OK");
    world.running(0).await;
    assert_ne!(world.members[0].mysqld_pid(), run);
    sealed(&world, 0, 2).await;
    world.ordered(0, 2, Action::Promote { k: 1, admit: true }).await;
    world.ordered(1, 2, world.following(0, true)).await;
    admits(&world, 0, 2).await;
    world.level(1, 0).await;
}

/// A donor with waiting commits holds up a clone; nothing of the blank member's is at stake, and the clone ends when the
/// commits do.
#[tokio::test(flavor = "multi_thread")]
async fn h8_a_clone_from_a_blocked_donor_ends_when_its_commits_do() {
    let mut world = World::cluster(2, 1).await;
    made(&world).await;
    world.members[1].crash();
    let write = started(&world, "INSERT INTO sh_op.t VALUES (1, '')").await;
    world.until(0, "a waiting commit", waits).await;
    world.add_member(2);
    world.running(2).await;
    let host = world.members[0].address.to_string();
    world.ordered(2, 1, Action::Clone { donor: "shop-0".into(), host, request: "wish-1".into() }).await;
    world.start(1);
    world.running(1).await;
    world.follow(1, 1, 0, true).await;
    write.await.unwrap().expect("acknowledged by the replica that came back");
    world
        .until(2, "cloned", |state| {
            state.server == ServerPhase::Running && state.data.as_ref().is_some_and(|data| data.history == 1)
        })
        .await;
    world.follow(2, 1, 0, true).await;
    world.level(2, 0).await;
}

/// Primary and replica go at once; what the replica acknowledged was not applied yet.
#[tokio::test(flavor = "multi_thread")]
async fn h10_what_was_received_and_not_applied_survives_both_crashes() {
    let mut world = World::cluster(2, 1).await;
    made(&world).await;
    world.level(1, 0).await;
    let mut holder = sql::inside(&world.members[1]).await;
    sql::run(&mut holder, "FLUSH TABLES WITH READ LOCK").await.unwrap();
    let mut app = sql::app(&world, 0).await;
    for id in 0..10 {
        sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id}, 'acknowledged')")).await.unwrap();
    }
    let mut inside = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut inside, "SELECT COUNT(*) FROM sh_op.t").await, 0, "nothing is applied");
    world.members[0].crash();
    world.members[1].crash();
    world.start(1);
    world.running(1).await;
    sealed(&world, 1, 2).await;
    world.promote(1, 2, 0).await;
    let mut inside = sql::inside(&world.members[1]).await;
    assert_eq!(sql::number(&mut inside, "SELECT COUNT(*) FROM sh_op.t").await, 10);
}

/// Bytes that a link still lets through in one direction.
struct Budget(AtomicUsize);

impl Budget {
    fn allow(&self, bytes: usize) {
        self.0.store(bytes, Ordering::SeqCst);
    }

    fn take(&self, count: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(count));
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap().min(count)
    }
}

/// A link to the first member's server that ends in the middle of something when a budget is used up.
struct Link {
    address: IpAddr,
    /// From the server: transactions.
    down: Arc<Budget>,
    /// To the server: acknowledgements.
    up: Arc<Budget>,
}

async fn link(world: &World) -> Link {
    let (inner, outer) = (world.members[0].address, world.members[0].outside());
    let unlimited = || Arc::new(Budget(AtomicUsize::new(usize::MAX)));
    let link = Link { address: outer, down: unlimited(), up: unlimited() };
    let listener = TcpListener::bind((outer, MYSQL_PORT)).await.unwrap();
    let budgets = (Arc::clone(&link.down), Arc::clone(&link.up));
    tokio::spawn(async move {
        while let Ok((replica, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect((inner, MYSQL_PORT)).await else { continue };
            let (down, up) = budgets.clone();
            tokio::spawn(async move {
                let (mut replica, mut server) = (replica.into_split(), server.into_split());
                tokio::select! {
                    () = within(&up, &mut replica.0, &mut server.1) => {}
                    () = within(&down, &mut server.0, &mut replica.1) => {}
                }
            });
        }
    });
    link
}

/// The second member follows the first through the link.
async fn follows(world: &World, link: &Link) {
    let host = link.address.to_string();
    world
        .ordered(1, 1, Action::Follow { source: "shop-0".into(), host, acknowledge: true, keep: None })
        .await;
    world
        .until(1, "following", |state| {
            matches!(state.role, Role::Replica { receiving: true, applying: true, .. })
        })
        .await;
    world.level(1, 0).await;
}

async fn within(budget: &Budget, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
    let mut buffer = vec![0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let allowed = budget.take(count);
        if to.write_all(&buffer[..allowed]).await.is_err() || allowed < count {
            return;
        }
    }
}

/// The transaction arrived and its acknowledgement did not: the replica does not acknowledge it again when it reconnects,
/// only with the next one, which no client writes.
#[tokio::test(flavor = "multi_thread")]
async fn h7_a_reconnected_replica_is_nudged() {
    let world = World::cluster(2, 1).await;
    made(&world).await;
    let link = link(&world).await;
    follows(&world, &link).await;
    link.up.allow(0);
    let write = started(&world, "INSERT INTO sh_op.t VALUES (1, '')").await;
    world.until(0, "a waiting commit", waits).await;
    link.up.allow(usize::MAX);
    write.await.unwrap().expect("acknowledged in the end");
    world.level(1, 0).await;
}

/// A member that wrote as primary comes back blank and receives everything from the beginning: its own old transactions too,
/// which MySQL leaves out by default because they carry its server id.
#[tokio::test(flavor = "multi_thread")]
async fn a_blank_member_receives_what_its_instance_once_wrote() {
    let mut world = World::cluster(2, 1).await;
    made(&world).await;
    let mut app = sql::app(&world, 0).await;
    for id in 0..10 {
        sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id}, 'of an earlier life')"))
            .await
            .unwrap();
    }
    sealed(&world, 0, 2).await;
    world.level(1, 0).await;
    world.promote(1, 2, 0).await;
    world.members[0].lose_volume();
    world.start(0);
    world.running(0).await;
    world.follow(0, 2, 1, true).await;
    world.level(0, 1).await;
    let mut blank = sql::inside(&world.members[0]).await;
    assert_eq!(sql::number(&mut blank, "SELECT COUNT(*) FROM sh_op.t").await, 10);
}

/// MySQL's applier would wait a minute for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_transaction_delays_no_promotion() {
    let world = World::cluster(3, 1).await;
    made(&world).await;
    let link = link(&world).await;
    follows(&world, &link).await;
    world.ordered(2, 1, Action::Seal).await;
    world.until(2, "sealed", |state| state.role == Role::Sealed { term: 1 }).await;
    link.down.allow(20_000);
    let large = started(
        &world,
        "INSERT INTO sh_op.t VALUES (1, REPEAT('x', 10000)), (2, REPEAT('x', 10000)), (3, REPEAT('x', 10000))",
    )
    .await;
    let mut watcher = sql::inside(&world.members[1]).await;
    let coordinator = "SELECT COUNT(*) FROM performance_schema.replication_applier_status_by_coordinator \
         WHERE PROCESSING_TRANSACTION <> ''";
    while sql::number(&mut watcher, coordinator).await == 0 {
        assert!(!large.is_finished(), "nothing was seen of it");
    }
    world.members[0].signal_mysqld(Signal::SIGKILL);
    assert!(large.await.unwrap().is_err());
    sealed(&world, 1, 2).await;
    sealed(&world, 2, 2).await;
    let run = world.members[1].mysqld_pid();
    let start = Instant::now();
    world.ordered(1, 2, Action::Promote { k: 1, admit: true }).await;
    world.ordered(2, 2, world.following(1, true)).await;
    admits(&world, 1, 2).await;
    println!("promoted after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let log = world.members[1].log();
    assert!(log.contains("half of a transaction was received"), "{}", world.members[1].log_tail());
    assert_eq!(world.members[1].mysqld_pid(), run, "without a new start");
    assert_eq!(sql::number(&mut watcher, "SELECT COUNT(*) FROM sh_op.t").await, 0);
    world.level(2, 1).await;
}
