//! Where `spec.restore`, `spec.bootstrap.restore` and `spec.bootstrap.import` lead.

use super::secrets::{FoundSecrets, Purpose, SecretNeed, gathered, need_of_encryption, needs_of_target};
use super::{RestorePoint, RestoreSource};
use porpoise_crds::{
    BackupEncryption, BackupLocation, BackupMethod, BackupPhase, Bootstrap, DumpFile, Import, InPlaceRestore,
    MySQLBackup, PointInTime, Restore,
};

const RESTORE: &str = "spec.bootstrap.restore";
const IMPORT: &str = "spec.bootstrap.import";
const LOCATION: &str = "location";

/// A stored backup, and the Secrets it takes to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBackup {
    /// Where it is stored.
    pub location: BackupLocation,
    /// What must be read besides.
    pub needs: Vec<SecretNeed>,
    /// How far to go beyond it.
    pub point: Option<RestorePoint>,
}

/// A stored backup as the spec names it, whichever field does.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedBackup {
    /// The field.
    pub field: &'static str,
    /// The part of it that names a place.
    pub place: &'static str,
    /// Those that can be begun with in this way.
    methods: &'static [BackupMethod],
    /// Which backup, and how far to go beyond it.
    pub restore: Restore,
}

impl NamedBackup {
    /// What a new cluster begins with, if that is stored: a backup, or a file of statements.
    pub fn of(bootstrap: &Bootstrap) -> Option<Self> {
        let files = bootstrap.restore.clone();
        let methods = &[BackupMethod::Physical, BackupMethod::VolumeSnapshot];
        let files = files.map(|restore| Self { field: RESTORE, place: LOCATION, methods, restore });
        files.or_else(|| bootstrap.import.clone().map(|import| Self::imported(*import)))
    }

    fn imported(import: Import) -> Self {
        let Import { backup_ref, location, file, key_secret_ref } = import;
        let place = if file.is_some() { "file" } else { LOCATION };
        let file = file.map(|DumpFile { target, path, database: _ }| BackupLocation { target, path });
        let restore =
            Restore { backup_ref, location: location.or(file), key_secret_ref, point_in_time: None };
        Self { field: IMPORT, place, methods: &[BackupMethod::Logical], restore }
    }

    /// What is restored in place: files of a store, since a volume that a snapshot is made into would be taken for that of a
    /// member that goes on.
    pub fn in_place(wish: &InPlaceRestore) -> Self {
        let methods = &[BackupMethod::Physical];
        Self { field: "spec.restore", place: LOCATION, methods, restore: wish.source() }
    }

    /// Whether it is, or may come to be, a snapshot.
    pub fn takes_snapshots(&self) -> bool {
        self.restore.backup_ref.is_some() && self.methods.contains(&BackupMethod::VolumeSnapshot)
    }
}

/// The backup that is named. `backup` is the object of `backupRef`, if it exists.
///
/// # Errors
/// What is missing, in a sentence with field and remedy.
pub fn stored_backup(named: &NamedBackup, backup: Option<&MySQLBackup>) -> Result<StoredBackup, String> {
    let restore = &named.restore;
    let known = match &restore.backup_ref {
        Some(reference) => Some(stored(named, &reference.name, backup)?),
        None => None,
    };
    let field = match known {
        Some(_) => format!("{}.backupRef: target", named.field),
        None => format!("{}.{}.target", named.field, named.place),
    };
    let encryption = known.and_then(|backup| backup.status.as_ref()?.encryption.clone());
    let location = match known {
        Some(backup) => backup.status.as_ref().and_then(|status| status.location.clone()),
        None => restore.location.clone(),
    };
    let location = location.ok_or_else(|| {
        format!("{}: name either backupRef, a MySQLBackup of this namespace, or location", named.field)
    })?;
    let mut needs = needs_of_target(&location.target, &field);
    needs.extend(keys(named, encryption.as_ref()));
    Ok(StoredBackup { location, needs, point: restore.point_in_time.as_ref().and_then(point) })
}

