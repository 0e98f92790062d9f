//! Carries out a plan for a backup: writes only, in a fixed order. Each step counts on the ones before it, so the first that
//! fails ends the pass.

use super::jobs;
use crate::context::Context;
use crate::kinds::MANAGER;
use crate::kubernetes::{CallError, bounded, existing};
use crate::outcome::{ActError, BackupOutcome};
use crate::snapshots::Snapshots;
use crate::status::{self, Written};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use porpoise_core::backup::{BackupPlan, BackupView};
use porpoise_crds::{BACKUP_FINALIZER, MySQLBackup};
use serde_json::json;

/// Carries out `plan`.
pub async fn backup(context: &Context, view: &BackupView, plan: &BackupPlan) -> BackupOutcome {
    let pass = BackupPass { context, object: &view.object };
    let mut outcome = BackupOutcome::default();
    if let Err(error) = pass.carry_out(view, plan, &mut outcome).await {
        outcome.failure = Some(error);
    }
    outcome
}

struct BackupPass<'a> {
    context: &'a Context,
    object: &'a MySQLBackup,
}

impl BackupPass<'_> {
    async fn carry_out(
        &self,
        view: &BackupView,
        plan: &BackupPlan,
        outcome: &mut BackupOutcome,
    ) -> Result<(), ActError> {
        if !self.context.leadership.is_held() {
            return Err(ActError::HoldLease);
        }
        if plan.guard {
            outcome.look_at_once = true;
            return self.change_finalizers(outcome, |keys| keys.push(BACKUP_FINALIZER.to_owned())).await;
        }
        // Before the Job: what was made is never forgotten, and two operators never make two.
        if !plan.release {
            self.write_status(plan, outcome).await?;
        }
        if outcome.outdated {
            return Ok(());
        }
        self.keep_snapshot(plan).await?;
        if let Some(job) = &plan.job {
            self.keep_account(plan.account.as_ref(), view.cluster.is_some()).await?;
            jobs::make(&self.api(), job, &self.object.name_any()).await?;
        }
        for (name, uid) in &plan.stop {
            jobs::end(&self.api(), name, uid).await?;
        }
        if plan.release {
            self.change_finalizers(outcome, |keys| keys.retain(|key| key != BACKUP_FINALIZER)).await?;
            outcome.released = !outcome.outdated;
        }
        Ok(())
    }

    async fn keep_snapshot(&self, plan: &BackupPlan) -> Result<(), ActError> {
        let namespace = self.object.namespace().unwrap_or_default();
        let snapshots = Snapshots::of(&self.context.clients.general, &namespace);
        let title = |name: &str| format!("VolumeSnapshot {name}");
        if let Some(wanted) = &plan.snapshot {
            let name = wanted.metadata.name.clone().unwrap_or_default();
            let failed = |source| ActError::ApplyObject { title: title(&name), source };
            snapshots.make(wanted).await.map_err(failed)?;
            tracing::info!(backup = self.object.name_any(), namespace, snapshot = name, "made a snapshot");
        }
        if let Some((name, uid)) = &plan.dropped_snapshot {
            let failed = |source| ActError::DeleteObject { title: title(name), source };
            snapshots.delete(name, uid).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn write_status(&self, plan: &BackupPlan, outcome: &mut BackupOutcome) -> Result<(), ActError> {
        if self.object.status.clone().unwrap_or_default() == plan.status {
            return Ok(());
        }
        let written =
            status::replace_backup(&self.context.clients.strict, self.object, plan.status.clone()).await;
        let name = self.object.name_any();
        match written.map_err(|source| ActError::WriteStatus { name, source })? {
            Written::Yes => {}
            Written::Conflict => (outcome.outdated, outcome.look_at_once) = (true, true),
        }
        Ok(())
    }

    /// Each backup is an owner of its own, by a field manager of its own: the account goes with the last of them.
    async fn keep_account(
        &self,
        account: Option<&ServiceAccount>,
        has_cluster: bool,
    ) -> Result<(), ActError> {
        let Some(account) = account else { return Ok(()) };
        let name = account.name_any();
        let api: Api<ServiceAccount> = self.api();
        let failed = |source| ActError::ApplyObject { title: format!("ServiceAccount {name}"), source };
        // What the cluster said about it is not known any more: as it is, it is right.
        if !has_cluster && existing(bounded(api.get_metadata(&name)).await).map_err(failed)?.is_some() {
            return Ok(());
        }
        let manager = format!("{MANAGER}-{}", self.object.name_any());
        let parameters = PatchParams::apply(&manager).force();
        bounded(api.patch(&name, &parameters, &Patch::Apply(account))).await.map_err(failed)?;
        Ok(())
    }

    /// A merge patch with the resourceVersion: a list that changed meanwhile is not overwritten.
    async fn change_finalizers(
        &self,
        outcome: &mut BackupOutcome,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Result<(), ActError> {
        let mut keys = self.object.finalizers().to_vec();
        change(&mut keys);
        let patch = json!({
            "metadata": { "resourceVersion": self.object.resource_version(), "finalizers": keys },
        });
        let name = self.object.name_any();
        let api: Api<MySQLBackup> = self.api();
        let parameters = PatchParams::default();
        let written: Result<_, CallError> =
            bounded(api.patch_metadata(&name, &parameters, &Patch::Merge(&patch))).await;
        match written {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.is_conflict() => {
                (outcome.outdated, outcome.look_at_once) = (true, true);
                Ok(())
            }
            Err(source) => Err(ActError::ChangeFinalizer { name, source }),
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        let namespace = self.object.namespace().unwrap_or_default();
        Api::namespaced(self.context.clients.general.clone(), &namespace)
    }
}
