//! Logical backups: a member is dumped, and a new cluster begins with the dump. Real servers, a real store (A29, D34, M5).

use crate::backup::{Job, facts, fill, job, location, restore, stored, transactions, unverified};
use crate::backup_faults::{kill, said};
use crate::beginning::{begin, begun};
use crate::programs::break_once;
use crate::sql;
use crate::store::{ACCESS, SECRET, Server};
use crate::world::{APP_PASSWORD, LONG, PASSWORDS, World};
use porpoise_core::backup::{BackupJob, Donor, DumpScope, JobReport, RestoreSource};
use porpoise_core::beginning::Origin;
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::{Action, MemberState};
use std::time::{Duration, Instant};

/// What people add to data that is dumped.
const PEOPLE: [&str; 8] = [
    "GRANT SELECT ON sh_op.* TO readers",
    "CREATE USER reader IDENTIFIED BY 'p''w\\\\d-5Xk' DEFAULT ROLE readers",
    "CREATE USER 'clerk'@'10.%' IDENTIFIED BY 'other' REQUIRE SSL ATTRIBUTE '{\"desk\": \"it''s 7\"}'",
    "GRANT INSERT (id) ON sh_op.words TO 'clerk'@'10.%' WITH GRANT OPTION",
    "GRANT EXECUTE ON PROCEDURE sh_op.count_words TO 'clerk'@'10.%'",
    "CREATE DATABASE `o-ther``s`",
    "CREATE TABLE `o-ther``s`.a (id INT PRIMARY KEY, twice INT AS (id * 2), hidden INT INVISIBLE DEFAULT 3)",
    "INSERT INTO `o-ther``s`.a (id, hidden) VALUES (1, 4), (2, 5)",
];

/// What must be the same afterwards, beside what every backup must bring back.
const MORE: [&str; 4] = [
    "SELECT GROUP_CONCAT(CONCAT_WS('-', id, twice, hidden) ORDER BY id) FROM `o-ther``s`.a",
    "SELECT GROUP_CONCAT(CONCAT_WS(';', User, Host, HEX(authentication_string), ssl_type, User_attributes) ORDER BY User, Host) \
     FROM mysql.user WHERE User IN ('reader', 'clerk', 'readers')",
    "SELECT GROUP_CONCAT(CONCAT_WS(';', User, Host, Table_name, Column_name, Column_priv) ORDER BY User) FROM mysql.columns_priv",
    "SELECT GROUP_CONCAT(CONCAT_WS(';', FROM_USER, TO_USER)) FROM mysql.role_edges",
];

async fn more(world: &World, index: usize) -> Vec<String> {
    let mut inside = sql::inside(&world.members[index]).await;
    let mut found = Vec::new();
    for fact in MORE {
        found.push(sql::text(&mut inside, fact).await);
    }
    found
}

async fn peopled(replicas: u32) -> World {
    let world = World::cluster(1 + replicas, 1.min(replicas.cast_signed())).await;
    fill(&world).await;
    let mut inside = sql::inside(&world.members[0]).await;
    for statement in PEOPLE {
        sql::run(&mut inside, statement).await.unwrap();
    }
    world
}

