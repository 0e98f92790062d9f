//! A new cluster begins with a file that MySQL's own `mysqldump` wrote of somebody else's server (A29, D34).

use crate::backup::{facts, fill};
use crate::beginning::{begin, begun};
use crate::speed::client;
use crate::sql;
use crate::store::Server;
use crate::world::{APP_PASSWORD, World};
use porpoise_core::backup::RestoreSource;
use porpoise_core::beginning::Origin;
use porpoise_core::protocol::{Action, MemberState};
use porpoise_crds::BackupLocation;
use std::fs;

/// What every backup must bring back, without the accounts, which are the last.
async fn data(world: &World) -> Vec<String> {
    let mut facts = facts(world, 0).await;
    facts.pop();
    facts
}

/// What `mysqldump` writes of the first member.
fn dumped(world: &World, arguments: &[&str]) -> Vec<u8> {
    let mut command = client("mysqldump", world, 0);
    command.args(["--single-transaction", "--routines", "--events", "--triggers"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn file(store: &Server, path: &str, to: &World, (wish, database): (&str, Option<&str>)) -> Action {
    let location = BackupLocation { target: store.target(), path: path.to_owned() };
    let source = Box::new(RestoreSource { location, secrets: store.secrets(), point: None });
    begin(to, wish, Origin::File { source, database: database.map(str::to_owned) })
}

async fn imported(store: &Server, path: &str, database: Option<&str>) -> World {
    let other = World::new(1);
    other.running(0).await;
    other.ordered(0, 0, file(store, path, &other, ("a", database))).await;
    begun(&other, "a").await;
    other.promote(0, 1, 0).await;
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_d34_a_new_cluster_begins_with_a_file_that_mysqldump_wrote() {
    let world = World::cluster(1, 0).await;
    fill(&world).await;
    let store = Server::with_tls();
    let text = dumped(&world, &["--databases", "sh_op"]);
    fs::create_dir_all(store.folder("exports")).unwrap();
    fs::write(store.folder("exports/shop.sql.zst"), zstd::encode_all(&text[..], 1).unwrap()).unwrap();
    // GTIDs of the other server come with it: the binlog was on there.
    assert!(String::from_utf8_lossy(&text).contains("GTID_PURGED"));

    let other = imported(&store, "exports/shop.sql.zst", None).await;
    assert_eq!(data(&other).await, data(&world).await);
    let mut app = sql::app(&other, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (3, 2030)").await.unwrap();
    assert!(!other.members[0].log().contains(APP_PASSWORD));
}

/// Of one database, as most people dump: no statement names it.
#[tokio::test(flavor = "multi_thread")]
async fn a29_what_names_no_database_goes_to_the_one_that_is_named() {
    let world = World::cluster(1, 0).await;
    fill(&world).await;
    let store = Server::new();
    fs::write(store.folder("one.sql"), dumped(&world, &["--set-gtid-purged=OFF", "sh_op"])).unwrap();
    for (database, place) in [(Some("o-ther`s"), "`o-ther``s`"), (None, "`sh_op`")] {
        let other = imported(&store, "one.sql", database).await;
        let mut inside = sql::inside(&other.members[0]).await;
        let words = format!("SELECT COUNT(*) FROM {place}.words");
        assert!(sql::number(&mut inside, &words).await > 0, "{database:?}");
    }
}

/// All databases, with the accounts of the other server: those that this cluster needs are there and let in all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_dump_of_everything_with_mysqls_own_tables_is_imported() {
    let world = World::cluster(1, 0).await;
    fill(&world).await;
    let mut inside = sql::inside(&world.members[0]).await;
    sql::run(&mut inside, "CREATE USER reader IDENTIFIED BY 'p''w-5Xk'").await.unwrap();
    sql::run(&mut inside, "GRANT SELECT ON sh_op.* TO reader").await.unwrap();
    let store = Server::new();
    // Written to be followed from there, by two channels. Members of this cluster shall follow nobody else.
    let mut text = dumped(&world, &["--all-databases", "--flush-privileges", "--source-data=1"]);
    let end = text.len() - text.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap() - 1;
    let elsewhere = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.255.255.1', SOURCE_USER = 'a' FOR CHANNEL 'elsewhere';\n";
    text.splice(end..end, elsewhere.bytes());
    fs::write(store.folder("all.sql"), text).unwrap();
    let other = imported(&store, "all.sql", None).await;
    assert_eq!(facts(&other, 0).await, facts(&world, 0).await);
    let mut inside = sql::inside(&other.members[0]).await;
    let channels = "SELECT COUNT(*) FROM performance_schema.replication_connection_configuration";
    assert_eq!(sql::number(&mut inside, channels).await, 0);
    sql::app(&other, 0).await;
    let mut reader = sql::connect(&other, 0, "reader", "p'w-5Xk").await.unwrap();
    assert!(sql::number(&mut reader, "SELECT COUNT(*) FROM sh_op.words").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_file_that_cannot_be_imported_is_told_and_another_one_is_taken() {
    let world = World::cluster(1, 0).await;
    fill(&world).await;
    let store = Server::new();
    let text = dumped(&world, &["--databases", "sh_op"]);
    let cut = text.len() - 60;
    fs::write(store.folder("cut.sql"), &text[..cut]).unwrap();
    fs::write(store.folder("wrong.sql"), "CREATE TABLE a (id INT);\nCREATE TABEL b (id INT);\n").unwrap();
    fs::write(store.folder("whole.sql"), &text).unwrap();

    let other = World::new(1);
    other.running(0).await;
    for (path, words) in [
        ("none.sql", "correct the path"),
        ("cut.sql", "`-- Dump completed`, is missing"),
        ("wrong.sql", "at line 2"),
    ] {
        other.ordered(0, 0, file(&store, path, &other, (path, None))).await;
        let refused = |state: &MemberState| {
            state.message.starts_with("cannot begin as spec.bootstrap asks: ")
                && state.message.contains(words)
        };
        other.until(0, words, refused).await;
        other.running(0).await;
    }
    other.ordered(0, 0, file(&store, "whole.sql", &other, ("whole", None))).await;
    begun(&other, "whole").await;
    other.promote(0, 1, 0).await;
    assert_eq!(data(&other).await, data(&world).await);
}
