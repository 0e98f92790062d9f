//! The rendered Jobs of a backup (A32, J2, E8, G7, K16).

use super::super::*;
use super::cluster;
use crate::backup::{About, BackupJob, Donor};
use crate::fixture;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use porpoise_crds::{BackupEncryption, BackupLocation, LocalReference};
use serde_json::{Value, json};

fn location() -> BackupLocation {
    serde_json::from_value(json!({"path": "prod/shop/c1a5ter/shop-a", "target": {"s3": {
        "bucket": "safe", "credentialsSecretRef": {"name": "store"}, "authoritySecretRef": {"name": "store-ca"},
    }}}))
    .unwrap()
}

fn storing() -> BackupJob {
    BackupJob::Store {
        location: location(),
        about: About {
            backup: "shop-a".to_owned(),
            cluster: "c1a5ter".to_owned(),
            owner: "prod/shop".to_owned(),
        },
        donors: vec![Donor {
            instance: "shop-1".to_owned(),
            host: "shop-1.shop-members.prod.svc".to_owned(),
        }],
        max_bytes_per_second: None,
        verify: true,
        compare: true,
        dump: None,
        key_name: Some("2026".to_owned()),
    }
}

fn stored(spec: &Value) -> Job {
    let encryption = BackupEncryption {
        key_secret_ref: LocalReference { name: "keys".to_owned() },
        key_name: "2026".to_owned(),
    };
    store_job(&fixture::backup(), &cluster(spec), &storing(), Some(&encryption))
}

fn removed(spec: Option<&Value>) -> Job {
    let cluster = spec.map(cluster);
    let home = JobHome { cluster: cluster.as_ref(), operator_image: "operator:1", mysql_image: "mysql:9.7" };
    remove_job(&fixture::backup(), &home, &BackupJob::Remove { location: location() })
}

fn all() -> Vec<Job> {
    let fast = json!({"resources": {"limits": {"cpu": "4", "memory": "8Gi"}}, "pod": {"env": [{"name": "TZ", "value": "UTC"}]}});
    vec![stored(&json!({})), stored(&fast), removed(Some(&fast)), removed(None)]
}

fn pod(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

fn containers(pod: &PodSpec) -> Vec<Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers).cloned().collect()
}

#[test]
fn a32_a_job_ends_is_tried_again_and_is_swept_away() {
    for job in all() {
        let spec = json!(job.spec);
        assert_eq!((&spec["backoffLimit"], &spec["ttlSecondsAfterFinished"]), (&json!(3), &json!(86400)));
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        assert_eq!(spec["template"]["metadata"]["labels"], json!(job.metadata.labels));
        assert_eq!(
            json!(job.metadata.owner_references),
            json!([{
                "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "name": "shop-a", "uid": "bac4up",
                "controller": true, "blockOwnerDeletion": true,
            }])
        );
    }
    let longest = |job: &Job| job.spec.as_ref().unwrap().active_deadline_seconds;
    assert_eq!((longest(&stored(&json!({}))), longest(&removed(None))), (Some(86400), Some(600)));
}

#[test]
fn k16_jobs_carry_the_recommended_labels_and_no_selector_takes_them_for_members() {
    let labels = stored(&json!({})).metadata.labels.unwrap();
    assert_eq!(
        json!(labels),
        json!({
            "app.kubernetes.io/component": "backup",
            "app.kubernetes.io/instance": "shop",
            "app.kubernetes.io/managed-by": "porpoise",
            "app.kubernetes.io/name": "mysql-backup",
            "app.kubernetes.io/part-of": "porpoise",
            "app.kubernetes.io/version": "9.7",
            "mysql.porpoise.dev/backup": "shop-a",
        })
    );
    let members = super::super::selector_labels(&cluster(&json!({})));
    assert!(members.iter().any(|(key, value)| labels.get(key) != Some(value)));
}

#[test]
fn j2_pods_of_jobs_are_restricted() {
    for pod in all().iter().map(pod) {
        let context = pod.security_context.clone().unwrap();
        assert_eq!((context.run_as_non_root, context.run_as_user), (Some(true), Some(999)));
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
        assert_eq!((pod.host_network, pod.host_ipc, pod.host_pid), (None, None, None));
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.service_account_name.as_deref(), Some("shop-backup"));
        for container in containers(&pod) {
            assert_eq!(
                json!(container.security_context),
                json!({
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "privileged": false,
                    "readOnlyRootFilesystem": true,
                })
            );
        }
        let allowed = ["configMap", "emptyDir", "ephemeral", "projected", "secret"];
        for volume in json!(pod.volumes).as_array().unwrap() {
            let mut kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
            assert!(kinds.all(|kind| allowed.contains(&kind.as_str())), "{volume}");
        }
    }
}

#[test]
fn e8_every_container_has_requests_and_limits() {
    for container in all().iter().map(pod).flat_map(|pod| containers(&pod)) {
        let resources = container.resources.unwrap();
        assert!(resources.requests.as_ref().unwrap().contains_key("memory"));
        assert_eq!(resources.requests, resources.limits, "{}", container.name);
    }
    // The copy boots with the cluster's my.cnf, so it needs what a member needs.
    let pod = pod(&all()[1]);
    assert_eq!(json!(pod.containers[0].resources)["limits"], json!({"cpu": "4", "memory": "8Gi"}));
}

