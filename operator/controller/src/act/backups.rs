//! The backups of a cluster: made if they are absent, deleted beyond retention. What becomes of them is their own business.

use super::{ActError, Pass};
use crate::kinds::MANAGER;
use crate::kubernetes::bounded;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use porpoise_core::plan::{Plan, Verification};
use porpoise_crds::{MySQLBackup, VERIFY_DUE};
use serde_json::json;

impl Pass<'_> {
    pub(super) async fn keep_backups(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for backup in &plan.backups {
            failures.extend(self.make_backup(backup).await.err());
        }
        for (name, uid) in &plan.retired_backups {
            failures.extend(self.retire_backup(name, uid).await.err());
        }
        for verification in &plan.verifications {
            failures.extend(self.ask_to_verify(verification).await.err());
        }
        failures
    }

    /// The backup's own controller takes it up. One that is gone, or another one of that name, is not meant.
    async fn ask_to_verify(&self, wanted: &Verification) -> Result<(), ActError> {
        let api: Api<MySQLBackup> = self.namespaced();
        let due = wanted.due.to_string();
        let patch = json!({ "metadata": { "uid": wanted.uid, "annotations": { VERIFY_DUE: due } } });
        let name = &wanted.backup;
        match bounded(api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch))).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(source) => Err(ActError::ApplyObject { title: format!("MySQLBackup {name}"), source }),
        }
    }

    /// One that exists already is the one that was wanted, and the watch has not told of it yet; or it is another cluster's.
    async fn make_backup(&self, backup: &MySQLBackup) -> Result<(), ActError> {
        let name = backup.name_any();
        let title = || format!("MySQLBackup {name}");
        let api: Api<MySQLBackup> = self.namespaced();
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match bounded(api.create(&parameters, backup)).await {
            Ok(_) => {
                tracing::info!(cluster = self.names.cluster(), backup = name, "made a backup");
                Ok(())
            }
            Err(error) if error.is_conflict() => {
                let found = bounded(api.get(&name)).await;
                let found = found.map_err(|source| ActError::ApplyObject { title: title(), source })?;
                let other = found.spec.cluster_ref.name;
                if other == self.names.cluster() {
                    return Ok(());
                }
                Err(ActError::NameBackup { name, other })
            }
            Err(source) => Err(ActError::ApplyObject { title: title(), source }),
        }
    }

    async fn retire_backup(&self, name: &str, uid: &str) -> Result<(), ActError> {
        let api: Api<MySQLBackup> = self.namespaced();
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        match bounded(api.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(source) => Err(ActError::DeleteObject { title: format!("MySQLBackup {name}"), source }),
        }
    }
}
