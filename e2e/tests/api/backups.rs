//! Backups and restores: both kinds, both ways.

use crate::{accepts, api, backups, merge, rejects, with};
use kube::Resource;
use porpoise_crds::MySQLBackup;
use serde_json::{Value, json};

/// A backup with this name and spec.
fn backup(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": MySQLBackup::api_version(&()), "kind": MySQLBackup::kind(&()),
        "metadata": {"name": name}, "spec": spec,
    })
}

#[tokio::test]
async fn a30_backups_are_checked() {
    let api = backups(&api().await);
    let of_shop = || json!({"clusterRef": {"name": "shop"}});
    let stored = accepts(&api, "only a cluster", backup("shop-a", &of_shop())).await;
    assert_eq!(stored["spec"]["deletionPolicy"], "Delete");
    assert_eq!(stored["spec"]["method"], "Physical");
    let of = |method: &str, databases: &[&str]| json!({"clusterRef": {"name": "shop"}, "method": method, "databases": databases});
    accepts(&api, "a dump of two databases", backup("shop-b", &of("Logical", &["orders", "My SQL"]))).await;
    let kept = json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Retain"});
    accepts(&api, "a retained one", backup(&"a".repeat(52), &kept)).await;
    for (case, name, spec, why) in [
        ("a long name", "a".repeat(53), of_shop(), "at most 52 characters"),
        ("a name with a dot", "shop.a".to_owned(), of_shop(), "at most 52 characters"),
        ("no cluster", "shop-a".to_owned(), json!({}), "spec.clusterRef: Required value"),
        ("a null cluster", "shop-a".to_owned(), json!({"clusterRef": null}), "spec.clusterRef"),
        (
            "an unknown policy",
            "shop-a".to_owned(),
            json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Burn"}),
            "Unsupported value",
        ),
        ("an unknown method", "shop-a".to_owned(), of("Magical", &[]), "Unsupported value"),
        ("files of one database", "shop-a".to_owned(), of("Physical", &["orders"]), "choose method: Logical"),
        ("the server's own", "shop-a".to_owned(), of("Logical", &["MySQL"]), "name databases of users"),
    ] {
        rejects(&api, case, backup(&name, &spec), why).await;
    }
}