/// The point that is named. The schema sees to it that it is one.
fn point(wanted: &PointInTime) -> Option<RestorePoint> {
    let PointInTime { latest, time, gtid, before_gtid } = wanted;
    let time = time.as_ref().map(|time| RestorePoint::Time { time: time.0.to_string() });
    let gtid = gtid.clone().map(|gtid| RestorePoint::Gtid { gtid });
    let before = before_gtid.clone().map(|gtid| RestorePoint::BeforeGtid { gtid });
    let latest = (*latest == Some(true)).then_some(RestorePoint::Latest);
    time.or(gtid).or(before).or(latest)
}

/// A complete one that says where it is.
fn stored<'a>(
    named: &NamedBackup,
    name: &str,
    backup: Option<&'a MySQLBackup>,
) -> Result<&'a MySQLBackup, String> {
    let backup = complete(named, name, backup)?;
    let location = backup.status.as_ref().and_then(|status| status.location.as_ref());
    let homeless = || {
        format!("{}.backupRef: MySQLBackup {name} does not say where it is stored; use location", named.field)
    };
    location.map(|_| backup).ok_or_else(homeless)
}

/// A backup that has been made in the right way and is there.
pub(super) fn complete<'a>(
    named: &NamedBackup,
    name: &str,
    backup: Option<&'a MySQLBackup>,
) -> Result<&'a MySQLBackup, String> {
    let field = format!("{}.backupRef", named.field);
    let Some(backup) = backup else {
        return Err(format!(
            "{field}: MySQLBackup {name} does not exist in this namespace; name another, or use location"
        ));
    };
    if backup.metadata.deletion_timestamp.is_some() {
        return Err(format!("{field}: MySQLBackup {name} is being deleted; name another"));
    }
    if !named.methods.contains(&backup.spec.method) {
        return Err(match backup.spec.method {
            BackupMethod::Logical => {
                format!(
                    "{field}: MySQLBackup {name} is Logical and holds no files; begin with it by {IMPORT}"
                )
            }
            BackupMethod::Physical => {
                format!(
                    "{field}: MySQLBackup {name} is Physical and holds no dump; begin with it by {RESTORE}"
                )
            }
            BackupMethod::VolumeSnapshot => format!(
                "{field}: MySQLBackup {name} is a VolumeSnapshot, which only a new cluster can begin with, by {RESTORE}; name \
                 another one here"
            ),
        });
    }
    match backup.status.as_ref().and_then(|status| status.phase) {
        Some(BackupPhase::Succeeded) => Ok(backup),
        Some(BackupPhase::Failed | BackupPhase::Deleting) => {
            Err(format!("{field}: MySQLBackup {name} holds nothing to restore; name one that Succeeded"))
        }
        None | Some(BackupPhase::Pending | BackupPhase::Running) => {
            Err(format!("{field}: MySQLBackup {name} is not complete yet; wait for it, or name another"))
        }
    }
}

/// The keys: those that the spec names, else those that the backup was made with.
fn keys(named: &NamedBackup, encryption: Option<&BackupEncryption>) -> Option<SecretNeed> {
    let field = named.field;
    let own = encryption
        .map(|encryption| need_of_encryption(encryption, &format!("{field}.backupRef: encryption")));
    let Some(key) = &named.restore.key_secret_ref else { return own };
    Some(SecretNeed {
        purpose: Purpose::Keys,
        field: format!("{field}.keySecretRef"),
        name: key.name.clone(),
        entries: own.map(|need| need.entries).unwrap_or_default(),
    })
}

