//! Jobs are made once and ended as a whole, whoever wants them.

use crate::kinds::MANAGER;
use crate::kubernetes::bounded;
use crate::outcome::ActError;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

/// Makes it for `whom`. One of that name that exists already is seen, and judged, by the next pass.
pub(super) async fn make(api: &Api<Job>, job: &Job, whom: &str) -> Result<(), ActError> {
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let name = job.name_any();
    match bounded(api.create(&parameters, job)).await {
        Ok(_) => {
            tracing::info!(whom, namespace = job.namespace(), job = name, "made a Job");
            Ok(())
        }
        Err(error) if error.is_conflict() => Ok(()),
        Err(source) => Err(ActError::ApplyObject { title: format!("Job {name}"), source }),
    }
}

/// Deletes this very one in the foreground: it stands until its Pods, and with them their volumes, are gone.
pub(super) async fn end(api: &Api<Job>, name: &str, uid: &str) -> Result<(), ActError> {
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    match bounded(api.delete(name, &parameters)).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        Err(source) => Err(ActError::DeleteObject { title: format!("Job {name}"), source }),
    }
}