#[tokio::test]
async fn a29_the_backups_of_a_cluster_are_checked() {
    let api = api().await;
    let safe = || json!({"target": {"s3": {"bucket": "safe"}}});
    let with_backup = |change: Value| {
        let mut backup = safe();
        merge(&mut backup, change);
        with(json!({"backup": backup}))
    };
    let stored = accepts(&api, "only a bucket", with_backup(json!({}))).await;
    let backup = &stored["spec"]["backup"];
    assert_eq!((&backup["timeZone"], &backup["from"]), (&json!("UTC"), &json!("PreferReplica")));
    assert_eq!(backup["retention"]["keepLast"], 7);
    assert_eq!(backup["verify"], json!({"mode": "AfterEach", "checksums": true}));
    assert_eq!(backup["target"]["s3"]["forcePathStyle"], true);
    assert_eq!(backup["binlogArchive"], json!({"mode": "Continuous", "maxDelay": "1s"}));
    for (case, change) in [
        ("a schedule", json!({"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"})),
        ("a request", json!({"onDemand": {"requestId": "before-migration"}})),
        ("Azure", json!({"target": {"s3": null, "azure": {"account": "shopbackups", "container": "safe"}}})),
        ("Google", json!({"target": {"s3": null, "gcs": {"bucket": "safe_2026", "prefix": "prod/mysql"}}})),
        ("a verification", json!({"verify": {"mode": "Schedule", "schedule": "0 5 * * 0"}})),
        ("no verification", json!({"verify": {"mode": "Off"}})),
        ("a window", json!({"retention": {"keepLast": 1, "window": "30d"}})),
        ("the longest window", json!({"retention": {"window": "9999d"}})),
        ("a volume", json!({"target": {"s3": null, "volume": {"size": "5Gi", "storageClassName": "slow"}}})),
        ("a claim", json!({"target": {"s3": null, "volume": {"claimName": "safe"}}})),
        ("no archive", json!({"binlogArchive": {"mode": "Off"}})),
        ("the shortest delay", json!({"binlogArchive": {"maxDelay": "200ms"}})),
        ("the longest delay", json!({"binlogArchive": {"maxDelay": "60m"}})),
        ("a key", json!({"encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026-11"}})),
        (
            "a store",
            json!({"target": {"s3": {"endpoint": "https://minio.example:9000", "prefix": "prod/mysql"}}}),
        ),
    ] {
        accepts(&api, case, with_backup(change)).await;
    }
    let last = json!({"storage": {"deletionPolicy": "BackupThenDelete"}});
    rejects(&api, "a last backup without a target", with(last.clone()), "needs spec.backup").await;
    let mut with_target = with_backup(json!({}));
    merge(&mut with_target["spec"], last);
    accepts(&api, "a last backup", with_target).await;
    let required = json!({"update": {"backupBefore": "Required", "backupMaxAge": "30m"}});
    rejects(&api, "Required without a target", with(required.clone()), "needs spec.backup").await;
    let mut with_target = with_backup(json!({}));
    merge(&mut with_target["spec"], required);
    accepts(&api, "Required", with_target).await;
    let rehearsed = json!({"update": {"rehearsal": "Required"}});
    rejects(&api, "a rehearsal without a target", with(rehearsed.clone()), "needs a backup to rehearse on")
        .await;
    let mut with_target = with_backup(json!({}));
    merge(&mut with_target["spec"], rehearsed);
    accepts(&api, "a rehearsal", with_target.clone()).await;
    merge(&mut with_target["spec"], json!({"update": {"backupBefore": "Skip"}}));
    rejects(&api, "a rehearsal without a backup", with_target, "needs a backup to rehearse on").await;
    let young = with(json!({"update": {"backupMaxAge": "10s"}}));
    rejects(&api, "a backup that is too young", young, "1m or more").await;
    for (case, change, why) in [
        ("no target", json!({"target": {"s3": null}}), "spec.backup.target"),
        ("two targets", json!({"target": {"volume": {"claimName": "safe"}}}), "name one target"),
        ("two clouds", json!({"target": {"gcs": {"bucket": "safe"}}}), "name one target"),
        (
            "a bucket with a path",
            json!({"target": {"s3": null, "gcs": {"bucket": "safe/prod"}}}),
            "spec.backup.target.gcs.bucket",
        ),
        ("no claim", json!({"target": {"s3": null, "volume": {}}}), "name either claimName"),
        (
            "a claim and a size",
            json!({"target": {"s3": null, "volume": {"claimName": "safe", "size": "5Gi"}}}),
            "name either claimName",
        ),
        (
            "a claim with a class",
            json!({"target": {"s3": null, "volume": {"claimName": "safe", "storageClassName": "slow"}}}),
            "goes with size only",
        ),
        ("a small volume", json!({"target": {"s3": null, "volume": {"size": "1M"}}}), "at least 1Gi"),
        ("a claim's path", json!({"target": {"s3": null, "volume": {"claimName": "a/b"}}}), "should match"),
        ("no bucket", json!({"target": {"s3": {"bucket": ""}}}), "spec.backup.target.s3.bucket"),
        ("a prefix from the root", json!({"target": {"s3": {"prefix": "/a"}}}), "should match"),
        (
            "an endpoint without a scheme",
            json!({"target": {"s3": {"endpoint": "minio:9000"}}}),
            "should match",
        ),
        ("nothing to keep", json!({"retention": {"keepLast": 0}}), "greater than or equal to 1"),
        ("a verification at no time", json!({"verify": {"mode": "Schedule"}}), "needs verify.schedule"),
        ("a time for no verification", json!({"verify": {"schedule": "0 5 * * 0"}}), "needs verify.schedule"),
        ("no window", json!({"retention": {"window": "0d"}}), "such as 30d"),
        ("a window in minutes", json!({"retention": {"window": "60m"}}), "whole hours or days"),
        ("a request in capitals", json!({"onDemand": {"requestId": "Now"}}), "should match"),
        ("a long request", json!({"onDemand": {"requestId": "a".repeat(21)}}), "may not be more than 20"),
        ("an unknown source", json!({"from": "Anybody"}), "Unsupported value"),
        ("an unknown method", json!({"method": "Tape"}), "Unsupported value"),
        ("a class in capitals", json!({"volumeSnapshotClassName": "Quick"}), "should match"),
        ("a short delay", json!({"binlogArchive": {"maxDelay": "100ms"}}), "the delay must be 200ms or more"),
        ("a long delay", json!({"binlogArchive": {"maxDelay": "61m"}}), "the time must be 60m or less"),
        ("no delay", json!({"binlogArchive": {"maxDelay": "soon"}}), "should match"),
        ("an unknown archive", json!({"binlogArchive": {"mode": "Now"}}), "Unsupported value"),
        ("a key without a Secret", json!({"encryption": {"keyName": "a"}}), "keySecretRef: Required value"),
    ] {
        rejects(&api, case, with_backup(change), why).await;
    }
}