impl StoredBackup {
    /// With everything it takes to read it. `found` are the entries of the Secrets by name; one that does not exist is
    /// absent.
    ///
    /// # Errors
    /// What is missing, in sentences.
    pub fn with_secrets(self, found: &FoundSecrets) -> Result<RestoreSource, String> {
        let secrets = gathered(&self.needs, found)?;
        Ok(RestoreSource { location: self.location, secrets, point: self.point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn named(bootstrap: Value) -> NamedBackup {
        NamedBackup::of(&serde_json::from_value(bootstrap).unwrap()).unwrap()
    }

    fn restore(value: &Value) -> NamedBackup {
        named(json!({"restore": value}))
    }

    fn target() -> Value {
        json!({"s3": {"bucket": "safe", "credentialsSecretRef": {"name": "store"}, "authoritySecretRef": {"name": "ca"}}})
    }

    fn backup(status: &Value) -> MySQLBackup {
        serde_json::from_value(json!({
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "metadata": {"name": "shop-a"},
            "spec": {"clusterRef": {"name": "shop"}}, "status": status,
        }))
        .unwrap()
    }

    fn by_name() -> NamedBackup {
        restore(&json!({"backupRef": {"name": "shop-a"}}))
    }

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_backup_that_cannot_be_restored_is_said_with_field_and_remedy() {
        let location = json!({"target": target(), "path": "a"});
        for (case, found, words) in [
            ("absent", None, "does not exist in this namespace"),
            ("new", Some(json!(null)), "is not complete yet"),
            ("running", Some(json!({"phase": "Running", "location": location})), "is not complete yet"),
            ("failed", Some(json!({"phase": "Failed", "location": location})), "name one that Succeeded"),
            ("homeless", Some(json!({"phase": "Succeeded"})), "does not say where it is stored"),
        ] {
            let found = found.as_ref().map(backup);
            let error = stored_backup(&by_name(), found.as_ref()).unwrap_err();
            assert!(
                error.starts_with("spec.bootstrap.restore.backupRef: MySQLBackup shop-a "),
                "{case}: {error}"
            );
            assert!(error.contains(words), "{case}: {error}");
        }
        let mut leaving = backup(&json!({"phase": "Succeeded", "location": location}));
        leaving.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert!(stored_backup(&by_name(), Some(&leaving)).unwrap_err().contains("is being deleted"));
    }

    #[test]
    fn a29_files_are_restored_and_dumps_are_imported_and_each_names_the_other_way() {
        let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "a"});
        let mut done = backup(&json!({"phase": "Succeeded", "location": location}));
        let import = named(json!({"import": {"backupRef": {"name": "shop-a"}}}));
        let wrong = stored_backup(&import, Some(&done)).unwrap_err();
        assert_eq!(
            wrong,
            "spec.bootstrap.import.backupRef: MySQLBackup shop-a is Physical and holds no dump; begin with it by spec.bootstrap.restore"
        );
        done.spec.method = BackupMethod::Logical;
        assert_eq!(stored_backup(&import, Some(&done)).unwrap().location.path, "a");
        let wrong = stored_backup(&by_name(), Some(&done)).unwrap_err();
        assert!(wrong.ends_with("begin with it by spec.bootstrap.import"), "{wrong}");
        done.spec.method = BackupMethod::VolumeSnapshot;
        let wrong = stored_backup(&import, Some(&done)).unwrap_err();
        assert!(wrong.contains("by spec.bootstrap.restore; name another one here"), "{wrong}");
        assert!(NamedBackup::of(&Bootstrap::default()).is_none());
    }

    #[test]
    fn a29_a_file_of_statements_is_found_by_its_target() {
        let file = json!({"target": target(), "path": "exports/shop.sql.gz", "database": "shop"});
        let stored = stored_backup(&named(json!({"import": {"file": file}})), None).unwrap();
        assert_eq!(stored.location.path, "exports/shop.sql.gz");
        let missing = stored.with_secrets(&BTreeMap::new()).unwrap_err();
        let begins = "spec.bootstrap.import.file.target.s3.credentialsSecretRef: Secret store does not exist";
        assert!(missing.starts_with(begins), "{missing}");
    }

    #[test]
    fn a30_a_snapshot_is_refused_in_place_and_the_way_that_there_is_is_named() {
        let mut snapshot =
            backup(&json!({"phase": "Succeeded", "snapshot": {"name": "shop-a", "claim": "c"}}));
        snapshot.spec.method = BackupMethod::VolumeSnapshot;
        let wish = json!({"requestId": "back", "backupRef": {"name": "shop-a"}});
        let named = NamedBackup::in_place(&serde_json::from_value(wish).unwrap());
        let refused = stored_backup(&named, Some(&snapshot)).unwrap_err();
        let begins = "spec.restore.backupRef: MySQLBackup shop-a is a VolumeSnapshot, ";
        assert!(refused.starts_with(begins) && refused.contains("by spec.bootstrap.restore"), "{refused}");
        assert!(!named.takes_snapshots() && by_name().takes_snapshots());
    }

    #[test]
    fn everything_it_takes_to_read_a_backup_is_gathered() {
        let done = backup(&json!({
            "phase": "Succeeded", "location": {"target": target(), "path": "prod/shop/u/shop-a"},
            "encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026"},
        }));
        let stored = stored_backup(&by_name(), Some(&done)).unwrap();
        assert_eq!(stored.location.path, "prod/shop/u/shop-a");
        let mut found = BTreeMap::from([
            ("store".to_owned(), entries(&[("accessKeyId", "id"), ("secretAccessKey", "s3cr3t")])),
            ("ca".to_owned(), entries(&[("ca.crt", "PEM")])),
        ]);
        let missing = stored.clone().with_secrets(&found).unwrap_err();
        assert_eq!(
            missing,
            "spec.bootstrap.restore.backupRef: encryption.keySecretRef: Secret keys does not exist; make it with 2026, or name another"
        );
        found.insert("keys".to_owned(), entries(&[("2026", "a2V5"), ("2025", "b2xk")]));
        let source = stored.with_secrets(&found).unwrap();
        assert_eq!(source.secrets.credentials["secretAccessKey"], "s3cr3t");
        assert_eq!(source.secrets.authority.as_deref(), Some("PEM"));
        assert_eq!(source.secrets.keys.len(), 2, "older keys are kept: they may be the ones that are needed");
        assert!(!format!("{source:?}").contains("s3cr3t"));
    }