/// Waits until the primary finds this number.
async fn until_number(world: &World, sql: &str, wanted: i64) {
    let began = Instant::now();
    let mut inside = sql::inside(&world.members[0]).await;
    while sql::number(&mut inside, sql).await != wanted {
        assert!(began.elapsed() < LONG, "never {wanted}: {sql}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same Job, which dumps these databases: none means all.
fn dumping(wish: BackupJob, databases: &[&str]) -> BackupJob {
    let mut wish = wish;
    if let BackupJob::Store { dump, .. } = &mut wish {
        let databases = databases.iter().map(|name| (*name).to_owned()).collect();
        *dump = Some(DumpScope { databases });
    }
    wish
}

fn import(from: &World, store: &Server, to: &World, wish: &str) -> Action {
    let source = RestoreSource { location: location(from, store), secrets: store.secrets(), point: None };
    begin(to, wish, Origin::Dump { source: Box::new(source) })
}

/// Has the first member of `to` begin with the dump, and serve with it.
async fn imported(from: &World, store: &Server, to: &World, wish: &str) {
    to.running(0).await;
    to.ordered(0, 0, import(from, store, to, wish)).await;
    begun(to, wish).await;
    to.promote(0, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_d34_a_new_cluster_begins_with_all_that_a_dump_held() {
    let world = peopled(1).await;
    // The list of events that run reaches the replica.
    let listed = "SELECT COUNT(*) FROM porpoise.events_state WHERE enabled LIKE '%nightly%'";
    until_number(&world, listed, 1).await;
    world.level(1, 0).await;
    let (before, people) = (facts(&world, 0).await, more(&world, 0).await);
    let store = Server::with_tls();
    let pod = Job::storing(&world, 1, &store);
    let known = transactions(&world).await;
    let wish = dumping(job(&world, &store, &[1], Some("first")), &[]);
    let summary = stored(pod.run(&world, &wish).await);
    assert!(summary.verified && summary.tables > 30 && summary.donor == "shop-1", "{summary:?}");
    let compared = summary.compared.clone().unwrap();
    assert_eq!((compared.tables, compared.changed, compared.skipped), (4, 0, 0), "{compared:?}");
    assert!(GtidSet::parse(summary.gtid_set.as_ref().unwrap()).unwrap().contains(&known));
    assert!(summary.stored_bytes > 0 && summary.stored_bytes < summary.data_bytes, "{summary:?}");
    // Its report may have been lost: what is stored is told again.
    assert_eq!(stored(pod.run(&world, &wish).await), summary);
    let look = BackupJob::Verify { location: location(&world, &store) };
    let report = pod.run(&world, &look).await;
    assert!(matches!(report, JobReport::Verified { tables } if tables > 30), "{report:?}");

    let other = World::new(2);
    other.running(0).await;
    other.running(1).await;
    other.ordered(1, 0, restore(&world, &store)).await;
    let refused = |state: &MemberState| state.message.contains("begin with it by spec.bootstrap.import");
    other.until(1, "a refusal", refused).await;
    imported(&world, &store, &other, "a").await;
    assert_eq!((facts(&other, 0).await, more(&other, 0).await), (before, people));
    let runs =
        "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_NAME = 'nightly' AND STATUS = 'ENABLED'";
    let mut inside = sql::inside(&other.members[0]).await;
    assert_eq!(sql::number(&mut inside, runs).await, 1, "it ran before");
    let mut app = sql::app(&other, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (3, 2030)").await.unwrap();
    let mut reader = sql::connect(&other, 0, "reader", "p'w\\d-5Xk").await.unwrap();
    assert_eq!(sql::number(&mut reader, "SELECT COUNT(*) FROM sh_op.parts").await, 3);
    let log = pod.log() + &other.members[0].log();
    let words = PASSWORDS.map(|(_, password)| password).into_iter();
    for secret in words.chain([ACCESS, SECRET, "QUFBQUFB", APP_PASSWORD, "5Xk"]) {
        assert!(!log.contains(secret), "{secret} is in a log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_single_databases_are_dumped_and_a_name_that_is_none_is_named() {
    let world = peopled(0).await;
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    let wish = |names: &[&str]| dumping(job(&world, &store, &[0], None), names);
    let report = pod.run(&world, &wish(&["o-ther`s", "--nope"])).await;
    let JobReport::Failed { reason, for_good: true } = &report else { panic!("{report:?}") };
    assert!(
        reason.contains("find the database \"--nope\" on shop-0") && reason.contains("spec.databases"),
        "{reason}"
    );
    assert_eq!(store.objects(&location(&world, &store).path), Vec::<String>::new());
    // Another member may have it that does not answer now.
    let mut more = wish(&["--nope"]);
    if let BackupJob::Store { donors, .. } = &mut more {
        donors.push(Donor { instance: "shop-1".to_owned(), host: "127.255.255.1".to_owned() });
    }
    let report = pod.run(&world, &more).await;
    assert!(matches!(&report, JobReport::Failed { for_good: false, .. }), "{report:?}");
    let summary = stored(pod.run(&world, &wish(&["o-ther`s"])).await);
    assert_eq!(summary.compared.unwrap().tables, 1);

    let other = World::new(1);
    imported(&world, &store, &other, "a").await;
    let mut inside = sql::inside(&other.members[0]).await;
    assert_eq!(sql::text(&mut inside, MORE[0]).await, "1-2-4,2-4-5");
    let nobody = "SELECT COUNT(*) FROM mysql.user WHERE User IN ('reader', 'clerk', 'readers')";
    assert_eq!(sql::number(&mut inside, nobody).await, 0);
    let tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'words'";
    assert_eq!(sql::number(&mut inside, tables).await, 0);
}

/// What `my.cnf` says of the clients of members is not for the agent's own work on data that serves nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a29_no_setting_for_clients_hinders_the_loading_of_a_dump() {
    let world = peopled(0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    // Nor do grants on what is there no more.
    for statement in [
        "CREATE TABLE sh_op.keyless (word TEXT, gone INT)",
        "CREATE TABLE sh_op.gone (id INT PRIMARY KEY)",
        "GRANT SELECT ON sh_op.gone TO 'clerk'@'10.%'",
        "GRANT SELECT (WORD, gone), UPDATE (gone) ON sh_op.keyless TO 'clerk'@'10.%'",
        "GRANT SELECT ON porpoise.* TO 'clerk'@'10.%'",
        "DROP TABLE sh_op.gone",
        "ALTER TABLE sh_op.keyless DROP COLUMN gone",
        // What prints in another way once it was loaded is no damage.
        "ALTER TABLE sh_op.keyless ADD facts JSON, ADD about FLOAT, ADD twice DOUBLE AS (about * 2)",
        "INSERT INTO sh_op.keyless (word, facts, about) VALUES ('a', JSON_OBJECT('n', CAST(1.10 AS DECIMAL(5, 2))), 16777216)",
    ] {
        sql::run(&mut inside, statement).await.unwrap();
    }
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    let settings = "[mysqld]\nwait_timeout=1\nmax_execution_time=1\nsql_require_primary_key=ON\n";
    pod.configure(&world, settings);
    let summary = stored(pod.run(&world, &dumping(job(&world, &store, &[0], None), &[])).await);
    assert!(summary.verified && summary.compared.unwrap().tables == 5);
}

/// A dump is loaded later than it is made: what was to run by then is no reason to refuse the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a29_an_event_whose_time_is_over_keeps_no_dump_from_being_loaded() {
    let world = peopled(1).await;
    let mut inside = sql::inside(&world.members[0]).await;
    for event in [
        "CREATE EVENT sh_op.`the ``one` ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 20 SECOND DO DELETE FROM sh_op.parts",
        "CREATE EVENT sh_op.kept ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 20 SECOND ON COMPLETION PRESERVE DO SET @a = 1",
    ] {
        sql::run(&mut inside, event).await.unwrap();
    }
    let listed = "SELECT COUNT(*) FROM porpoise.events_state WHERE enabled LIKE '%the `one%' AND enabled LIKE '%kept%'";
    until_number(&world, listed, 1).await;
    world.level(1, 0).await;
    let store = Server::new();
    let pod = Job::storing(&world, 1, &store);
    stored(pod.run(&world, &unverified(dumping(job(&world, &store, &[1], None), &[]))).await);
    let waiting = "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_NAME = 'the `one'";
    assert_eq!(sql::number(&mut inside, waiting).await, 1, "its time was over before it was dumped");
    until_number(&world, waiting, 0).await;

    let other = World::new(1);
    imported(&world, &store, &other, "a").await;
    let mut inside = sql::inside(&other.members[0]).await;
    let runs = "SELECT GROUP_CONCAT(EVENT_NAME) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'";
    assert!(sql::text(&mut inside, runs).await.contains("nightly"), "what runs later runs no more");
    assert_eq!(sql::number(&mut inside, waiting).await, 0);
    let left = "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_NAME LIKE 'porpoise%'";
    assert_eq!(sql::number(&mut inside, left).await, 0);
}

/// A view of a database that was left out: no server takes it. It is not called a backup, and if it is, the import says why not.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_statement_that_fails_is_told_in_mysqls_words_and_another_dump_is_taken() {
    let world = peopled(0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    sql::run(&mut inside, "CREATE VIEW sh_op.far AS SELECT id FROM `o-ther``s`.a").await.unwrap();
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    let wish = dumping(job(&world, &store, &[0], None), &["sh_op"]);
    let report = pod.run(&world, &wish).await;
    let JobReport::Failed { reason, .. } = &report else { panic!("{report:?}") };
    assert!(
        reason.contains("ERROR 1") && reason.contains("at line") && reason.contains("o-ther"),
        "{reason}"
    );
    let manifest = |name: &String| name.contains("manifest");
    assert!(!store.objects(&location(&world, &store).path).iter().any(manifest));

    assert!(!stored(pod.run(&world, &unverified(wish)).await).verified);
    let other = World::new(1);
    other.running(0).await;
    other.ordered(0, 0, import(&world, &store, &other, "a")).await;
    let failed = |state: &MemberState| {
        state.message.starts_with("cannot begin as spec.bootstrap asks: import the dump")
    };
    let state = other.until(0, "a refusal", failed).await;
    assert!(state.message.contains("at line") && state.message.contains("o-ther"), "{}", state.message);
    let remove = BackupJob::Remove { location: location(&world, &store) };
    assert_eq!(pod.run(&world, &remove).await, JobReport::Removed);
    stored(pod.run(&world, &dumping(job(&world, &store, &[0], None), &[])).await);
    imported(&world, &store, &other, "b").await;
    assert_eq!(facts(&other, 0).await, facts(&world, 0).await);
}

/// What was listed may be gone when it is to be written down. Then the same Pod begins again, with nothing of the first try.
#[tokio::test(flavor = "multi_thread")]
async fn a29_what_goes_while_it_is_dumped_costs_no_try_of_the_job() {
    let world = peopled(0).await;
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    let words = "mysqldump: Couldn't execute 'show create event `a`': Unknown event 'a' (1539)";
    break_once(&world.members[0].path("programs/mysqldump"), words);
    let summary = stored(pod.run(&world, &dumping(job(&world, &store, &[0], None), &[])).await);
    assert!(summary.verified && pod.log().contains("dump begins again"), "{summary:?}\n{}", pod.log());
}

/// Whenever Job or agent are killed, nothing that is half a dump is left, and the next try makes it whole.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_dump_and_an_import_that_are_killed_begin_anew() {
    let world = peopled(0).await;
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    let wish = dumping(job(&world, &store, &[0], None), &[]);
    let is_there =
        || store.objects(&location(&world, &store).path).iter().any(|name| name.contains("manifest"));
    for words in ["dump begins", "all chunks are stored"] {
        let running = pod.start(&world, &wish);
        said(&pod, words).await;
        kill(running);
        assert!(!is_there(), "a dump is listed though its Job was killed at {words:?}");
    }
    stored(pod.run(&world, &wish).await);
    let mut other = World::new(1);
    other.running(0).await;
    other.ordered(0, 0, import(&world, &store, &other, "a")).await;
    other.until(0, "importing", |state| state.message.contains("importing the dump")).await;
    other.members[0].crash();
    other.start(0);
    let state = other.running(0).await;
    assert_eq!((state.replaced_by.as_str(), state.data.unwrap().executed.as_str()), ("", ""));
    imported(&world, &store, &other, "a").await;
    assert_eq!(
        (facts(&other, 0).await, more(&other, 0).await),
        (facts(&world, 0).await, more(&world, 0).await)
    );
}
