//! Changes to objects that exist: what may change, and how the scale subresource does it.

use crate::{api, with};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

#[tokio::test]
async fn b4_changes_that_cannot_be_made_are_refused() {
    let api = api().await;
    let skip = json!({"metadata": {"annotations": {porpoise_crds::SKIP_CLEANUP: "true"}}});
    for (case, before, after, why) in [
        ("grow", json!({}), json!({"storage": {"size": "21Gi"}}), None),
        ("the same in other words", json!({}), json!({"storage": {"size": "20480Mi"}}), None),
        ("shrink", json!({}), json!({"storage": {"size": "19Gi"}}), Some("volumes cannot shrink")),
        (
            "name a class later",
            json!({}),
            json!({"storage": {"storageClassName": "fast"}}),
            Some("StorageClass of existing volumes"),
        ),
        (
            "change the class",
            json!({"storage": {"storageClassName": "fast"}}),
            json!({"storage": {"storageClassName": "slow"}}),
            Some("StorageClass of existing volumes"),
        ),
        (
            "drop the class",
            json!({"storage": {"storageClassName": "fast"}}),
            json!({"storage": {"storageClassName": null}}),
            Some("StorageClass of existing volumes"),
        ),
        ("upgrade", json!({"version": "8.4"}), json!({"version": "9.7"}), None),
        (
            "downgrade",
            json!({}),
            json!({"version": "8.4"}),
            Some("cannot go back to an older release series"),
        ),
        ("scale", json!({}), json!({"instances": 5}), None),
        ("change the policy", json!({}), json!({"storage": {"deletionPolicy": "Delete"}}), None),
        (
            "restore later",
            json!({}),
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}}}}),
            Some("bootstrap counts only when a cluster is made"),
        ),
        (
            "statements later",
            json!({}),
            json!({"bootstrap": {"initSql": ["SELECT 1"]}}),
            Some("bootstrap counts only when a cluster is made"),
        ),
        (
            "correct statements before the first claim",
            json!({"bootstrap": {"initSql": ["SELEKT 1"]}}),
            json!({"bootstrap": {"initSql": ["SELECT 1"]}}),
            None,
        ),
        (
            "another backup",
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}}}}),
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-b"}}}}),
            Some("bootstrap counts only when a cluster is made"),
        ),
        (
            "another source in place",
            json!({"restore": {"requestId": "a", "backupRef": {"name": "shop-a"}}}),
            json!({"restore": {"requestId": "a", "backupRef": {"name": "shop-b"}}}),
            Some("another source is another wish"),
        ),
        (
            "another wish in place",
            json!({"restore": {"requestId": "a", "backupRef": {"name": "shop-a"}}}),
            json!({"restore": {"requestId": "b", "backupRef": {"name": "shop-b"}}}),
            None,
        ),
        (
            "restore no more",
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}}}}),
            json!({"bootstrap": null}),
            None,
        ),
    ] {
        let mut object = with(before);
        object["metadata"]["name"] = json!(format!("change-{}", case.replace(' ', "-")));
        object["spec"]["paused"] = json!(true);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("api-rules").force(), &Patch::Apply(&object)).await.expect(case);
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let outcome = api.patch(&name, &dry_run, &Patch::Merge(json!({"spec": after}))).await;
        match (outcome, why) {
            (Ok(_), None) => {}
            (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{case}: {error}"),
            (outcome, _) => panic!("{case}: {outcome:?}"),
        }
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&skip)).await.expect(case);
        api.delete(&name, &DeleteParams::default()).await.expect(case);
    }
}

/// What was begun with stays once a claim is recorded, whatever it was.
#[tokio::test]
async fn b29_statements_are_corrected_only_until_the_first_claim() {
    let api = api().await;
    let mut object = with(json!({"paused": true, "bootstrap": {"initSql": ["SELECT 1"]}}));
    object["metadata"]["name"] = json!("begun");
    api.patch("begun", &PatchParams::apply("api-rules").force(), &Patch::Apply(&object)).await.unwrap();
    let status = json!({"status": {"quorum": {"members": [{"name": "begun-0", "volume": "v"}], "k": 0, "version": 1}}});
    api.patch_status("begun", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let other = json!({"spec": {"bootstrap": {"initSql": ["SELECT 2"]}}});
    let refused = api.patch("begun", &PatchParams::default(), &Patch::Merge(&other)).await.unwrap_err();
    assert!(refused.to_string().contains("bootstrap counts only when a cluster is made"), "{refused}");
    let skip = json!({"spec": {"bootstrap": null}, "metadata": {"annotations": {porpoise_crds::SKIP_CLEANUP: "true"}}});
    api.patch("begun", &PatchParams::default(), &Patch::Merge(&skip)).await.unwrap();
    api.delete("begun", &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn h13_the_scale_subresource_works_within_bounds() {
    let api = api().await;
    let mut object = with(json!({"paused": true}));
    object["metadata"]["name"] = json!("scaled");
    api.patch("scaled", &PatchParams::apply("api-rules").force(), &Patch::Apply(&object)).await.unwrap();
    let scale = api
        .patch_scale("scaled", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}})))
        .await;
    assert_eq!(scale.unwrap().spec.and_then(|spec| spec.replicas), Some(5));
    let far = api
        .patch_scale("scaled", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 10}})))
        .await;
    assert!(far.unwrap_err().to_string().contains("spec.instances"));
    let skip = json!({"metadata": {"annotations": {porpoise_crds::SKIP_CLEANUP: "true"}}});
    api.patch("scaled", &PatchParams::default(), &Patch::Merge(&skip)).await.unwrap();
    api.delete("scaled", &DeleteParams::default()).await.unwrap();
}
