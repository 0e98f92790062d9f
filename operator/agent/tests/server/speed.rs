//! Figures for `make bench`, each a line `FIGURE name values`: not tests, so they run only when asked for.

use crate::archive::{archives, caught_up, inside, restored};
use crate::backup::{Job, job, location, stored, unverified};
use crate::programs::program;
use crate::sql;
use crate::store::{ACCESS, BUCKET, SECRET, Server};
use crate::world::World;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use porpoise_core::backup::{BackupJob, RestoreSource, Summary};
use porpoise_core::protocol::Action;
use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One row every so often: 200 a second.
const PACE: Duration = Duration::from_millis(5);

fn amount(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn figure(name: &str, values: &[u128]) {
    let values: Vec<String> = values.iter().map(u128::to_string).collect();
    println!("FIGURE {name} {}", values.join(" "));
}

/// Writes at a pace until told to stop; microseconds of each write.
async fn write(world: Arc<World>, over: Arc<AtomicBool>) -> Vec<u128> {
    let mut app = sql::app(&world, 0).await;
    let mut ticks = tokio::time::interval(PACE);
    let mut times = Vec::new();
    while !over.load(Ordering::SeqCst) {
        ticks.tick().await;
        let began = Instant::now();
        sql::run(&mut app, "INSERT INTO sh_op.paced (words) VALUES (REPEAT('x', 200))").await.unwrap();
        times.push(began.elapsed().as_micros());
    }
    times
}

async fn write_for(world: &Arc<World>, time: Duration) -> Vec<u128> {
    let over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(world.clone(), over.clone()));
    tokio::time::sleep(time).await;
    over.store(true, Ordering::SeqCst);
    writing.await.unwrap()
}

const PACED: &str = "CREATE TABLE sh_op.paced (id BIGINT PRIMARY KEY AUTO_INCREMENT, words VARCHAR(200))";

/// Time from a commit to when it is stored, at 200 writes a second and `maxDelay` 1s; and what that costs the writes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn archive_delay() {
    let time = Duration::from_secs(amount("PORPOISE_SECONDS", 60));
    let world = Arc::new(World::cluster(3, 1).await);
    let store = Server::with_tls();
    inside(&world, 0, PACED).await;
    let without = write_for(&world, time).await;
    archives(&world, &store, 0, 1_000).await;
    caught_up(&world, 0).await;
    let before = delays(&world).await;
    let with = write_for(&world, time).await;
    caught_up(&world, 0).await;
    let after = delays(&world).await;
    for ((bound, count), (_, earlier)) in after.iter().zip(&before) {
        println!("FIGURE delay-at-most-{bound} {}", count - earlier);
    }
    figure("write-without-archive", &without);
    figure("write-with-archive", &with);
}

/// The histogram of the agent: upper bounds, and how many did not exceed them.
async fn delays(world: &World) -> Vec<(String, u64)> {
    let (_, text) = world.probe(0, "/metrics").await;
    let buckets = text
        .lines()
        .filter_map(|line| line.strip_prefix("porpoise_agent_archive_delay_seconds_bucket{le=\""));
    let read = |line: &str| {
        let (bound, rest) = line.split_once("\"}")?;
        Some((bound.to_owned(), rest.trim().parse().ok()?))
    };
    buckets.filter_map(read).collect()
}

/// A backup next to `CLONE LOCAL`, a restore next to a plain download and to loading a dump, and writes meanwhile.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn backup_and_restore() {
    let world = Arc::new(World::cluster(2, 1).await);
    let store = Server::with_tls();
    inside(&world, 0, PACED).await;
    fill(&world, amount("PORPOISE_MEBIBYTES", 512)).await;
    world.level(1, 0).await;
    figure("write-alone", &write_for(&world, Duration::from_secs(10)).await);
    figure("clone-local", &clone_local(&world).await);

    let over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(world.clone(), over.clone()));
    let (summary, took) = backup(&world, &store, &job(&world, &store, &[1], None)).await;
    figure("backup", &[took.as_millis()]);
    over.store(true, Ordering::SeqCst);
    figure("write-during-backup", &writing.await.unwrap());
    let (_, took) = backup(&world, &store, &only_booted(&world, &store)).await;
    figure("backup-unverified", &[took.as_millis()]);
    println!("FIGURE data-bytes {}", summary.data_bytes);
    println!("FIGURE stored-bytes {}", summary.stored_bytes);

    let (mut downloads, mut restores) = (Vec::new(), Vec::new());
    // One after the other and more than once: the disk of a shared machine has good and bad seconds.
    for _ in 0..amount("PORPOISE_ROUNDS", 5) {
        downloads.push(download(&world, &store).await.as_millis());
        restores.push(restore(&world, &store).await.as_millis());
    }
    figure("download", &downloads);
    figure("restore", &restores);
    figure("upload", &[upload(&world, &store).await.as_millis()]);
    figure("load", &[load(&world).await.as_millis()]);
}

/// The servers' own copy within one machine, three times.
async fn clone_local(world: &World) -> Vec<u128> {
    let local = world.members[1].path("local");
    let clone = format!("CLONE LOCAL DATA DIRECTORY = '{}'", local.display());
    let mut times = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        sql::run(&mut sql::inside(&world.members[1]).await, &clone).await.unwrap();
        times.push(began.elapsed().as_millis());
        std::fs::remove_dir_all(&local).unwrap();
    }
    times
}

/// From the start of the Job's program to its report.
async fn backup(world: &World, store: &Server, work: &BackupJob) -> (Summary, Duration) {
    let pod = Job::storing(world, 1, store);
    let began = Instant::now();
    let summary = stored(pod.run(world, work).await);
    let took = began.elapsed();
    phases("backup", &pod.log());
    (summary, took)
}

