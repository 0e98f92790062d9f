//! What serves a volume claim with backups (A29, J2).

use super::super::*;
use super::{cluster, metadata, selector};
use crate::backup::BackupJob;
use crate::fixture;
use porpoise_crds::VolumeTarget;
use serde_json::{Value, json};

fn store() -> BackupStore {
    BackupStore { name: "shop-backups".to_owned(), claim: "safe".to_owned() }
}

fn store_selector() -> Value {
    json!({
        "app.kubernetes.io/name": "mysql-backup-store",
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/component": "shop-backups",
    })
}

fn beside() -> Value {
    json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": {"matchLabels": {"mysql.porpoise.dev/backups-claim": "safe"}},
        "topologyKey": "kubernetes.io/hostname",
    }]}})
}

#[test]
fn a29_one_pod_serves_the_claim_without_rights() {
    let set = json!(store().stateful_set(&cluster(&json!({}))));
    assert_eq!(set["metadata"], metadata("shop-backups"));
    let spec = &set["spec"];
    assert_eq!((&spec["replicas"], &spec["serviceName"]), (&json!(1), &json!("shop-backups")));
    assert_eq!(spec["selector"]["matchLabels"], store_selector());
    let labels = &spec["template"]["metadata"]["labels"];
    assert!(labels.get("app.kubernetes.io/managed-by").is_none(), "it is no member");
    assert_eq!(labels["mysql.porpoise.dev/backups-claim"], "safe");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["affinity"], beside());
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &pod["securityContext"]["fsGroup"]),
        (&json!(true), &json!(999))
    );
    let container = &pod["containers"][0];
    assert_eq!(container["command"], json!(["/porpoise-agent", "volume", "--claim", "safe"]));
    let security = &container["securityContext"];
    assert_eq!(
        (
            &security["readOnlyRootFilesystem"],
            &security["allowPrivilegeEscalation"],
            &security["capabilities"]
        ),
        (&json!(true), &json!(false), &json!({"drop": ["ALL"]}))
    );
    assert!(
        container["resources"]["requests"]["memory"].is_string()
            && container["resources"]["limits"]["cpu"].is_string()
    );
    assert_eq!(
        pod["volumes"],
        json!([
            {"name": "backups", "persistentVolumeClaim": {"claimName": "safe"}},
            {"name": "tls", "secret": {"secretName": "shop-server", "defaultMode": 0o440, "items": [
                {"key": "ca.crt", "path": "ca.crt"}, {"key": "tls.crt", "path": "tls.crt"},
                {"key": "tls.key", "path": "tls.key"},
            ]}},
        ])
    );
    let resting = store().stateful_set(&cluster(&json!({"hibernated": true})));
    assert_eq!(resting.spec.unwrap().replicas, Some(0));
}

#[test]
fn a29_only_members_and_backup_jobs_reach_the_claim() {
    let port = json!({"port": 7308, "protocol": "TCP"});
    let jobs = json!({"app.kubernetes.io/name": "mysql-backup", "app.kubernetes.io/instance": "shop"});
    assert_eq!(
        json!(store().network_policy(&cluster(&json!({}))))["spec"],
        json!({
            "podSelector": {"matchLabels": store_selector()},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [port], "from": [
                {"podSelector": {"matchLabels": selector()}}, {"podSelector": {"matchLabels": jobs}},
            ]}],
        })
    );
    assert_eq!(store().network_policy(&cluster(&json!({"networkPolicy": {"mode": "Disabled"}}))), None);
    let service = json!(store().service(&cluster(&json!({}))));
    assert_eq!(service["spec"]["selector"], store_selector());
    assert_eq!(service["spec"]["ports"][0]["port"], 7308);
}

#[test]
fn a29_a_claim_that_is_made_outlives_its_cluster() {
    let volume = |value: Value| serde_json::from_value::<VolumeTarget>(value).unwrap();
    let claim =
        backups_claim(&cluster(&json!({})), &volume(json!({"size": "50Gi", "storageClassName": "slow"})));
    assert_eq!(
        json!(claim),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "shop-backups", "namespace": "prod", "labels": {
                "app.kubernetes.io/name": "mysql-backup-store",
                "app.kubernetes.io/instance": "shop",
                "app.kubernetes.io/part-of": "porpoise",
            }},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "slow",
                "resources": {"requests": {"storage": "50Gi"}},
            },
        })
    );
    assert_eq!(backups_claim(&cluster(&json!({})), &volume(json!({"claimName": "safe"}))), None);
}

#[test]
fn a29_what_is_stored_on_a_claim_is_removed_beside_the_pod_that_serves_it() {
    let home = JobHome { cluster: None, operator_image: "operator:1", mysql_image: "mysql:9.7" };
    let location = json!({"target": {"volume": {"claimName": "safe"}}, "path": "prod/shop/u/shop-a"});
    let work = BackupJob::Remove { location: serde_json::from_value(location).unwrap() };
    let job = json!(remove_job(&fixture::backup(), &home, &work));
    let pod = &job["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"]["mysql.porpoise.dev/backups-claim"], "safe");
    assert_eq!(pod["spec"]["affinity"], beside());
    let claim = json!({"name": "backups", "persistentVolumeClaim": {"claimName": "safe"}});
    assert!(pod["spec"]["volumes"].as_array().unwrap().contains(&claim));
    let mount = json!({"name": "backups", "mountPath": "/porpoise/backups"});
    assert!(pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().contains(&mount));
}
