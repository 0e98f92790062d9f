//! The first member's volume claim of a cluster that begins with a snapshot.

use super::{ActError, Pass};
use crate::facts::is_labelled;
use crate::kinds::MANAGER;
use crate::kubernetes::{bounded, existing};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

impl Pass<'_> {
    /// One of the cluster's own that exists already is seen by the next pass, which then makes the members. Any other is never
    /// seen, so it is said here.
    pub(super) async fn make_restored_claim(&self, wanted: &PersistentVolumeClaim) -> Result<(), ActError> {
        let claim = wanted.name_any();
        let failed =
            |source| ActError::ApplyObject { title: format!("PersistentVolumeClaim {claim}"), source };
        let api: Api<PersistentVolumeClaim> = self.namespaced();
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match bounded(api.create(&parameters, wanted)).await {
            Ok(_) => {
                tracing::info!(cluster = self.names.cluster(), claim, "made a volume claim from a snapshot");
                Ok(())
            }
            Err(error) if error.is_conflict() => {
                let found = existing(bounded(api.get_metadata(&claim)).await).map_err(failed)?;
                let is_ours = found.is_none_or(|found| is_labelled(&found.metadata, self.names.cluster()));
                if is_ours { Ok(()) } else { Err(ActError::MakeFirstClaim { claim: claim.clone() }) }
            }
            Err(source) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::tests::observation;
    use crate::observation::Freshness;
    use crate::testing::{context, refusal, server};
    use serde_json::{Value, json};

    const CLAIMS: &str = "/api/v1/namespaces/prod/persistentvolumeclaims";

    /// The outcome, and what was asked, where the claim cannot be made and `found` is what there is of its name.
    async fn made(
        code: u16,
        reason: &'static str,
        found: Option<Value>,
    ) -> (Result<(), ActError>, Vec<String>) {
        let wanted: PersistentVolumeClaim =
            serde_json::from_value(json!({"metadata": {"name": "data-shop-0"}, "spec": {}})).unwrap();
        let (client, calls) = server(move |call| match &found {
            _ if call.method == "POST" => Some(refusal(code, reason)),
            Some(found) => Some((200, found.clone())),
            None => Some(refusal(404, "NotFound")),
        });
        let (context, _until) = context(&client);
        let observation = observation(Freshness::Read);
        let made = Pass::new(&context, &observation).make_restored_claim(&wanted).await;
        (made, calls.lines().iter().map(|line| line.split('?').next().unwrap().to_owned()).collect())
    }

    fn claim(cluster: &str) -> Value {
        let labels =
            json!({"app.kubernetes.io/managed-by": "porpoise", "app.kubernetes.io/instance": cluster});
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "data-shop-0", "labels": labels},
        })
    }

    #[tokio::test]
    async fn a30_a_claim_that_exists_is_left_as_it_is() {
        let (post, get) = (format!("POST {CLAIMS}"), format!("GET {CLAIMS}/data-shop-0"));
        for found in [Some(claim("shop")), None] {
            let (made, calls) = Box::pin(made(409, "AlreadyExists", found)).await;
            assert!(made.is_ok(), "{made:?}");
            assert_eq!(calls, [post.clone(), get.clone()]);
        }
        let (made, calls) = Box::pin(made(403, "Forbidden", None)).await;
        assert!(made.is_err() && calls == [post]);
    }

    #[tokio::test]
    async fn a30_a_claim_of_that_name_that_is_nobody_we_know_is_said() {
        let plain =
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-shop-0"}});
        for found in [claim("another"), plain] {
            let (made, _) = Box::pin(made(409, "AlreadyExists", Some(found))).await;
            let error = made.unwrap_err().to_string();
            assert!(error.contains("make the volume claim data-shop-0"), "{error}");
            assert!(error.contains("give the MySQLCluster another name"), "{error}");
        }
    }
}