/// The same backup under another name, only booted: no table is read for the sake of reading it.
fn only_booted(world: &World, store: &Server) -> BackupJob {
    let mut work = job(world, store, &[1], None);
    if let BackupJob::Store { location, .. } = &mut work {
        location.path.push_str("-unverified");
    }
    unverified(work)
}

/// From the order to a member that serves with the backup's data.
async fn restore(world: &World, store: &Server) -> Duration {
    let mut other = World::new(1);
    other.running(0).await;
    let source = RestoreSource { location: location(world, store), secrets: store.secrets(), point: None };
    let action = Action::Restore { source: Box::new(source), request: "restore".to_owned() };
    let began = Instant::now();
    restored(&mut other, action).await;
    let took = began.elapsed();
    assert_eq!(content(&other, 0).await, content(world, 1).await, "the table came back as it was");
    let log = other.members[0].log();
    phases("restore", log.split_once("restoring the backup").unwrap().1);
    took
}

/// What the agent's log tells of the time that its steps took, in milliseconds: not all of it is in proportion to the data.
fn phases(name: &str, log: &str) {
    let entries = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    for entry in entries {
        // Large numbers are written as texts.
        let took = &entry["took_ms"];
        let Some(took) = took.as_u64().or_else(|| took.as_str()?.parse().ok()) else { continue };
        let step =
            [&entry["message"], &entry["purpose"]].map(|text| text.as_str().unwrap_or_default()).join(" ");
        println!("FIGURE {name}-step {took} {}", step.trim());
    }
}

/// So many mebibytes that do not compress, with an index. Indexes do, and what is free in pages: about two thirds are stored.
async fn fill(world: &World, mebibytes: u64) {
    let table = "CREATE TABLE sh_op.big (id INT PRIMARY KEY AUTO_INCREMENT, place BIGINT, raw VARBINARY(1000), KEY (place), KEY (raw(20)))";
    inside(world, 0, table).await;
    inside(world, 0, "SET SESSION cte_max_recursion_depth = 1000000").await;
    for _ in 0..mebibytes.div_ceil(8) {
        let rows = "INSERT INTO sh_op.big (place, raw) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 990) \
                    SELECT FLOOR(RAND() * 1000000000), RANDOM_BYTES(1000) FROM n, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL \
                    SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8) AS eight";
        inside(world, 0, rows).await;
    }
}

/// The large table, as a whole.
async fn content(world: &World, index: usize) -> String {
    let all = "SELECT CONCAT_WS(' ', COUNT(*), SUM(id), SUM(place), SUM(CRC32(raw))) FROM sh_op.big";
    sql::text(&mut sql::inside(&world.members[index]).await, all).await
}

/// The same objects, four at a time, into files: no hashes, no decompression.
async fn download(world: &World, store: &Server) -> Duration {
    let (client, folder) = plain(world, store);
    let into = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let objects: Vec<_> = client.list(Some(&folder)).try_collect().await.unwrap();
    let fetches = objects.iter().enumerate().map(|(number, object)| {
        let (client, path) = (&client, into.path().join(number.to_string()));
        async move {
            let bytes = client.get(&object.location).await.unwrap().bytes().await.unwrap();
            tokio::fs::write(path, bytes).await.unwrap();
        }
    });
    futures::stream::iter(fetches).buffer_unordered(4).collect::<Vec<()>>().await;
    began.elapsed()
}

/// The same objects once more, from memory, four at a time: what any backup takes that leaves the machine.
async fn upload(world: &World, store: &Server) -> Duration {
    let (client, folder) = plain(world, store);
    let objects: Vec<_> = client.list(Some(&folder)).try_collect().await.unwrap();
    let mut loaded = Vec::new();
    for object in objects {
        loaded.push(client.get(&object.location).await.unwrap().bytes().await.unwrap());
    }
    let began = Instant::now();
    let stores = loaded.into_iter().enumerate().map(|(number, bytes)| {
        let (client, path) = (&client, ObjectPath::from(format!("plain/{number}")));
        async move { drop(client.put(&path, bytes.into()).await.unwrap()) }
    });
    futures::stream::iter(stores).buffer_unordered(4).collect::<Vec<()>>().await;
    began.elapsed()
}

/// A client of its own for the objects of the backup.
fn plain(world: &World, store: &Server) -> (AmazonS3, ObjectPath) {
    let authority = store.authority.as_ref().unwrap();
    let authority = object_store::Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(store.endpoint())
        .with_region("us-east-1")
        .with_access_key_id(ACCESS)
        .with_secret_access_key(SECRET)
        .with_client_options(object_store::ClientOptions::new().with_root_certificate(authority))
        .build()
        .unwrap();
    (client, ObjectPath::from(location(world, store).path))
}

/// `mysqldump` of the replica, and `mysql` with what it wrote, into a blank cluster with the same durability.
async fn load(world: &World) -> Duration {
    let blank = World::cluster(1, 0).await;
    let dump = world.members[1].path("dump.sql");
    let mut dumping = client("mysqldump", world, 1);
    dumping.args(["--single-transaction", "--hex-blob", "--set-gtid-purged=OFF", "--databases", "sh_op"]);
    run(dumping.stdout(File::create(&dump).unwrap()));
    let began = Instant::now();
    run(client("mysql", &blank, 0).stdin(File::open(&dump).unwrap()));
    began.elapsed()
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// A program of the MySQL package, as the agent's account over the socket.
pub fn client(name: &str, world: &World, index: usize) -> Command {
    let member = &world.members[index];
    let mut command = program(name);
    command.arg("--user=porpoise_agent").arg("--socket").arg(member.path("run/mysqld.sock"));
    command.env("MYSQL_PWD", std::fs::read_to_string(member.path("accounts/agent")).unwrap());
    command
}
