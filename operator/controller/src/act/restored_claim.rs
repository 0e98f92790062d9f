//! The first member's volume claim of a cluster that begins with a snapshot.

use super::{ActError, Pass};
use crate::kinds::MANAGER;
use crate::kubernetes::bounded;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

impl Pass<'_> {
    /// One that exists already is seen by the next pass, which then makes the members.
    pub(super) async fn make_restored_claim(&self, wanted: &PersistentVolumeClaim) -> Result<(), ActError> {
        let claim = wanted.name_any();
        let api: Api<PersistentVolumeClaim> = self.namespaced();
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match bounded(api.create(&parameters, wanted)).await {
            Ok(_) => {
                tracing::info!(cluster = self.names.cluster(), claim, "made a volume claim from a snapshot");
                Ok(())
            }
            Err(error) if error.is_conflict() => Ok(()),
            Err(source) => {
                Err(ActError::ApplyObject { title: format!("PersistentVolumeClaim {claim}"), source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::tests::observation;
    use crate::observation::Freshness;
    use crate::testing::{context, refusal, server};
    use serde_json::json;

    #[tokio::test]
    async fn a30_a_claim_that_exists_is_left_as_it_is() {
        let wanted: PersistentVolumeClaim =
            serde_json::from_value(json!({"metadata": {"name": "data-shop-0"}, "spec": {}})).unwrap();
        for (code, reason, is_fine) in [(409, "AlreadyExists", true), (403, "Forbidden", false)] {
            let (client, calls) = server(move |_| Some(refusal(code, reason)));
            let (context, _until) = context(&client);
            let observation = observation(Freshness::Read);
            let made = Pass::new(&context, &observation).make_restored_claim(&wanted).await;
            assert_eq!(made.is_ok(), is_fine, "{reason}");
            let once: Vec<String> =
                calls.lines().iter().map(|line| line.split('?').next().unwrap().to_owned()).collect();
            assert_eq!(once, ["POST /api/v1/namespaces/prod/persistentvolumeclaims"]);
        }
    }
}
