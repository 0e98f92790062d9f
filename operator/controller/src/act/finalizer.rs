//! The finalizer, guarded by the resourceVersion that was read.

use super::{ActError, Outcome, Pass};
use crate::kubernetes::bounded;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use porpoise_core::plan::Plan;
use porpoise_crds::{FINALIZER, MySQLCluster};
use serde_json::json;

impl Pass<'_> {
    pub(super) async fn add_finalizer(&self, plan: &Plan, outcome: &mut Outcome) {
        let mut keys = self.observation.view.object.finalizers().to_vec();
        if plan.finalizer == Some(true) && !keys.iter().any(|key| key == FINALIZER) {
            keys.push(FINALIZER.to_owned());
            self.write_finalizers(keys, outcome).await;
        }
    }

    pub(super) async fn remove_finalizer(&self, plan: &Plan, outcome: &mut Outcome) {
        let mut keys = self.observation.view.object.finalizers().to_vec();
        if plan.finalizer == Some(false) && keys.iter().any(|key| key == FINALIZER) {
            keys.retain(|key| key != FINALIZER);
            self.write_finalizers(keys, outcome).await;
            outcome.released = outcome.failures.is_empty() && !outcome.look_at_once;
        }
    }

    /// A merge patch with the resourceVersion: a list that changed meanwhile is not overwritten.
    async fn write_finalizers(&self, keys: Vec<String>, outcome: &mut Outcome) {
        let object = &self.observation.view.object;
        let api: Api<MySQLCluster> = self.namespaced();
        let patch = json!({
            "metadata": { "resourceVersion": object.resource_version(), "finalizers": keys },
        });
        match bounded(api.patch_metadata(
            self.names.cluster(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        ))
        .await
        {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_conflict() => outcome.look_at_once = true,
            Err(source) => {
                outcome.failures.push(ActError::ChangeFinalizer { name: object.name_any(), source });
            }
        }
    }
}
