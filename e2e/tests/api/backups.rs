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
    assert_eq!(backup["target"]["s3"]["forcePathStyle"], true);
    for (case, change) in [
        ("a schedule", json!({"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"})),
        ("a request", json!({"onDemand": {"requestId": "before-migration"}})),
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
    for (case, change, why) in [
        ("no target", json!({"target": {"s3": null}}), "spec.backup.target"),
        ("no bucket", json!({"target": {"s3": {"bucket": ""}}}), "spec.backup.target.s3.bucket"),
        ("a prefix from the root", json!({"target": {"s3": {"prefix": "/a"}}}), "should match"),
        (
            "an endpoint without a scheme",
            json!({"target": {"s3": {"endpoint": "minio:9000"}}}),
            "should match",
        ),
        ("nothing to keep", json!({"retention": {"keepLast": 0}}), "greater than or equal to 1"),
        ("a request in capitals", json!({"onDemand": {"requestId": "Now"}}), "should match"),
        ("a long request", json!({"onDemand": {"requestId": "a".repeat(21)}}), "may not be more than 20"),
        ("an unknown source", json!({"from": "Anybody"}), "Unsupported value"),
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
}