#[test]
fn g7_secrets_are_mounted_by_entry() {
    let pod = pod(&stored(&json!({})));
    let volumes = json!(pod.volumes);
    let volume = |name: &str| {
        let all = volumes.as_array().unwrap();
        all.iter().find(|volume| volume["name"] == name).cloned().unwrap()
    };
    assert_eq!(
        volume("credentials")["projected"],
        json!({"defaultMode": 0o440, "sources": [
            {"secret": {"name": "store", "items": [
                {"key": "accessKeyId", "path": "accessKeyId"}, {"key": "secretAccessKey", "path": "secretAccessKey"},
            ]}},
            {"secret": {"name": "store", "optional": true, "items": [{"key": "sessionToken", "path": "sessionToken"}]}},
        ]})
    );
    for (name, secret, entry) in [("keys", "keys", "2026"), ("authority", "store-ca", "ca.crt")] {
        let found = &volume(name)["secret"];
        assert_eq!((&found["secretName"], &found["items"][0]["key"]), (&json!(secret), &json!(entry)));
    }
    let mounts = json!(pod.containers[0].volume_mounts);
    let place = |name: &str| {
        let all = mounts.as_array().unwrap();
        all.iter().find(|mount| mount["name"] == name).map(|mount| mount["mountPath"].clone()).unwrap()
    };
    for (name, path) in [
        ("staging", "/var/lib/mysql"),
        ("agent", "/porpoise/bin"),
        ("run", "/run/mysqld"),
        ("tmp", "/tmp"),
        ("config", "/porpoise/config"),
        ("tls", "/porpoise/tls"),
        ("accounts", "/porpoise/accounts"),
        ("credentials", "/porpoise/target/credentials"),
        ("authority", "/porpoise/target/authority"),
        ("keys", "/porpoise/target/keys"),
    ] {
        assert_eq!(place(name), path);
    }
}

#[test]
fn the_staging_area_is_a_volume_like_a_members() {
    let pod = pod(&stored(&json!({"storage": {"size": "20Gi", "storageClassName": "fast"}})));
    let staging = json!(pod.volumes).as_array().unwrap().iter().find(|one| one["name"] == "staging").cloned();
    let template = staging.unwrap()["ephemeral"]["volumeClaimTemplate"].clone();
    assert_eq!(
        template["spec"],
        json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "20Gi"}},
        })
    );
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/name"], "mysql-backup");
}

#[test]
fn the_agent_is_told_what_to_do_whatever_the_texts_hold() {
    let container = pod(&stored(&json!({}))).containers[0].clone();
    assert_eq!(container.command.unwrap(), ["/porpoise/bin/porpoise-agent", "backup"]);
    assert_eq!(container.image.as_deref(), Some("mysql:9.7"));
    let env = container.env.unwrap();
    let names: Vec<&str> = env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["POD_NAME", "POD_NAMESPACE", "POD_UID", "PORPOISE_BACKUP"]);
    let read: BackupJob = serde_json::from_str(env[3].value.as_deref().unwrap()).unwrap();
    assert_eq!(read, storing());
    // Kubernetes would put a variable's value there.
    let odd = BackupJob::Remove { location: BackupLocation { path: "$(POD_UID)".to_owned(), ..location() } };
    let home = JobHome { cluster: None, operator_image: "operator:1", mysql_image: "mysql:9.7" };
    let env = pod(&remove_job(&fixture::backup(), &home, &odd)).containers[0].env.clone().unwrap();
    assert!(env[3].value.as_deref().unwrap().contains("$$(POD_UID)"));
}

#[test]
fn removing_needs_the_credentials_and_nothing_else() {
    let pod = pod(&removed(None));
    let names: Vec<String> = pod.volumes.unwrap().into_iter().map(|volume| volume.name).collect();
    assert_eq!(names, ["agent", "tmp", "credentials", "authority"]);
    assert_eq!(pod.init_containers.unwrap()[0].image.as_deref(), Some("operator:1"));
}

#[test]
fn jobs_go_where_members_may_go() {
    let spec = json!({"pod": {
        "nodeSelector": {"disktype": "ssd"}, "priorityClassName": "high",
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    }});
    for job in [stored(&spec), removed(Some(&spec))] {
        let pod = pod(&job);
        assert_eq!(json!(pod.node_selector), json!({"disktype": "ssd"}));
        assert_eq!(json!(pod.tolerations)[0]["key"], "dedicated");
        assert_eq!(pod.priority_class_name, None, "a backup pushes nobody aside");
    }
}

#[test]
fn g13_backups_have_an_account_of_their_own_that_goes_with_the_last_of_them() {
    let spec = json!({"pod": {
        "imagePullSecrets": [{"name": "registry"}], "serviceAccountAnnotations": {"cloud/role": "backups"},
    }});
    let account = json!(backup_account(&fixture::backup(), Some(&cluster(&spec))));
    assert_eq!(account["metadata"]["name"], "shop-backup");
    assert_eq!(account["metadata"]["annotations"], json!({"cloud/role": "backups"}));
    assert_eq!(
        account["metadata"]["ownerReferences"],
        json!([{
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "name": "shop-a", "uid": "bac4up",
        }])
    );
    assert_eq!(account["automountServiceAccountToken"], false);
    assert_eq!(account["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_ne!(account["metadata"]["name"], json!(service_account(&cluster(&spec)))["metadata"]["name"]);
}

#[test]
fn i10_a_backup_reaches_mysql_and_nothing_else_of_a_member() {
    let policy = json!(network_policy(&cluster(&json!({}))));
    let labels = json!({"app.kubernetes.io/name": "mysql-backup", "app.kubernetes.io/instance": "shop"});
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let of_backups: Vec<&Value> =
        rules.iter().filter(|rule| rule["from"][0]["podSelector"]["matchLabels"] == labels).collect();
    assert_eq!(of_backups.len(), 1);
    assert_eq!(of_backups[0]["ports"], json!([{"port": 3306, "protocol": "TCP"}]));
}
