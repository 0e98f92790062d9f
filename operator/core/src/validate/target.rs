//! Targets of backups: exactly one place, and one that can be meant.

use super::Problem;
use crate::line;
use crate::quantity::Amount;
use porpoise_crds::{BackupTarget, GcsTarget, VolumeTarget, is_googles};

/// Smallest claim that is made.
const SMALLEST: u64 = 1 << 30;

/// `field` is the path of the target, `cluster` the name of the cluster.
pub(super) fn problems(field: &str, target: &BackupTarget, cluster: &str) -> Vec<Problem> {
    let BackupTarget { s3, gcs, azure, volume } = target;
    let named = [s3.is_some(), gcs.is_some(), azure.is_some(), volume.is_some()];
    if named.into_iter().filter(|named| *named).count() != 1 {
        return vec![Problem::new(field, "InvalidTarget", "name one target: s3, gcs, azure or volume")];
    }
    let volume = volume.as_ref().and_then(|volume| of_volume(field, volume, cluster));
    volume.or_else(|| of_google(field, gcs.as_ref()?)).into_iter().collect()
}

fn of_google(field: &str, target: &GcsTarget) -> Option<Problem> {
    let is_elsewhere = target.endpoint.as_deref().is_some_and(|endpoint| !is_googles(endpoint));
    let message = "the Pod's identity is shown to https://....googleapis.com only: name a credentialsSecretRef, or leave endpoint out";
    (is_elsewhere && target.credentials_secret_ref.is_none())
        .then(|| Problem::new(format!("{field}.gcs.endpoint"), "InvalidTarget", message))
}

fn of_volume(field: &str, volume: &VolumeTarget, cluster: &str) -> Option<Problem> {
    let VolumeTarget { claim_name, size, storage_class_name } = volume;
    let problem = |part: &str, message: String| {
        Some(Problem::new(format!("{field}.volume{part}"), "InvalidTarget", message))
    };
    match (claim_name, size) {
        (Some(_), Some(_)) | (None, None) => problem(
            "",
            "name either claimName, a PersistentVolumeClaim of this namespace, or size, for one that is made"
                .to_owned(),
        ),
        (Some(_), None) if storage_class_name.is_some() => problem(
            ".storageClassName",
            "storageClassName goes with size only: a claim that exists has its class".to_owned(),
        ),
        (Some(claim), None) if is_members(claim, cluster) => problem(
            ".claimName",
            format!("{claim} is the volume of a member; name a claim that is only for backups"),
        ),
        (Some(_), None) => None,
        (None, Some(size)) => match Amount::parse(&size.0) {
            Ok(amount) if amount.units() >= SMALLEST => None,
            Ok(_) => problem(".size", format!("{} is too small; ask for at least 1Gi", size.0)),
            Err(_) => problem(".size", format!("{:?} is not a quantity; write it as 50Gi", size.0)),
        },
    }
}

/// A claim of this cluster's `StatefulSet`.
fn is_members(claim: &str, cluster: &str) -> bool {
    line::read_claim(claim, cluster).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(target: Value) -> Vec<Problem> {
        problems("spec.backup.target", &serde_json::from_value(target).unwrap(), "shop")
    }

    #[test]
    fn a29_a_volume_is_named_by_claim_or_by_size() {
        for (target, field, words) in [
            (json!({}), "spec.backup.target", "name one target"),
            (
                json!({"s3": {"bucket": "safe"}, "volume": {"claimName": "safe"}}),
                "spec.backup.target",
                "name one target",
            ),
            (
                json!({"gcs": {"bucket": "safe"}, "azure": {"account": "shop", "container": "safe"}}),
                "spec.backup.target",
                "name one target: s3, gcs, azure or volume",
            ),
            (json!({"volume": {}}), "spec.backup.target.volume", "name either claimName"),
            (
                json!({"gcs": {"bucket": "safe", "endpoint": "https://googleapis.com.example"}}),
                "spec.backup.target.gcs.endpoint",
                "name a credentialsSecretRef",
            ),
            (
                json!({"gcs": {"bucket": "safe", "endpoint": "http://storage.googleapis.com"}}),
                "spec.backup.target.gcs.endpoint",
                "name a credentialsSecretRef",
            ),
            (
                json!({"volume": {"claimName": "safe", "size": "5Gi"}}),
                "spec.backup.target.volume",
                "name either claimName",
            ),
            (
                json!({"volume": {"claimName": "safe", "storageClassName": "fast"}}),
                "spec.backup.target.volume.storageClassName",
                "goes with size only",
            ),
            (
                json!({"volume": {"claimName": "data-shop-0"}}),
                "spec.backup.target.volume.claimName",
                "is the volume of a member",
            ),
            (json!({"volume": {"size": "10"}}), "spec.backup.target.volume.size", "at least 1Gi"),
            (json!({"volume": {"size": "much"}}), "spec.backup.target.volume.size", "not a quantity"),
        ] {
            let problems = found(target.clone());
            assert_eq!(problems.len(), 1, "{target}: {problems:?}");
            assert_eq!(problems[0].field, field, "{target}");
            assert!(problems[0].message.contains(words), "{target}: {}", problems[0].message);
        }
        for target in [
            json!({"gcs": {"bucket": "safe"}}),
            json!({"volume": {"claimName": "safe"}}),
            json!({"volume": {"claimName": "data-shop-2-0"}}),
            json!({"volume": {"size": "5Gi", "storageClassName": "fast"}}),
        ] {
            assert_eq!(found(target.clone()), [], "{target}");
        }
    }
}
