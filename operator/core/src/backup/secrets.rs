//! The Secrets that a target and its encryption need: what must be in them, and what to say if it is not.

use super::TargetSecrets;
use porpoise_crds::{BackupEncryption, BackupTarget, LocalReference};
use std::collections::{BTreeMap, BTreeSet};

/// Entries of Secrets, by name of the Secret; one that does not exist is absent.
pub type FoundSecrets = BTreeMap<String, BTreeMap<String, String>>;

/// Entries of a Secret with a store's credentials that must be there, and those that may be, by the field of the target.
pub fn credential_entries(field: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match field {
        "azure" => (&["accountKey"], &[]),
        "gcs" => (&["serviceAccountKey"], &[]),
        _ => (&["accessKeyId", "secretAccessKey"], &["sessionToken"]),
    }
}
/// Entry of a Secret with a store's certificate authority.
pub const AUTHORITY_ENTRY: &str = "ca.crt";

/// What a Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be let into the store.
    Credentials,
    /// To recognise the store.
    Authority,
    /// To encrypt or decrypt what is stored.
    Keys,
}

/// A Secret that some field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNeed {
    /// What it is for.
    pub purpose: Purpose,
    /// The field that names it, such as `spec.backup.target.s3.credentialsSecretRef`.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Entries that must be in it.
    pub entries: Vec<String>,
}

/// What a target needs. `field` is the path of the target.
pub fn needs_of_target(target: &BackupTarget, field: &str) -> Vec<SecretNeed> {
    let Some(place) = target.place() else { return Vec::new() };
    let need = |purpose, part: &str, entries: &[&str], reference: &LocalReference| SecretNeed {
        purpose,
        field: format!("{field}.{}.{part}", place.field),
        name: reference.name.clone(),
        entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    let (needed, _) = credential_entries(place.field);
    let credentials = place
        .credentials
        .map(|reference| need(Purpose::Credentials, "credentialsSecretRef", needed, reference));
    let authority = place
        .authority
        .map(|reference| need(Purpose::Authority, "authoritySecretRef", &[AUTHORITY_ENTRY], reference));
    credentials.into_iter().chain(authority).collect()
}

/// What encryption needs. `field` is the path of the encryption.
pub fn need_of_encryption(encryption: &BackupEncryption, field: &str) -> SecretNeed {
    SecretNeed {
        purpose: Purpose::Keys,
        field: format!("{field}.keySecretRef"),
        name: encryption.key_secret_ref.name.clone(),
        entries: vec![encryption.key_name.clone()],
    }
}

/// What the needs ask for, put together.
///
/// # Errors
/// What is missing, in sentences.
pub(super) fn gathered(needs: &[SecretNeed], found: &FoundSecrets) -> Result<TargetSecrets, String> {
    let missing = |need: &SecretNeed| {
        need.missing(found.get(&need.name).map(|entries| entries.keys().cloned().collect()).as_ref())
    };
    let missing: Vec<String> = needs.iter().filter_map(missing).collect();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    let mut secrets = TargetSecrets::default();
    for need in needs {
        let entries = found.get(&need.name).cloned().unwrap_or_default();
        match need.purpose {
            Purpose::Credentials => secrets.credentials = entries,
            Purpose::Authority => secrets.authority = entries.get(AUTHORITY_ENTRY).cloned(),
            // Older keys too: what was archived before a change of the key is read with them.
            Purpose::Keys => secrets.keys = entries,
        }
    }
    Ok(secrets)
}

impl SecretNeed {
    /// What is missing, in a sentence that says what to do. `found` are the entries of the Secret, if it exists.
    pub fn missing(&self, found: Option<&BTreeSet<String>>) -> Option<String> {
        let Self { field, name, entries, purpose: _ } = self;
        let Some(found) = found else {
            let with =
                if entries.is_empty() { String::new() } else { format!(" with {}", entries.join(" and ")) };
            return Some(format!("{field}: Secret {name} does not exist; make it{with}, or name another"));
        };
        let absent: Vec<&str> =
            entries.iter().filter(|entry| !found.contains(*entry)).map(String::as_str).collect();
        (!absent.is_empty())
            .then(|| format!("{field}: Secret {name} has no entry {}; add it", absent.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> BackupTarget {
        serde_json::from_value(serde_json::json!({"s3": {
            "bucket": "safe", "credentialsSecretRef": {"name": "store"}, "authoritySecretRef": {"name": "ca"},
        }}))
        .unwrap()
    }

    #[test]
    fn what_is_missing_is_said_with_field_and_remedy() {
        let needs = needs_of_target(&target(), "spec.backup.target");
        let found =
            |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<BTreeSet<_>>();
        for (need, found, want) in [
            (
                &needs[0],
                None,
                Some(
                    "spec.backup.target.s3.credentialsSecretRef: Secret store does not exist; make it with accessKeyId and secretAccessKey, or name another",
                ),
            ),
            (
                &needs[0],
                Some(found(&["accessKeyId"])),
                Some(
                    "spec.backup.target.s3.credentialsSecretRef: Secret store has no entry secretAccessKey; add it",
                ),
            ),
            (&needs[0], Some(found(&["accessKeyId", "secretAccessKey", "more"])), None),
            (
                &needs[1],
                Some(found(&["tls.crt"])),
                Some("spec.backup.target.s3.authoritySecretRef: Secret ca has no entry ca.crt; add it"),
            ),
        ] {
            assert_eq!(need.missing(found.as_ref()).as_deref(), want);
        }
    }

    #[test]
    fn each_sort_of_store_has_entries_of_its_own() {
        let secret = serde_json::json!({"name": "store"});
        let azure =
            serde_json::json!({"account": "shop", "container": "safe", "credentialsSecretRef": secret});
        let gcs = serde_json::json!({"bucket": "safe", "credentialsSecretRef": secret});
        for (sort, place, entry) in [("azure", azure, "accountKey"), ("gcs", gcs, "serviceAccountKey")] {
            let target = serde_json::from_value(serde_json::json!({ sort: place })).unwrap();
            let needs = needs_of_target(&target, "spec.backup.target");
            let named: Vec<(&str, &[String])> =
                needs.iter().map(|need| (need.field.as_str(), need.entries.as_slice())).collect();
            let field = format!("spec.backup.target.{sort}.credentialsSecretRef");
            assert_eq!(named, [(field.as_str(), [entry.to_owned()].as_slice())]);
        }
    }

    #[test]
    fn the_key_that_new_backups_use_must_be_there() {
        let encryption = BackupEncryption {
            key_secret_ref: LocalReference { name: "keys".to_owned() },
            key_name: "2026".to_owned(),
        };
        let need = need_of_encryption(&encryption, "spec.backup.encryption");
        let old = BTreeSet::from(["2025".to_owned()]);
        let missing = need.missing(Some(&old)).unwrap();
        assert_eq!(missing, "spec.backup.encryption.keySecretRef: Secret keys has no entry 2026; add it");
    }
}
