//! Passes against an API server that is a function.

use super::*;
use crate::testing::{Call, Calls, cluster, context, refusal, server};
use porpoise_crds::{BACKUP_FINALIZER, BackupPhase};
use serde_json::{Value, json};

mod kills;

const BACKUPS: &str = "/apis/mysql.porpoise.dev/v1alpha1/namespaces/prod/mysqlbackups/shop-a";
const JOBS: &str = "/apis/batch/v1/namespaces/prod/jobs";

fn backup(change: impl FnOnce(&mut MySQLBackup)) -> MySQLBackup {
    let mut object: MySQLBackup = serde_json::from_value(json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
        "metadata": {
            "name": "shop-a", "namespace": "prod", "uid": "bac4up", "resourceVersion": "7",
            "finalizers": [BACKUP_FINALIZER],
        },
        "spec": {"clusterRef": {"name": "shop"}},
    }))
    .unwrap();
    change(&mut object);
    object
}

/// `shop`, with a target and one ready replica.
fn shop() -> Value {
    let mut shop = serde_json::to_value(cluster()).unwrap();
    shop["spec"]["backup"] =
        json!({"target": {"s3": {"bucket": "safe", "credentialsSecretRef": {"name": "store"}}}});
    shop["status"] =
        json!({"phase": "Healthy", "instances": [{"name": "shop-1", "role": "Replica", "ready": true}]});
    shop
}

fn usual(call: &Call) -> (u16, Value) {
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/api/v1/namespaces/prod") => {
            (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}))
        }
        ("GET", path) if path.ends_with("mysqlclusters/shop") => (200, shop()),
        ("GET", path) if path.ends_with("secrets/store") => (
            200,
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"},
                "data": {"accessKeyId": "aWQ=", "secretAccessKey": "a2V5"},
            }),
        ),
        ("GET", _) => refusal(404, "NotFound"),
        _ => (200, call.body.clone()),
    }
}

async fn reconciled(
    object: MySQLBackup,
    answer: impl Fn(&Call) -> Option<(u16, Value)> + Send + Sync + 'static,
) -> (Next, Calls) {
    let (client, calls) = server(answer);
    let (context, _until) = context(&client);
    (Box::pin(pass(&object, &context)).await.unwrap(), calls)
}

fn writes(calls: &Calls) -> Vec<String> {
    let all = calls.lines().into_iter();
    all.filter(|line| !line.starts_with("GET") && !line.contains("events.k8s.io")).collect()
}

#[tokio::test]
async fn a29_a_backup_is_recorded_before_its_job_is_made() {
    let (next, calls) = reconciled(backup(|_| {}), |call| Some(usual(call))).await;
    assert_eq!(
        writes(&calls),
        [
            format!("PUT {BACKUPS}/status"),
            "PATCH /api/v1/namespaces/prod/serviceaccounts/shop-backup".to_owned(),
            format!("POST {JOBS}"),
        ]
    );
    let recorded = calls.all().into_iter().find(|call| call.method == "PUT").unwrap().body;
    assert_eq!(recorded["metadata"]["resourceVersion"], "7");
    assert_eq!((&recorded["status"]["phase"], &recorded["status"]["jobs"]), (&json!("Running"), &json!(1)));
    assert!(matches!(next, Next::After(_)));
    assert!(!format!("{:?}", calls.all()).contains("a2V5"), "no Secret's value goes anywhere");
}

#[tokio::test]
async fn no_job_is_made_on_what_was_read_too_early() {
    let (next, calls) = reconciled(backup(|_| {}), |call| {
        Some(if call.method == "PUT" { refusal(409, "Conflict") } else { usual(call) })
    })
    .await;
    assert_eq!(writes(&calls), [format!("PUT {BACKUPS}/status")]);
    assert!(!calls.lines().iter().any(|line| line.contains("events.k8s.io")), "nothing happened to tell of");
    assert_eq!(next, Next::After(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_new_backup_is_guarded_first() {
    let (_, calls) =
        reconciled(backup(|object| object.metadata.finalizers = None), |call| Some(usual(call))).await;
    assert_eq!(writes(&calls), [format!("PATCH {BACKUPS}")]);
    let patch = calls.all().into_iter().find(|call| call.method == "PATCH").unwrap().body;
    assert_eq!(patch["metadata"], json!({"resourceVersion": "7", "finalizers": [BACKUP_FINALIZER]}));
}

#[tokio::test]
async fn thousands_of_records_cost_no_call() {
    let over = backup(|object| object.status.get_or_insert_default().phase = Some(BackupPhase::Succeeded));
    let (next, calls) = reconciled(over, |_| None).await;
    assert!(calls.lines().is_empty());
    assert!(matches!(next, Next::After(pause) if pause >= Duration::from_mins(30)));
}

#[tokio::test]
async fn a_job_that_runs_is_stopped_before_its_backup_is_let_go() {
    let leaving = backup(|object| {
        object.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-21T03:00:00Z")).unwrap();
        object.spec.deletion_policy = porpoise_crds::BackupDeletionPolicy::Retain;
    });
    let (next, calls) = reconciled(leaving, |call| {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "status": {"active": 1},
            "metadata": {"name": "shop-a-store", "namespace": "prod", "uid": "j0b", "ownerReferences": [{
                "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "name": "shop-a", "uid": "bac4up",
                "controller": true,
            }]},
        });
        Some(match (call.method.as_str(), call.path.as_str()) {
            ("GET", path) if path.ends_with("jobs/shop-a-store") => (200, job),
            ("GET", "/api/v1/namespaces/prod/pods") => {
                (200, json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []}))
            }
            _ => usual(call),
        })
    })
    .await;
    assert_eq!(writes(&calls), [format!("DELETE {JOBS}/shop-a-store"), format!("PATCH {BACKUPS}")]);
    let all = calls.all();
    let deletion = &all.iter().find(|call| call.method == "DELETE").unwrap().body;
    assert_eq!(
        (&deletion["propagationPolicy"], &deletion["preconditions"]["uid"]),
        (&json!("Foreground"), &json!("j0b"))
    );
    let last = &all.iter().rfind(|call| call.method == "PATCH").unwrap().body;
    assert_eq!(last["metadata"]["finalizers"], json!([]));
    assert_eq!(next, Next::Gone);
}

