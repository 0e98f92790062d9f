//! Dumps beside other backups, and clusters that begin with one (A29).

use super::backup_news::ready;
use super::world::World;
use crate::backup::{RestoreSource, TargetSecrets};
use crate::beginning::Origin;
use crate::decide;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::Action;
use crate::view::{BackupOrigin, BackupSeen, ClusterView, RestoreLook};
use porpoise_crds::{BackupLocation, BackupMethod, BackupPhase};
use serde_json::{Value, json};
use std::time::Duration;

fn view() -> ClusterView {
    let mut view = World::healthy(3).view();
    let spec = json!({"target": {"s3": {"bucket": "safe"}}, "method": "Logical", "retention": {"keepLast": 1},
                      "onDemand": {"requestId": "now"}});
    view.object.spec.backup = serde_json::from_value(spec).unwrap();
    view.now = "2026-11-21T12:00:00Z".parse().unwrap();
    view
}

fn seen(method: BackupMethod, day: u8) -> BackupSeen {
    let completed = Some(format!("2026-11-{day:02}T03:10:00Z").parse().unwrap());
    BackupSeen {
        method,
        completed,
        created: completed,
        origin: BackupOrigin::Schedule,
        phase: Some(BackupPhase::Succeeded),
        verified: true,
        ..BackupSeen::default()
    }
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

#[test]
fn a29_backups_of_a_cluster_are_made_by_its_method() {
    let plan = decided(&view());
    let made: Vec<BackupMethod> = plan.backups.iter().map(|backup| backup.spec.method).collect();
    assert_eq!(made, [BackupMethod::Logical]);
}

#[test]
fn a29_no_dump_replaces_the_last_physical_backup() {
    let mut view = view();
    for (name, method, day) in [
        ("files-old", BackupMethod::Physical, 16),
        ("files-new", BackupMethod::Physical, 17),
        ("dump-old", BackupMethod::Logical, 18),
        ("dump-new", BackupMethod::Logical, 19),
    ] {
        view.backups.insert(name.to_owned(), seen(method, day));
    }
    let plan = decided(&view);
    let retired: Vec<&str> = plan.retired_backups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(retired, ["files-old", "dump-old"]);
}

/// Dumps of single databases come by hand, as often as somebody likes.
#[test]
fn a29_single_databases_are_no_backup_of_the_cluster() {
    let mut view = view();
    let spec = view.object.spec.backup.as_mut().unwrap();
    spec.schedule = Some("0 3 * * *".to_owned());
    spec.verify = serde_json::from_value(json!({"mode": "Schedule", "schedule": "0 5 * * *"})).unwrap();
    view.object.status = Some(decided(&view).status);
    view.now = "2026-11-22T06:00:00Z".parse().unwrap();
    let history = crate::line::recorded_history(&view.object);
    let ours = |partial: bool, day: u8| BackupSeen {
        partial,
        origin: if partial { BackupOrigin::Hand } else { BackupOrigin::Schedule },
        cluster: Some(history.clone()),
        ..seen(BackupMethod::Logical, day)
    };
    view.backups.insert("one-database".to_owned(), ours(true, 22));
    let reason = |plan: &Plan| ready(plan).unwrap().1;
    let plan = decided(&view);
    let status = plan.status.backup.clone().unwrap();
    assert_eq!((status.last_success, status.last_verified), (None, None));
    assert!(status.due_since.is_some() && plan.verifications.is_empty() && reason(&plan) == "NoneYet");

    view.backups.insert("whole".to_owned(), ours(false, 21));
    view.backups.insert("new".to_owned(), BackupSeen { verified: false, ..ours(false, 22) });
    let plan = decided(&view);
    assert!(plan.retired_backups.is_empty(), "the newest that is verified goes: {:?}", plan.retired_backups);
    assert_eq!(plan.verifications.first().unwrap().backup, "new");
    assert!(plan.status.backup.as_ref().unwrap().due_since.is_none() && reason(&plan) == "LastSucceeded");
}

#[test]
fn a29_no_update_stands_on_a_dump() {
    let view = view();
    let fresh = |method| seen(method, 21).is_fresh(&view.object, Duration::from_hours(24), view.now);
    assert!(fresh(BackupMethod::Physical) && !fresh(BackupMethod::Logical));
}

/// What the first member of a cluster is ordered to begin with, and the wish that it is for.
fn begun(import: &Value, location: BackupLocation) -> (Origin, String) {
    let mut world = World::new(3);
    world.object.spec.bootstrap = Some(serde_json::from_value(json!({"import": import})).unwrap());
    let source = RestoreSource { location, secrets: TargetSecrets::default(), point: None };
    world.restore = Some(RestoreLook::Ready(Box::new(source)));
    for _ in 0..20 {
        world.passes(1);
        for order in &world.last.orders {
            if let Action::Begin { origin, request } = &order.action {
                return (origin.as_ref().clone(), request.clone());
            }
        }
    }
    panic!("nothing begins: {}", world.last.reason)
}

fn location(path: &str) -> BackupLocation {
    serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}, "path": path})).unwrap()
}

#[test]
fn a29_a_cluster_begins_with_a_dump_and_another_one_is_another_wish() {
    let begun = |path: &str| {
        let (origin, request) = begun(&json!({"location": location(path)}), location(path));
        let Origin::Dump { source } = origin else { panic!("{origin:?}") };
        (source.location.path, request)
    };
    let (one, other) = (begun("prod/a"), begun("prod/b"));
    assert_eq!((one.0.as_str(), other.0.as_str()), ("prod/a", "prod/b"));
    assert_ne!(one.1, other.1);
}

#[test]
fn a29_a_file_of_statements_goes_with_the_database_that_is_named() {
    let begun = |database: Option<&str>| {
        let mut file = serde_json::to_value(location("exports/shop.sql")).unwrap();
        file["database"] = json!(database);
        let (origin, request) = begun(&json!({"file": file}), location("exports/shop.sql"));
        let Origin::File { source, database } = origin else { panic!("{origin:?}") };
        assert_eq!(source.location.path, "exports/shop.sql");
        (database, request)
    };
    let (one, other) = (begun(None), begun(Some("shop")));
    assert_eq!((one.0, other.0.as_deref()), (None, Some("shop")));
    assert_ne!(one.1, other.1, "another database is another wish");
}