    #[test]
    fn a30_every_kind_of_point_in_time_goes_with_the_source() {
        let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
        for (wanted, point) in [
            (json!({"latest": true}), RestorePoint::Latest),
            (
                json!({"time": "2026-11-21T11:00:00+01:00"}),
                RestorePoint::Time { time: "2026-11-21T10:00:00Z".to_owned() },
            ),
            (json!({"gtid": gtid}), RestorePoint::Gtid { gtid: gtid.to_owned() }),
            (json!({"beforeGtid": gtid}), RestorePoint::BeforeGtid { gtid: gtid.to_owned() }),
        ] {
            let named = restore(&json!({
                "location": {"target": {"s3": {"bucket": "safe"}}, "path": "a/b"}, "pointInTime": wanted,
            }));
            let source = stored_backup(&named, None).unwrap().with_secrets(&BTreeMap::new()).unwrap();
            assert_eq!(source.point, Some(point), "{wanted}");
        }
        let none = restore(&json!({"location": {"target": {"s3": {"bucket": "safe"}}, "path": "a/b"}}));
        assert_eq!(stored_backup(&none, None).unwrap().point, None);
    }

    #[test]
    fn a_place_needs_no_object_and_a_named_key_wins() {
        let place = restore(&json!({
            "location": {"target": {"s3": {"bucket": "safe"}}, "path": "a/b"}, "keySecretRef": {"name": "mine"},
        }));
        let stored = stored_backup(&place, None).unwrap();
        let names: Vec<&str> = stored.needs.iter().map(|need| need.name.as_str()).collect();
        assert_eq!(names, ["mine"]);
        let missing = stored.with_secrets(&BTreeMap::new()).unwrap_err();
        assert_eq!(
            missing,
            "spec.bootstrap.restore.keySecretRef: Secret mine does not exist; make it, or name another"
        );
    }
}
