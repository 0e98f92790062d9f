//! The gate before members get another image.

use super::world::World;
use crate::build::{self, INPUTS_ANNOTATION, PodInputs};
use crate::decide;
use crate::fixture;
use crate::names::template_line;
use crate::plan::{Deletion, Desired, Plan};
use crate::validate::Settings;
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupBefore, BackupMethod, BackupPhase, Phase, Rehearsal, VersionStatus};
use serde_json::json;

const OLD: &str = "mysql:9.7";
const NEW: &str = "mysql:9.7.2";

/// A Healthy cluster with a target that shall get another image.
fn updating() -> ClusterView {
    let mut view = World::healthy(3).view();
    let old = fixture::cluster_of(&view.object);
    view.stateful_set = Some(build::stateful_set(&old, &PodInputs::default(), 3, None));
    view.object.metadata.creation_timestamp = Some(Time("2026-11-01T00:00:00Z".parse().unwrap()));
    view.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    view.object.spec.image = Some(NEW.to_owned());
    // What is tried on a copy first is in `rehearsal`.
    view.object.spec.update.rehearsal = Rehearsal::Skip;
    view
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

fn template_image(plan: &Plan) -> Option<String> {
    plan.objects.iter().find_map(|object| match object {
        Desired::StatefulSet(set) => {
            set.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone()
        }
        _ => None,
    })
}

fn names(plan: &Plan) -> Vec<String> {
    plan.backups.iter().filter_map(|backup| backup.metadata.name.clone()).collect()
}

fn progressing(plan: &Plan) -> (String, String, String) {
    let found = plan.status.conditions.iter().find(|one| one.type_ == "Progressing").unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn seen(view: &ClusterView, phase: BackupPhase, minutes_ago: i64) -> BackupSeen {
    let then = view.now - jiff::SignedDuration::from_mins(minutes_ago);
    BackupSeen {
        uid: "bac4up".to_owned(),
        created: Some(then),
        origin: BackupOrigin::Update,
        phase: Some(phase),
        completed: phase.is_over().then_some(then),
        method: BackupMethod::Physical,
        partial: false,
        verify_due: None,
        damage: None,
        verified: phase == BackupPhase::Succeeded,
        message: "the bucket is full".to_owned(),
        jobs: 1,
        deleting: false,
        cluster: None,
        location: None,
        gtid_set: None,
        encryption: None,
    }
}

fn has(plan: &Plan, reason: &str) -> bool {
    plan.events.iter().any(|event| event.reason == reason)
}

#[test]
fn d15_the_old_image_stays_in_the_template_until_a_backup_is_verified() {
    let mut view = updating();
    let plan = decided(&view);
    let name = names(&plan).pop().unwrap();
    assert!(name.starts_with("shop-before-"), "{name}");
    assert_eq!(json!(plan.backups[0])["metadata"]["labels"]["mysql.porpoise.dev/origin"], "update");
    assert_eq!(template_image(&plan).as_deref(), Some(OLD));
    assert_eq!(progressing(&plan).1, "BackupRequired");
    for phase in [BackupPhase::Pending, BackupPhase::Running] {
        view.backups.insert(name.clone(), seen(&view, phase, 1));
        let plan = decided(&view);
        assert!(plan.backups.is_empty(), "{phase:?}");
        assert_eq!(template_image(&plan).as_deref(), Some(OLD), "{phase:?}");
    }
    view.backups.insert(name, seen(&view, BackupPhase::Succeeded, 0));
    let plan = decided(&view);
    assert_eq!(template_image(&plan).as_deref(), Some(NEW));
    assert_ne!(progressing(&plan).1, "BackupRequired");
}

/// Whatever is held back: a Pod that restarts meanwhile finds the settings of its own template at once.
#[test]
fn d15_d40_the_settings_name_the_template_that_pods_are_made_from() {
    let mut held = updating();
    for image in [NEW, OLD] {
        held.object.spec.image = Some(image.to_owned());
        let plan = decided(&held);
        let (mut line, mut named) = (String::new(), None);
        for object in &plan.objects {
            match object {
                Desired::ConfigMap(map) => line = map.data.as_ref().unwrap()["my.cnf"].clone(),
                Desired::StatefulSet(set) => {
                    named = json!(set)["spec"]["template"]["metadata"]["annotations"][INPUTS_ANNOTATION]
                        .as_str()
                        .map(template_line);
                }
                _ => {}
            }
        }
        assert!(line.starts_with(&named.unwrap()), "{image}: {line}");
    }
}

#[test]
fn d15_a_young_backup_of_this_cluster_will_do() {
    type Change = fn(&mut BackupSeen);
    let cases: [(&str, i64, Change, &str); 6] = [
        ("young", 9, |_| (), NEW),
        ("old", 11, |_| (), OLD),
        ("from the future", -5, |_| (), OLD),
        ("not verified", 1, |backup| backup.verified = false, OLD),
        ("on its way out", 1, |backup| backup.deleting = true, OLD),
        (
            "of a former cluster",
            1,
            |backup| backup.created = Some("2026-10-31T00:00:00Z".parse().unwrap()),
            OLD,
        ),
    ];
    for (case, minutes, change, want) in cases {
        let mut view = updating();
        let mut backup = seen(&view, BackupPhase::Succeeded, minutes);
        change(&mut backup);
        view.backups.insert("by-hand".to_owned(), backup);
        assert_eq!(template_image(&decided(&view)).as_deref(), Some(want), "{case}");
    }
    let mut patient = updating();
    patient.object.spec.update.backup_max_age = "30m".to_owned();
    patient.backups.insert("by-hand".to_owned(), seen(&patient, BackupPhase::Succeeded, 29));
    assert_eq!(template_image(&decided(&patient)).as_deref(), Some(NEW));
}

#[test]
fn d15_a_failed_backup_changes_nothing_and_says_what_to_do() {
    let mut view = updating();
    let name = names(&decided(&view)).pop().unwrap();
    view.backups.insert(name, seen(&view, BackupPhase::Failed, 1));
    let plan = decided(&view);
    assert_eq!(template_image(&plan).as_deref(), Some(OLD));
    assert!(plan.backups.is_empty() && has(&plan, "UpdateHeld"));
    let (status, reason, message) = progressing(&plan);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "BackupFailed"));
    assert!(message.contains("the bucket is full") && message.contains("Skip"), "{message}");
    let mut later = view.clone();
    later.object.status = Some(plan.status);
    assert!(!has(&decided(&later), "UpdateHeld"), "it is said once");
    view.backups.insert("by-hand".to_owned(), seen(&view, BackupPhase::Succeeded, 1));
    assert_eq!(template_image(&decided(&view)).as_deref(), Some(NEW));
}

