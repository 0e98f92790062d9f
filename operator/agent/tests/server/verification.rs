//! Copies are compared with their donor, and stored backups are looked at where they are, with real servers and a real store.

use crate::backup::{Job, job, location, prepared, stored, transactions, unverified};
use crate::sql;
use porpoise_core::backup::{BackupJob, JobReport, TargetSecrets};
use porpoise_core::gtid::GtidSet;
use std::collections::BTreeMap;
use std::fs;

/// A copy is taken of a replica that goes on. What it wrote meanwhile is told from what is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_copy_is_compared_with_a_donor_that_goes_on() {
    let (world, store, pod) = prepared(1).await;
    // It writes to one table all the time.
    let mut writer = sql::inside(&world.members[0]).await;
    let writing = tokio::spawn(async move {
        for id in 10.. {
            let row = format!("INSERT INTO sh_op.parts VALUES ({id}, 2026)");
            if sql::run(&mut writer, &row).await.is_err() {
                break;
            }
        }
    });
    let summary = stored(pod.run(&world, &job(&world, &store, &[1], None)).await);
    writing.abort();
    let compared = summary.compared.unwrap_or_else(|| panic!("nothing was compared: {}", pod.log()));
    assert_eq!(compared.donor, "shop-1");
    assert_eq!((compared.changed, compared.skipped), (1, 0), "{compared:?}");
    assert!(compared.tables >= 2 && compared.rows >= 8 && compared.digest.len() == 64, "{compared:?}");

    // A row changes behind the binlog's back after the copy was taken: that is what a donor that lies looks like.
    let remove = BackupJob::Remove { location: location(&world, &store) };
    assert_eq!(pod.run(&world, &remove).await, JobReport::Removed);
    let mut donor = sql::inside(&world.members[0]).await;
    sql::run(&mut donor, "SET SESSION sql_log_bin = 0").await.unwrap();
    let lying = tokio::spawn(async move {
        for number in 0.. {
            let change = format!("UPDATE sh_op.things SET price = {number}");
            if sql::run(&mut donor, &change).await.is_err() {
                break;
            }
        }
    });
    let report = pod.run(&world, &job(&world, &store, &[0], None)).await;
    lying.abort();
    let JobReport::Failed { reason, for_good: true } = &report else { panic!("{report:?}\n{}", pod.log()) };
    assert!(reason.contains("find sh_op.things on the copy as it is on shop-0"), "{reason}");
    // What was stored meanwhile is no backup without it.
    let stored = store.objects(&location(&world, &store).path);
    assert!(!stored.iter().any(|name| name.ends_with("manifest.json")), "{stored:?}");
}

/// Stored without a look, then looked at where it is: in order, and damaged in two ways.
#[tokio::test(flavor = "multi_thread")]
async fn a30_a_stored_backup_is_verified_and_damage_is_told_from_trouble() {
    let (world, store, pod) = prepared(0).await;
    let wish = unverified(job(&world, &store, &[0], Some("first")));
    let known = transactions(&world).await;
    let summary = stored(pod.run(&world, &wish).await);
    assert_eq!((summary.verified, summary.tables), (false, 0));
    assert!(GtidSet::parse(&summary.gtid_set.unwrap()).unwrap().contains(&known), "it knows what it holds");

    let look = BackupJob::Verify { location: location(&world, &store) };
    let other = Job::new(&world, 0);
    other.give(&TargetSecrets { keys: BTreeMap::new(), ..store.secrets() });
    let report = other.run(&world, &look).await;
    assert!(
        matches!(&report, JobReport::Failed { for_good: true, reason } if reason.contains("encryption key")),
        "without a key nothing is known: {report:?}"
    );
    other.give(&store.secrets());
    let report = other.run(&world, &look).await;
    assert!(matches!(report, JobReport::Verified { tables } if tables > 30), "{report:?}");

    let folder = store.folder(&location(&world, &store).path);
    let chunk = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| !path.ends_with("manifest.json"));
    let chunk = chunk.unwrap();
    let mut bytes = fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&chunk, &bytes).unwrap();
    let report = other.run(&world, &look).await;
    assert!(
        matches!(&report, JobReport::Damaged { reason } if reason.contains("SHA-256")),
        "a flipped bit: {report:?}"
    );
    fs::remove_file(&chunk).unwrap();
    let report = other.run(&world, &look).await;
    assert!(
        matches!(&report, JobReport::Damaged { reason } if reason.contains("missing")),
        "a lost chunk: {report:?}"
    );
}
