//! What a cluster tells of its backups.

use super::backups::{at, daily, decided, good, status, view};
use crate::plan::Plan;
use crate::view::{BackupSeen, ClusterView};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::BackupPhase;
use serde_json::json;

/// Status, reason and message of `BackupReady`.
pub(super) fn ready(plan: &Plan) -> Option<(String, String, String)> {
    let found = plan.status.conditions.iter().find(|one| one.type_ == "BackupReady").cloned();
    found.map(|one| (one.status, one.reason, one.message))
}

/// What was written since is in none of the backups from before, of this cluster or of a former one of its name.
#[test]
fn a30_after_a_restore_in_place_only_backups_of_the_restored_data_count() {
    let told = |view: &ClusterView| {
        let plan = decided(view);
        (status(&plan).last_success, status(&plan).last_verified, ready(&plan).unwrap())
    };
    let mut view = view("2026-11-21T12:00:00Z", &json!({}));
    let of = |history: &str| Some(history.to_owned());
    let failed = BackupSeen { phase: Some(BackupPhase::Failed), verified: false, ..good(19) };
    view.backups.insert(daily(18), BackupSeen { cluster: of("c1a5ter"), ..good(18) });
    view.backups.insert(daily(19), BackupSeen { cluster: of("a former one"), ..failed });
    let day = |day: u8| Some(Time(good(day).completed.unwrap()));
    let (last, verified, (truth, reason, _)) = told(&view);
    assert_eq!((last, verified), (day(18), day(18)));
    assert_eq!((truth.as_str(), reason.as_str()), ("True", "LastSucceeded"));

    view.object.status.as_mut().unwrap().line = Some(2);
    let (last, verified, (truth, reason, message)) = told(&view);
    assert_eq!((last, verified), (None, None));
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "NoneYet"));
    assert!(message.starts_with("no backup of the restored data") && message.contains("make a MySQLBackup"));
    view.backups.insert(daily(20), BackupSeen { cluster: of("c1a5ter.2"), ..good(20) });
    let (last, _, (_, reason, message)) = told(&view);
    assert_eq!((last, reason.as_str()), (day(20), "LastSucceeded"), "{message}");
}

#[test]
fn status_and_condition_tell_how_the_backups_stand() {
    let told = |view: &ClusterView| ready(&decided(view));
    let mut view = view("2026-11-21T12:00:00Z", &json!({}));
    let (truth, reason, _) = told(&view).unwrap();
    assert_eq!((truth.as_str(), reason.as_str()), ("Unknown", "NoneYet"));
    view.backups.insert(daily(18), good(18));
    view.backups.insert(daily(19), BackupSeen { verified: false, ..good(19) });
    let stands = status(&decided(&view));
    assert_eq!(stands.last_success, Some(Time(at("2026-11-19T03:10:00Z"))));
    assert_eq!(stands.last_verified, Some(Time(at("2026-11-18T03:10:00Z"))));
    assert_eq!(told(&view).unwrap().1, "LastSucceeded");
    let waiting = BackupSeen { completed: None, phase: Some(BackupPhase::Pending), ..good(20) };
    view.backups.insert(daily(20), waiting);
    let (truth, reason, message) = told(&view).unwrap();
    assert_eq!((truth.as_str(), reason.as_str()), ("Unknown", "Waiting"));
    assert!(message.contains("waits: the bucket is full"));
    view.backups.insert(daily(21), BackupSeen { phase: Some(BackupPhase::Failed), ..good(21) });
    let (truth, reason, message) = told(&view).unwrap();
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "LastFailed"));
    assert_eq!(message, "shop-202611210300 failed: the bucket is full");
    view.backups.insert(daily(22), good(22));
    assert_eq!(told(&view).unwrap().0, "Unknown", "a newer one is there, and only that counts");
    view.object.spec.backup = None;
    assert_eq!(told(&view), None);
    assert_eq!(decided(&view).status.backup, None);
}
