//! The binlog is stored while it is written, and leads from a backup to any point in time (A29, A30).

use crate::backup::{Job, about, job, location, stored, target};
use crate::sql;
use crate::store::cloud::Cloud;
use crate::store::{Place, Server};
use crate::world::{LONG, World};
use jiff::Timestamp;
use porpoise_core::backup::{
    ARCHIVE_FOLDER, About, ArchiveSettings, ArchiveState, RestorePoint, RestoreSource,
};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::{Action, OrderAnswer, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds.
pub const SOON: u64 = 500;

fn settings(world: &World, store: &impl Place) -> ArchiveSettings {
    ArchiveSettings {
        target: target(store),
        secrets: store.secrets(),
        about: About { backup: ARCHIVE_FOLDER.to_owned(), ..about(world) },
        key_name: Some("first".to_owned()),
        max_delay_milliseconds: SOON,
    }
}

fn folder(world: &World, store: &impl Place) -> String {
    settings(world, store).folder()
}

pub async fn archives(world: &World, store: &impl Place, index: usize, max_delay_milliseconds: u64) {
    let settings = ArchiveSettings { max_delay_milliseconds, ..settings(world, store) };
    assert_eq!(world.archive(index, Some(settings), None).await, OrderAnswer::Accepted);
}

async fn archived(
    world: &World,
    index: usize,
    what: &str,
    holds: impl Fn(&ArchiveState) -> bool,
) -> ArchiveState {
    let state = world.until(index, what, |state| state.archive.as_ref().is_some_and(&holds)).await;
    state.archive.unwrap()
}

fn reached(archive: &ArchiveState) -> Timestamp {
    archive.reached_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.parse().unwrap())
}

/// Waits until all that is committed now is archived. Something is written, for without writes the archive takes its time.
pub async fn caught_up(world: &World, index: usize) -> ArchiveState {
    let now = Timestamp::now();
    inside(world, index, "CREATE DATABASE IF NOT EXISTS nudges").await;
    archived(world, index, "having archived all", |archive| reached(archive) > now).await
}

pub async fn inside(world: &World, index: usize, statement: &str) {
    sql::run(&mut sql::inside(&world.members[index]).await, statement).await.unwrap();
}

async fn executed(world: &World, index: usize) -> GtidSet {
    let query = "SELECT @@GLOBAL.gtid_executed";
    let text = sql::text(&mut sql::inside(&world.members[index]).await, query).await;
    GtidSet::parse(&text).unwrap()
}

pub async fn base_backup(world: &World, store: &impl Place, donor: usize) -> GtidSet {
    let pod = Job::storing(world, donor, store);
    let summary = stored(pod.run(world, &job(world, store, &[donor], Some("first"))).await);
    GtidSet::parse(&summary.gtid_set.unwrap()).unwrap()
}

pub fn restoring(world: &World, store: &impl Place, point: RestorePoint) -> Action {
    let request = format!("restore-{}", serde_json::to_string(&point).unwrap());
    let source =
        RestoreSource { location: location(world, store), secrets: store.secrets(), point: Some(point) };
    Action::Restore { source: Box::new(source), request }
}

/// Restores into the one member of another cluster, and tells what it then has.
pub async fn restored(other: &mut World, action: Action) -> GtidSet {
    let Action::Restore { request, .. } = &action else { panic!("{action:?}") };
    let request = request.clone();
    other.running(0).await;
    other.ordered(0, 0, action).await;
    other.until(0, "restored", |state| state.replaced_by == request && state.data.is_some()).await;
    executed(other, 0).await
}

/// Restores nothing, and says why.
async fn refused(other: &World, action: Action) -> String {
    other.running(0).await;
    other.ordered(0, 0, action).await;
    let state = other.until(0, "a refusal", |state| state.message.starts_with("restore: ")).await;
    assert_eq!(state.replaced_by, "");
    state.message
}

fn blank(other: &mut World) {
    other.members[0].lose_volume();
    other.start(0);
}