#[test]
fn d15_a_backup_that_became_too_old_is_followed_by_another() {
    let mut view = updating();
    let first = names(&decided(&view)).pop().unwrap();
    view.backups.insert(first.clone(), seen(&view, BackupPhase::Succeeded, 60));
    assert_eq!(names(&decided(&view)), [format!("{first}-2")]);
}

#[test]
fn d15_skip_and_no_target_go_on() {
    let mut skipped = updating();
    skipped.object.spec.update.backup_before = BackupBefore::Skip;
    let plan = decided(&skipped);
    assert_eq!(template_image(&plan).as_deref(), Some(NEW));
    assert!(plan.backups.is_empty() && !has(&plan, "UpdateWithoutBackup"));
    let mut bare = updating();
    bare.object.spec.backup = None;
    let plan = decided(&bare);
    assert_eq!(template_image(&plan).as_deref(), Some(NEW));
    assert!(has(&plan, "UpdateWithoutBackup"));
    let mut unborn = updating();
    unborn.object.status.as_mut().unwrap().quorum = None;
    assert_eq!(template_image(&decided(&unborn)).as_deref(), Some(NEW), "there is no data yet");
}

#[test]
fn d15_other_changes_need_no_backup() {
    let mut view = updating();
    view.object.spec.image = None;
    view.object.spec.mysql.config.insert("innodb_page_size".to_owned(), "16K".to_owned());
    let plan = decided(&view);
    assert!(plan.backups.is_empty());
    let before = template(view.stateful_set.as_ref().unwrap());
    let changed = plan.objects.iter().any(|object| match object {
        Desired::StatefulSet(set) => template(set) != before,
        _ => false,
    });
    assert!(changed, "the new settings go on");
}

fn stored(plan: &Plan) -> StatefulSet {
    let mut sets = plan.objects.iter().filter_map(|object| match object {
        Desired::StatefulSet(set) => Some((**set).clone()),
        _ => None,
    });
    sets.next().unwrap()
}

fn template(set: &StatefulSet) -> PodTemplateSpec {
    set.spec.clone().unwrap().template
}

#[test]
fn d15_other_changes_of_the_template_pass_with_the_old_image() {
    let mut view = updating();
    let before = view.stateful_set.clone().unwrap();
    assert_eq!(template(&stored(&decided(&view))), template(&before), "nothing restarts for the wish alone");
    view.object.spec.mysql.config.insert("max_connections".to_owned(), "77".to_owned());
    assert_eq!(template(&stored(&decided(&view))), template(&before), "nor for what a running mysqld takes");
    view.object.spec.mysql.config.insert("innodb_page_size".to_owned(), "16K".to_owned());
    let held = stored(&decided(&view));
    assert_eq!(template_image(&decided(&view)).as_deref(), Some(OLD));
    assert_ne!(template(&held), template(&before), "the new settings go on");
    view.stateful_set = Some(held.clone());
    assert_eq!(stored(&decided(&view)), held, "and that is all");
    let next = Settings { operator_image: "porpoise:next".to_owned(), ..fixture::settings() };
    let plan = decide::plan(&view, &next);
    assert_eq!(template(&stored(&plan)), template(&held), "a new operator restarts nothing (A20)");
    view.backups.insert("by-hand".to_owned(), seen(&view, BackupPhase::Succeeded, 1));
    for settings in [fixture::settings(), next] {
        assert_eq!(template_image(&decide::plan(&view, &settings)).as_deref(), Some(NEW));
    }
}