#[tokio::test]
async fn a30_a_restore_names_one_backup() {
    let api = api().await;
    let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/u1/shop-a"});
    let restore = |restore: Value| with(json!({"bootstrap": {"restore": restore}}));
    accepts(&api, "a backup", restore(json!({"backupRef": {"name": "shop-a"}}))).await;
    accepts(&api, "a place", restore(json!({"location": location}))).await;
    for (case, spec) in
        [("neither", json!({})), ("both", json!({"backupRef": {"name": "shop-a"}, "location": location}))]
    {
        rejects(&api, case, restore(spec), "name either backupRef").await;
    }
    let outside = json!({"location": {"target": {"s3": {"bucket": "safe"}}, "path": "/shop"}});
    rejects(&api, "a path from the root", restore(outside), "should match").await;
    let volume = |volume: Value| restore(json!({"location": {"target": {"volume": volume}, "path": "shop"}}));
    accepts(&api, "a claim", volume(json!({"claimName": "shop-backups"}))).await;
    rejects(&api, "a volume without a name", volume(json!({"size": "5Gi"})), "by its claimName").await;
}

#[tokio::test]
async fn a30_a_restore_in_place_has_a_name_and_one_source() {
    let api = api().await;
    let restore = |restore: Value| with(json!({ "restore": restore }));
    let backup = json!({"name": "shop-a"});
    let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/u1/shop-a"});
    let point = json!({"time": "2026-11-21T10:00:00Z"});
    accepts(&api, "in place", restore(json!({"requestId": "a", "backupRef": backup, "pointInTime": point})))
        .await;
    for (case, bad, why) in [
        ("no name", json!({"backupRef": backup}), "requestId"),
        ("an empty name", json!({"requestId": "", "backupRef": backup}), "requestId"),
        ("no source", json!({"requestId": "a"}), "name either backupRef"),
        (
            "two sources",
            json!({"requestId": "a", "backupRef": backup, "location": location}),
            "name either backupRef",
        ),
    ] {
        rejects(&api, case, restore(bad), why).await;
    }
}

