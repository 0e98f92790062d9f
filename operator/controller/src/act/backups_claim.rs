//! The volume claim for backups that is asked for by size: made if absent, grown if larger is asked for, and never taken away.

use super::{ActError, Pass};
use crate::kinds::{INSTANCE, MANAGER};
use crate::kubernetes::{bounded, existing};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use porpoise_core::quantity;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// What is as it should be is looked at again after this time: somebody may have deleted it.
const RECHECK: Duration = Duration::from_mins(10);

impl Pass<'_> {
    pub(super) async fn keep_backups_claim(&self, wanted: &PersistentVolumeClaim) -> Result<(), ActError> {
        let wish = (wanted.name_any(), bytes(wanted));
        let is_settled = self.context.memories.of(&self.uid, |memory| {
            memory
                .backups_claim
                .as_ref()
                .is_some_and(|(settled, due)| *settled == wish && Instant::now() < *due)
        });
        if is_settled {
            return Ok(());
        }
        self.make_or_grow(wanted).await?;
        let due = Instant::now() + RECHECK;
        self.context.memories.of(&self.uid, |memory| memory.backups_claim = Some((wish, due)));
        Ok(())
    }

    async fn make_or_grow(&self, wanted: &PersistentVolumeClaim) -> Result<(), ActError> {
        let name = wanted.name_any();
        let title = || format!("PersistentVolumeClaim {name}");
        let failed = |source| ActError::ApplyObject { title: title(), source };
        let api: Api<PersistentVolumeClaim> = self.namespaced();
        let Some(found) = existing(bounded(api.get(&name)).await).map_err(failed)? else {
            let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            bounded(api.create(&parameters, wanted)).await.map_err(failed)?;
            tracing::info!(cluster = self.names.cluster(), claim = name, "made a volume claim for backups");
            return Ok(());
        };
        // A former cluster of this name may have left it: then it holds that one's backups too, each in a folder of its own.
        if !is_same_sort(&found, wanted) {
            return Err(ActError::MakeClaim { claim: name });
        }
        let size = wanted.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.clone());
        if bytes(&found) >= bytes(wanted) {
            return Ok(());
        }
        let patch = json!({"spec": {"resources": {"requests": size}}});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        bounded(api.patch(&name, &parameters, &Patch::Merge(&patch))).await.map(drop).map_err(failed)
    }
}

/// One that somebody else made under this name is not taken; whoever wants it names it by claimName.
fn is_same_sort(found: &PersistentVolumeClaim, wanted: &PersistentVolumeClaim) -> bool {
    let labels = |claim: &PersistentVolumeClaim| {
        ["app.kubernetes.io/name", INSTANCE].map(|label| claim.labels().get(label).cloned())
    };
    labels(found) == labels(wanted)
}

fn bytes(claim: &PersistentVolumeClaim) -> u64 {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|all| quantity::bytes(all.get("storage")?).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::tests::observation;
    use crate::observation::Freshness;
    use crate::testing::{Call, Calls, context, refusal, server};
    use serde_json::Value;

    fn claim(size: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "shop-backups", "labels": {
                "app.kubernetes.io/name": "mysql-backup-store", "app.kubernetes.io/instance": "shop",
            }},
            "spec": {"resources": {"requests": {"storage": size}}},
        }))
        .unwrap()
    }

    async fn kept(found: Option<Value>, passes: usize) -> (Result<(), ActError>, Calls) {
        let (client, calls) = server(move |call: &Call| {
            let is_asked = call.method == "GET";
            Some(match &found {
                None if is_asked => refusal(404, "NotFound"),
                Some(found) => (200, found.clone()),
                None => (201, json!(claim("5Gi"))),
            })
        });
        let (context, _until) = context(&client);
        let observation = Box::new(observation(Freshness::Read));
        let pass = Pass::new(&context, &observation);
        let mut outcome = Ok(());
        for _ in 0..passes {
            outcome = pass.keep_backups_claim(&claim("5Gi")).await;
        }
        (outcome, calls)
    }

    #[tokio::test]
    async fn a29_a_claim_is_made_once() {
        let (outcome, calls) = kept(None, 3).await;
        outcome.unwrap();
        let claims = "/api/v1/namespaces/prod/persistentvolumeclaims";
        let lines: Vec<String> =
            calls.lines().iter().map(|line| line.split('?').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(lines, [format!("GET {claims}/shop-backups"), format!("POST {claims}")]);
    }

    #[tokio::test]
    async fn a29_a_claim_grows_and_never_shrinks() {
        for (size, writes) in [("2Gi", 1), ("5Gi", 0), ("9Gi", 0)] {
            let (outcome, calls) = kept(Some(json!(claim(size))), 1).await;
            outcome.unwrap();
            let patches = calls.lines().iter().filter(|line| line.starts_with("PATCH")).count();
            assert_eq!((patches, calls.lines().len()), (writes, 1 + writes), "{size}");
        }
    }

    #[tokio::test]
    async fn a29_somebody_elses_claim_is_not_taken() {
        let mut other = json!(claim("2Gi"));
        other["metadata"]["labels"] = json!({});
        let (outcome, calls) = kept(Some(other), 1).await;
        assert!(matches!(outcome, Err(ActError::MakeClaim { .. })), "{outcome:?}");
        assert_eq!(calls.lines().len(), 1, "nothing is written");
    }
}
