//! An update is tried on a stored backup, with real servers and a real store (D15).

use crate::backup::{Job, job, location, stored};
use crate::sql;
use crate::store::Server;
use crate::world::World;
use porpoise_core::backup::{BackupJob, JobReport};
use std::fs;
use std::path::Path;

/// A world with a backup of a table, which the key encrypts if there is one.
async fn backed_up(store: &Server, key: Option<&str>) -> World {
    let world = World::cluster(1, 0).await;
    let mut inside = sql::inside(&world.members[0]).await;
    for statement in ["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"] {
        sql::run(&mut inside, statement).await.unwrap();
    }
    let pod = Job::storing(&world, 0, store);
    stored(pod.run(&world, &job(&world, store, &[0], key)).await);
    world
}

/// A try with these lines more in `my.cnf`.
fn trial(world: &World, store: &Server, more: &str) -> BackupJob {
    let running = fs::read_to_string(world.members[0].path("config/my.cnf")).unwrap();
    BackupJob::Rehearse { location: location(world, store), my_cnf: format!("{running}\n[mysqld]\n{more}\n") }
}

fn reason(report: JobReport) -> String {
    match report {
        JobReport::Failed { reason, for_good: true } => reason,
        other => panic!("it did not fail for good: {other:?}"),
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_an_update_is_rehearsed_on_a_backup_and_touches_nothing_else() {
    let store = Server::with_tls();
    let world = backed_up(&store, Some("first")).await;
    let objects = store.objects(&location(&world, &store).path);
    let before = world.state(0).await.data.unwrap().executed;
    let pod = Job::storing(&world, 0, &store);
    match pod.run(&world, &trial(&world, &store, "max_connections=77")).await {
        JobReport::Rehearsed { version, tables } => {
            assert!(version.starts_with("9.7.") && tables > 30, "{version}, {tables} tables");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.objects(&location(&world, &store).path), objects);
    assert_eq!(world.state(0).await.data.unwrap().executed, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_what_the_new_server_refuses_is_said_in_its_own_words_and_leaves_nothing() {
    let store = Server::new();
    let world = backed_up(&store, None).await;
    let pod = Job::storing(&world, 0, &store);
    let volume = pod.path("volume");
    for (line, words) in [
        ("no_such_setting=1", "unknown variable 'no_such_setting=1'"),
        ("binlog_format=NOPE", "Error while setting value 'NOPE' to 'binlog_format'"),
    ] {
        let reason = reason(pod.run(&world, &trial(&world, &store, line)).await);
        assert!(reason.contains("take the settings") && reason.contains(words), "{reason}");
        assert!(is_empty(&volume), "nothing was fetched for a server that does not start");
    }
    // What only shows when the server opens the data.
    let odd = "innodb_undo_directory=/nowhere/at/all";
    let reason = reason(pod.run(&world, &trial(&world, &store, odd)).await);
    for words in ["upgrade the copy", "Invalid Filename", "Data Dictionary initialization failed"] {
        assert!(reason.contains(words), "{reason}");
    }
}