#[tokio::test]
async fn b29_a_cluster_begins_in_one_way() {
    let api = api().await;
    let begin = |bootstrap: Value| with(json!({ "bootstrap": bootstrap }));
    let (restore, clone) = (json!({"backupRef": {"name": "a"}}), json!({"clusterRef": {"name": "a"}}));
    let entry = json!({"name": "a", "key": "b.sql"});
    let many = |count: usize, text: &str| json!({ "initSql": vec![text; count] });
    let named = |path: &str, database: &str| json!({"import": {"file": {"target": {"s3": {"bucket": "safe"}}, "path": path, "database": database}}});
    let unnamed = json!({"target": {"volume": {"claimName": "exports"}}, "path": "shop.sql"});
    for (case, good) in [
        ("a copy", json!({"clone": clone})),
        ("a file", named("exports/the shop=2026.sql.gz", "shop")),
        ("a file on a volume", json!({"import": {"file": unnamed}})),
        ("a dump", json!({"import": {"backupRef": {"name": "a"}}})),
        ("statements", json!({"initSql": ["SELECT 1"]})),
        ("as many as may be", many(64, "SELECT 1")),
        (
            "both sorts",
            json!({"initSql": ["SELECT 1"], "initSqlFrom": [{"secretKeyRef": entry}, {"configMapKeyRef": entry}]}),
        ),
    ] {
        accepts(&api, case, begin(good)).await;
    }
    let one = "name one way to begin";
    for (case, bad, why) in [
        ("nothing", json!({}), one),
        ("two ways", json!({"restore": restore, "clone": clone}), one),
        ("a backup and a dump", json!({"restore": restore, "import": {"backupRef": {"name": "a"}}}), one),
        ("a dump of nowhere", json!({"import": {}}), "name one dump"),
        (
            "a dump and a file",
            json!({"import": {"backupRef": {"name": "a"}, "file": unnamed}}),
            "name one dump",
        ),
        (
            "a file with a key",
            json!({"import": {"file": unnamed, "keySecretRef": {"name": "a"}}}),
            "store it decrypted",
        ),
        ("a file without a name", named("exports/", "shop"), "path"),
        ("a file for the server's own tables", named("a.sql", "MySQL"), "name one of users"),
        (
            "a file on a volume that is to be made",
            json!({"import": {"file": {"target": {"volume": {"size": "1Gi"}}, "path": "a.sql"}}}),
            "claimName",
        ),
        ("a copy and statements", json!({"clone": clone, "initSql": ["SELECT 1"]}), one),
        ("too many", many(65, "SELECT 1"), "64"),
        ("too long", many(1, &"x".repeat(32_769)), "32768"),
        ("empty", many(1, ""), "initSql"),
        (
            "two entries in one",
            json!({"initSqlFrom": [{"secretKeyRef": entry, "configMapKeyRef": entry}]}),
            "name either secretKeyRef",
        ),
    ] {
        rejects(&api, case, begin(bad), why).await;
    }
}

#[tokio::test]
async fn a30_a_point_in_time_is_one_thing_that_means_something() {
    let api = api().await;
    let to = |point: Value| {
        let restore = json!({"backupRef": {"name": "shop-a"}, "pointInTime": point});
        with(json!({"bootstrap": {"restore": restore}}))
    };
    let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
    for (case, point) in [
        ("all there is", json!({"latest": true})),
        ("a time", json!({"time": "2026-11-21T10:00:00Z"})),
        ("a time of a zone", json!({"time": "2026-11-21T11:00:00.5+01:00"})),
        ("a transaction", json!({"gtid": gtid})),
        ("up to one with a tag", json!({"beforeGtid": "3E11FA47-71CA-11E1-9E33-C80AA9429562:tag_1:7"})),
    ] {
        accepts(&api, case, to(point)).await;
    }
    for (case, point, why) in [
        ("nothing", json!({}), "name one of latest, time, gtid and beforeGtid"),
        ("two", json!({"latest": true, "gtid": gtid}), "name one of latest, time, gtid and beforeGtid"),
        ("not the latest", json!({"latest": false}), "latest can only be true"),
        ("a day", json!({"time": "2026-11-21"}), "pointInTime.time"),
        ("a set", json!({"gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7"}), "should match"),
        ("two transactions", json!({"gtid": format!("{gtid},{gtid}")}), "should match"),
        ("a number alone", json!({"beforeGtid": "7"}), "should match"),
    ] {
        rejects(&api, case, to(point), why).await;
    }
}