#[test]
fn d15_another_series_is_held_like_another_image() {
    let mut view = World::healthy(3).view();
    view.object.spec.version = "8.4".to_owned();
    let old = fixture::cluster_of(&view.object);
    let set = build::stateful_set(&old, &PodInputs::default(), 3, None);
    view.stateful_set = Some(set.clone());
    view.object.status.as_mut().unwrap().version =
        Some(VersionStatus { current: Some("8.4.6".to_owned()), target: None });
    view.object.spec.backup = updating().object.spec.backup;
    view.object.spec.version = "9.7".to_owned();
    assert_eq!(stored(&decided(&view)).spec, set.spec);
    view.object.spec.update.backup_before = BackupBefore::Skip;
    assert_eq!(template_image(&decided(&view)).as_deref(), Some("mysql:9.7"));
}

#[test]
fn d15_the_way_back_to_what_the_primary_runs_needs_no_backup() {
    let mut view = updating();
    let broken = fixture::cluster_of(&view.object);
    view.stateful_set = Some(build::stateful_set(&broken, &PodInputs::default(), 3, None));
    view.object.spec.image = Some(OLD.to_owned());
    let held = decided(&view);
    assert_eq!(template_image(&held).as_deref(), Some(NEW), "nobody knows what the primary runs");
    let primary = view.object.status.as_ref().unwrap().primary.clone().unwrap();
    view.pods.get_mut(&primary).unwrap().image = Some(OLD.to_owned());
    let plan = decided(&view);
    assert!(plan.backups.is_empty() && !has(&plan, "UpdateHeld"));
    assert_eq!(template_image(&plan).as_deref(), Some(OLD));
}

#[test]
fn d15_deleting_the_stateful_set_opens_no_gate() {
    let mut view = updating();
    view.stateful_set = None;
    for pod in view.pods.values_mut() {
        pod.image = Some(OLD.to_owned());
    }
    assert_eq!(template_image(&decided(&view)).as_deref(), Some(OLD));
}

#[test]
fn d40_data_does_not_go_back_to_an_older_series_and_the_cluster_runs_on() {
    let mut view = updating();
    view.object.spec.update.backup_before = BackupBefore::Skip;
    view.object.status.as_mut().unwrap().version =
        Some(VersionStatus { current: Some("9.7.4".to_owned()), target: None });
    for (image, want) in [("mysql:8.4.6", Some("Downgrade")), ("mysql:9.7.2", None), ("mysql:ours", None)] {
        view.object.spec.image = Some(image.to_owned());
        let plan = decided(&view);
        let (status, reason, message) = progressing(&plan);
        assert_eq!((reason == "Downgrade").then_some("Downgrade"), want, "{image}");
        let expected = if want.is_some() { OLD } else { image };
        assert_eq!(template_image(&plan).as_deref(), Some(expected));
        if want.is_some() {
            assert!(status == "False" && message.contains("restore a backup"), "{message}");
            assert_eq!(plan.status.phase, Some(Phase::Healthy));
        }
    }
}

#[test]
fn d15_a_held_stateful_set_is_not_replaced_for_larger_volumes() {
    let mut view = updating();
    view.object.spec.storage.size = Quantity("30Gi".to_owned());
    let plan = decided(&view);
    let replaced = |plan: &Plan| {
        plan.deletions.iter().any(|one| matches!(one, Deletion::StatefulSet { orphan: true, .. }))
    };
    assert!(!replaced(&plan));
    assert_eq!(template_image(&plan).as_deref(), Some(OLD));
    // It is applied as it stands, for what else is wanted of it: here the members sleep.
    let kept = |plan: &Plan| json!(stored(plan).spec.unwrap().volume_claim_templates);
    assert_eq!(
        kept(&plan),
        json!(view.stateful_set.as_ref().unwrap().spec.as_ref().unwrap().volume_claim_templates)
    );
    view.object.spec.hibernated = true;
    assert_eq!(stored(&decided(&view)).spec.unwrap().replicas, Some(0));
    view.object.spec.hibernated = false;
    view.backups.insert("by-hand".to_owned(), seen(&view, BackupPhase::Succeeded, 1));
    assert!(replaced(&decided(&view)));
}

#[test]
fn d15_a_hibernated_cluster_wakes_with_the_old_image_first() {
    let mut view = updating();
    view.object.spec.hibernated = true;
    let plan = decided(&view);
    assert!(plan.backups.is_empty());
    assert_eq!(template_image(&plan).as_deref(), Some(OLD));
}