#[tokio::test]
async fn a_step_that_fails_is_told_and_tried_again_soon() {
    let (next, calls) = reconciled(backup(|_| {}), |call| {
        let refused = call.method == "POST" && call.path == JOBS;
        Some(if refused { refusal(403, "Forbidden") } else { usual(call) })
    })
    .await;
    assert_eq!(next, Next::Failed { failures: 1, at_most: LONGEST });
    let told = calls.all().into_iter().filter(|call| call.path.contains("events.k8s.io"));
    let reasons: Vec<_> = told.map(|call| call.body["reason"].clone()).collect();
    assert!(reasons.contains(&json!("ApplyObject")), "{reasons:?}");
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_no_missing_cluster() {
    let (client, _) = server(|call| {
        Some(if call.path.ends_with("mysqlclusters/shop") {
            refusal(500, "InternalError")
        } else {
            usual(call)
        })
    });
    let (context, _until) = context(&client);
    let error = Box::pin(pass(&backup(|_| {}), &context)).await.unwrap_err();
    assert_eq!(
        chain(&error).split(": ").take(2).collect::<Vec<_>>(),
        ["observe the backup", "read MySQLCluster shop"]
    );
}

const SNAPSHOTS: &str = "/apis/snapshot.storage.k8s.io/v1";

/// The same API server with the API for snapshots.
fn with_snapshots(call: &Call) -> (u16, Value) {
    let listed = json!({
        "name": "volumesnapshots", "singularName": "", "namespaced": true, "kind": "VolumeSnapshot", "verbs": [],
    });
    let list = json!({"kind": "APIResourceList", "groupVersion": "", "resources": [listed]});
    if call.path == SNAPSHOTS { (200, list) } else { usual(call) }
}

fn of_snapshot() -> MySQLBackup {
    backup(|object| object.spec.method = porpoise_crds::BackupMethod::VolumeSnapshot)
}

#[tokio::test]
async fn a10_a_snapshot_is_recorded_before_it_is_made() {
    let (_, calls) = reconciled(of_snapshot(), |call| Some(with_snapshots(call))).await;
    let made = format!("POST {SNAPSHOTS}/namespaces/prod/volumesnapshots");
    assert_eq!(writes(&calls), [format!("PUT {BACKUPS}/status"), made]);
    let all = calls.all();
    let recorded = &all.iter().find(|call| call.method == "PUT").unwrap().body["status"];
    assert_eq!(recorded["snapshot"], json!({"name": "shop-a", "claim": "data-shop-1"}));
    let snapshot = &all.iter().find(|call| call.path.ends_with("volumesnapshots")).unwrap().body;
    assert_eq!(snapshot["kind"], "VolumeSnapshot");
    assert_eq!(snapshot["spec"], json!({"source": {"persistentVolumeClaimName": "data-shop-1"}}));
    assert!(!calls.lines().iter().any(|line| line.contains("secrets")), "it needs no Secret");
}

#[tokio::test]
async fn a10_without_the_api_nothing_is_made_and_the_status_says_why() {
    let (_, calls) = reconciled(of_snapshot(), |call| Some(usual(call))).await;
    assert_eq!(writes(&calls), [format!("PUT {BACKUPS}/status")]);
    let recorded = calls.all().into_iter().find(|call| call.method == "PUT").unwrap().body;
    assert_eq!(recorded["status"]["phase"], "Pending");
    let message = recorded["status"]["message"].as_str().unwrap();
    assert!(message.contains("install the snapshot CRDs"), "{message}");
}

/// The same API server, where the operator may not see snapshots.
fn without_permission(call: &Call) -> (u16, Value) {
    if call.path.contains("volumesnapshots") { refusal(403, "Forbidden") } else { usual(call) }
}

#[tokio::test]
async fn a10_a_snapshot_that_nobody_may_see_is_said() {
    let (_, calls) = reconciled(of_snapshot(), |call| Some(without_permission(call))).await;
    assert_eq!(writes(&calls), [format!("PUT {BACKUPS}/status")]);
    let recorded = calls.all().into_iter().find(|call| call.method == "PUT").unwrap().body;
    assert_eq!(recorded["status"]["phase"], "Pending");
    let message = recorded["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("VolumeSnapshot shop-a cannot be read now: "), "{message}");
}

#[tokio::test]
async fn a10_a_deletion_does_not_hang_on_a_snapshot_that_nobody_may_see() {
    let leaving = backup(|object| {
        object.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-21T03:00:00Z")).unwrap();
        let snapshot = json!({"name": "shop-a", "claim": "data-shop-1"});
        object.status = serde_json::from_value(json!({"phase": "Succeeded", "snapshot": snapshot})).unwrap();
    });
    let (next, calls) = reconciled(leaving, |call| Some(without_permission(call))).await;
    assert_eq!(writes(&calls), [format!("PUT {BACKUPS}/status")], "it says that it waits");
    assert!(matches!(next, Next::After(_)), "its deadline comes");
}