/// A client that inserts numbers, one after the other, wherever the primary is: those that were acknowledged, and when.
struct Writer {
    primary: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Writer {
    async fn write(self, world: Arc<World>) -> Vec<(i64, Timestamp)> {
        let mut acknowledged = Vec::new();
        let (mut next, mut app) = (1, None);
        while !self.over.load(Ordering::SeqCst) {
            let primary = self.primary.load(Ordering::SeqCst);
            let mut session = match app.take() {
                Some((of, session)) if of == primary => session,
                _ => match sql::connect(&world, primary, "app", crate::world::APP_PASSWORD).await {
                    Ok(session) => session,
                    Err(_) => continue,
                },
            };
            let insert = format!("INSERT INTO sh_op.entries VALUES ({next}, REPEAT('x', 100))");
            if sql::run(&mut session, &insert).await.is_ok() {
                acknowledged.push((next, Timestamp::now()));
                app = Some((primary, session));
            }
            next += 1;
        }
        acknowledged
    }
}

async fn fail_over(world: &World, store: &Server) -> usize {
    for index in 1..3 {
        world.ordered(index, 2, Action::Seal).await;
    }
    let mut best = (1, GtidSet::default());
    for index in 1..3 {
        let sealed = world
            .until(index, "sealed and settled", |state| {
                state.role == Role::Sealed { term: 2 } && state.data.as_ref().is_some_and(|data| data.settled)
            })
            .await;
        let executed = GtidSet::parse(&sealed.data.unwrap().executed).unwrap();
        if executed.contains(&best.1) {
            best = (index, executed);
        }
    }
    let (primary, other) = (best.0, 3 - best.0);
    world.ordered(primary, 2, Action::Promote { k: 1, admit: true }).await;
    world.follow(other, 2, primary, true).await;
    world.promote(primary, 2, 1).await;
    archives(world, store, primary, SOON).await;
    primary
}

/// Writes, a backup, a failover, more writes; then every volume is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a30_what_was_acknowledged_and_archived_survives_the_loss_of_every_volume() {
    let world = World::cluster(3, 1).await;
    let store = Server::with_tls();
    archives(&world, &store, 0, SOON).await;
    inside(&world, 0, "CREATE TABLE sh_op.entries (id BIGINT PRIMARY KEY, filling VARCHAR(100))").await;
    let (primary, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut world = Arc::new(world);
    let writer = Writer { primary: primary.clone(), over: over.clone() };
    let writing = tokio::spawn(writer.write(world.clone()));
    caught_up(&world, 0).await;
    let base = base_backup(&world, &store, 1).await;
    caught_up(&world, 0).await;

    world.members[0].signal_agent(nix::sys::signal::Signal::SIGKILL);
    let successor = fail_over(&world, &store).await;
    primary.store(successor, Ordering::SeqCst);
    let archive = caught_up(&world, successor).await;
    assert_eq!((archive.broken.as_str(), archive.error.as_str()), ("", ""));
    let promised = reached(&caught_up(&world, successor).await);
    over.store(true, Ordering::SeqCst);
    let acknowledged = writing.await.unwrap();
    let uuid = sql::text(&mut sql::inside(&world.members[successor]).await, "SELECT @@server_uuid").await;
    let about = restoring(&world, &store, RestorePoint::Latest);
    for member in &mut Arc::get_mut(&mut world).unwrap().members {
        member.lose_volume();
    }

    let mut other = World::new(1);
    let found = restored(&mut other, about).await;
    assert!(found.contains(&base) && found.to_string().contains(&uuid), "{found}");
    other.promote(0, 2, 0).await;
    let mut session = sql::inside(&other.members[0]).await;
    let owed: Vec<i64> =
        acknowledged.iter().filter(|(_, at)| *at < promised).map(|(number, _)| *number).collect();
    let last = owed.last().copied().unwrap();
    let found =
        sql::number(&mut session, &format!("SELECT COUNT(*) FROM sh_op.entries WHERE id <= {last}")).await;
    println!("{} acknowledged, {} of them owed, {found} of those found", acknowledged.len(), owed.len());
    let numbers = owed.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let kept = format!("SELECT COUNT(*) FROM sh_op.entries WHERE id IN ({numbers})");
    assert_eq!(sql::number(&mut session, &kept).await, i64::try_from(owed.len()).unwrap());
}

/// One transaction of the history: its name, when it was surely committed, and what the table then held.
struct Moment {
    gtid: String,
    after: Timestamp,
    checksum: String,
}

const STATE: &str =
    "SELECT CONCAT_WS(';', COUNT(*), SUM(number), SUM(CRC32(words)), SUM(LENGTH(raw))) FROM sh_op.ledger";

/// Small and large, rows and definitions, over several files of binlog.
async fn history(world: &World, count: u64) -> Vec<Moment> {
    let mut session = sql::inside(&world.members[0]).await;
    let mut moments = Vec::new();
    let mut known = executed(world, 0).await;
    for number in 1..=count {
        let statement = match number % 10 {
            3 => format!("UPDATE sh_op.ledger SET number = number + {number}"),
            5 => format!("ALTER TABLE sh_op.ledger ADD COLUMN extra_{} INT DEFAULT {number}", known.count()),
            7 => "DELETE FROM sh_op.ledger ORDER BY id LIMIT 1".to_owned(),
            8 => format!(
                "INSERT INTO sh_op.ledger (number, words, raw) VALUES ({number}, 'ä🐬', REPEAT(UUID(), 300000))"
            ),
            _ => format!("INSERT INTO sh_op.ledger (number, words) VALUES ({number}, 'naïve {number}')"),
        };
        sql::run(&mut session, &statement).await.unwrap();
        if number % 9 == 0 {
            sql::run(&mut session, "FLUSH BINARY LOGS").await.unwrap();
        }
        let now = executed(world, 0).await;
        let gtid = now.subtract(&known).to_string();
        known = now;
        moments.push(Moment {
            gtid,
            after: Timestamp::now(),
            checksum: sql::text(&mut session, STATE).await,
        });
    }
    moments
}

async fn ledger(world: &World) {
    inside(
        world,
        0,
        "CREATE TABLE sh_op.ledger (id INT PRIMARY KEY AUTO_INCREMENT, number BIGINT, \
         words VARCHAR(100) CHARACTER SET utf8mb4, raw LONGTEXT)",
    )
    .await;
    inside(world, 0, "INSERT INTO sh_op.ledger (number, words) VALUES (0, 'first')").await;
}

/// Many more with `PORPOISE_POINTS=100`.
#[tokio::test(flavor = "multi_thread")]
async fn a30_any_point_in_time_is_restored_exactly() {
    let points = std::env::var("PORPOISE_POINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    let (early, mut other) = points_are_restored(&world, &store, points).await;
    slow_clock(&world, &store);
    nowhere(&world, &store, &mut other, &early).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a30_points_in_time_are_restored_from_google() {
    let world = World::cluster(1, 0).await;
    let cloud = Cloud::google();
    points_are_restored(&world, &cloud, 2).await;
}

/// Returns a moment before the backup, and the cluster that was restored into, blank again.
async fn points_are_restored(world: &World, store: &impl Place, points: usize) -> (Moment, World) {
    ledger(world).await;
    archives(world, store, 0, SOON).await;
    caught_up(world, 0).await;
    let mut early = history(world, 3).await;
    let base = base_backup(world, store, 0).await;
    let moments = history(world, 40).await;
    caught_up(world, 0).await;
    let all = executed(world, 0).await;
    let order: Vec<GtidSet> = moments.iter().map(|moment| GtidSet::parse(&moment.gtid).unwrap()).collect();
    // What the agent itself wrote between is in no moment: what a point holds is told by the sets around it.
    let mut other = World::new(1);
    let mut seed = u64::from(std::process::id()) | 1;
    println!("seed {seed}");
    for round in 0..points {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let index = usize::try_from(seed % 40).unwrap();
        let moment = &moments[index];
        let (point, held) = match round % 4 {
            1 => (RestorePoint::Time { time: moment.after.to_string() }, index),
            2 if index > 0 => (RestorePoint::BeforeGtid { gtid: moment.gtid.clone() }, index - 1),
            3 => (RestorePoint::Latest, 39),
            _ => (RestorePoint::Gtid { gtid: moment.gtid.clone() }, index),
        };
        let began = Instant::now();
        let found = restored(&mut other, restoring(world, store, point.clone())).await;
        println!("FIGURE point {}", began.elapsed().as_millis());
        assert!(all.contains(&found) && found.contains(&base), "{point:?}: {found}");
        for (at, gtid) in order.iter().enumerate() {
            assert_eq!(found.contains(gtid), at <= held, "{point:?}: transaction {at} in {found}");
        }
        let mut session = sql::inside(&other.members[0]).await;
        assert_eq!(sql::text(&mut session, STATE).await, moments[held].checksum, "{point:?}");
        blank(&mut other);
    }
    (early.swap_remove(0), other)
}

/// As if the clock of the Job that made the backup had been years behind the primary's.
fn slow_clock(world: &World, store: &Server) {
    let path = store.folder(&location(world, store).path).join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["completedAt"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, manifest.to_string()).unwrap();
}

/// Points that cannot be reached are refused before anything is fetched.
async fn nowhere(world: &World, store: &Server, other: &mut World, early: &Moment) {
    let far = "11111111-1111-1111-1111-111111111111:7".to_owned();
    for (point, words) in [
        (RestorePoint::Gtid { gtid: early.gtid.clone() }, "name an older backup"),
        (RestorePoint::BeforeGtid { gtid: early.gtid.clone() }, "name an older backup"),
        (RestorePoint::Time { time: early.after.to_string() }, "name an older backup"),
        (RestorePoint::Gtid { gtid: far }, "name a point up to then, or latest"),
        (
            RestorePoint::Time { time: "2999-01-01T00:00:00Z".to_owned() },
            "name a point up to then, or latest",
        ),
    ] {
        let message = refused(other, restoring(world, store, point.clone())).await;
        assert!(message.contains(words), "{point:?}: {message}");
        blank(other);
    }
}

/// The store is away while the server removes binlog: the archive goes on with another part, and no restore goes over the gap.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_gap_is_told_and_never_restored_over() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    ledger(&world).await;
    archives(&world, &store, 0, SOON).await;
    caught_up(&world, 0).await;
    base_backup(&world, &store, 0).await;
    let before = caught_up(&world, 0).await;
    assert_eq!(before.begins.as_deref(), Some(""));
    store.pause();
    history(&world, 12).await;
    let failing = archived(&world, 0, "an error", |archive| !archive.error.is_empty()).await;
    assert!(failing.error.contains("store"), "{}", failing.error);
    inside(&world, 0, "FLUSH BINARY LOGS").await;
    inside(&world, 0, "SET @now = NOW()").await;
    let last = sql::text(&mut sql::inside(&world.members[0]).await, "SELECT MAX(LOG_NAME) FROM performance_schema.log_status, JSON_TABLE(LOCAL, '$' COLUMNS (LOG_NAME VARCHAR(64) PATH '$.binary_log_file')) AS t").await;
    inside(&world, 0, &format!("PURGE BINARY LOGS TO '{last}'")).await;
    store.resume();
    let broken =
        archived(&world, 0, "going on", |archive| archive.error.is_empty() && !archive.broken.is_empty())
            .await;
    assert!(broken.broken.contains("was removed before they were archived"), "{}", broken.broken);
    assert_ne!(broken.begins.as_deref(), Some(""));
    let mut other = World::new(1);
    let message = refused(&other, restoring(&world, &store, RestorePoint::Latest)).await;
    assert!(message.contains("name a newer backup, or a time up to then"), "{message}");
    blank(&mut other);
    // Up to the gap it still leads.
    let time = reached(&before).to_string();
    restored(&mut other, restoring(&world, &store, RestorePoint::Time { time })).await;
}

/// A lost segment is named; nothing is restored without it.
#[tokio::test(flavor = "multi_thread")]
async fn a30_a_segment_that_is_lost_or_damaged_is_found_out() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    ledger(&world).await;
    archives(&world, &store, 0, SOON).await;
    base_backup(&world, &store, 0).await;
    history(&world, 20).await;
    caught_up(&world, 0).await;
    assert_eq!(world.archive(0, None, None).await, OrderAnswer::Accepted);
    world.until(0, "archiving no more", |state| state.archive.is_none()).await;
    let folder = folder(&world, &store);
    let segments: Vec<String> =
        store.objects(&folder).into_iter().filter(|name| !name.contains("part")).collect();
    assert!(segments.len() > 3, "{segments:?}");
    let victim = store.folder(&folder).join(&segments[segments.len() - 2]);
    let whole = std::fs::read(&victim).unwrap();
    let mut other = World::new(1);

    std::fs::remove_file(&victim).unwrap();
    let message = refused(&other, restoring(&world, &store, RestorePoint::Latest)).await;
    assert!(message.contains("are missing in the archive"), "{message}");
    blank(&mut other);
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&victim, damaged).unwrap();
    let message = refused(&other, restoring(&world, &store, RestorePoint::Latest)).await;
    assert!(message.contains(&segments[segments.len() - 2]) && message.contains("SHA-256"), "{message}");
    blank(&mut other);
    std::fs::write(&victim, whole).unwrap();
    restored(&mut other, restoring(&world, &store, RestorePoint::Latest)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_what_no_backup_needs_is_removed_and_the_rest_still_leads_on() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    ledger(&world).await;
    archives(&world, &store, 0, SOON).await;
    history(&world, 20).await;
    caught_up(&world, 0).await;
    let base = base_backup(&world, &store, 0).await;
    history(&world, 20).await;
    caught_up(&world, 0).await;
    let folder = folder(&world, &store);
    let before = store.objects(&folder);
    let settings = settings(&world, &store);
    world.archive(0, Some(settings), Some(base.to_string())).await;
    let start = Instant::now();
    while store.objects(&folder).contains(&before[0]) {
        assert!(start.elapsed() < LONG, "{} is still there", before[0]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut other = World::new(1);
    let found = restored(&mut other, restoring(&world, &store, RestorePoint::Latest)).await;
    assert!(found.contains(&base) && found != base);
}

/// Only the operator says where a cluster's data goes.
#[tokio::test(flavor = "multi_thread")]
async fn a29_nobody_else_says_what_is_archived() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    let order = porpoise_core::backup::ArchiveOrder {
        cluster: world.cluster.clone(),
        instance: "shop-0".to_owned(),
        settings: Some(settings(&world, &store)),
        needless: None,
    };
    let peer = world.peer();
    let answer = peer.archive(world.agent_address(0), "localhost", &order, Duration::from_secs(5)).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(world.state(0).await.archive, None);
}
