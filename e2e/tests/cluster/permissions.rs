//! What each identity may do, asked of the API server (G12, G13, G17, G20).

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use porpoise_crds::permissions::PERMISSIONS;
use porpoise_e2e::scenario::{OPERATOR_NAMESPACE, Stage};

const OPERATOR: &str = "system:serviceaccount:porpoise-system:porpoise";
const GROUPS: [&str; 3] =
    ["system:serviceaccounts", "system:serviceaccounts:porpoise-system", "system:authenticated"];

/// Asked of the server itself, which answers for kinds that it does not serve, too.
async fn may(stage: &Stage, verb: &str, group: &str, resource: &str) -> Result<bool> {
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let asked = ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: Some(OPERATOR_NAMESPACE.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(part.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(OPERATOR.to_owned()),
        groups: Some(GROUPS.map(str::to_owned).to_vec()),
        resource_attributes: Some(asked),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answered = Api::all(stage.client()).create(&PostParams::default(), &review).await?;
    Ok(answered.status.context("an answer")?.allowed)
}

#[tokio::test]
async fn the_operator_may_do_what_it_says_and_nothing_of_this() -> Result<()> {
    let stage = Stage::shared().await?;
    for permission in PERMISSIONS {
        for verb in permission.verbs {
            let (group, resource) = (permission.group, permission.resource);
            let allowed = may(&stage, verb, group, resource).await?;
            ensure!(allowed, "the operator may not {verb} {resource} of {group:?}");
        }
    }
    for (verb, group, resource) in [
        ("list", "", "secrets"),
        ("watch", "", "secrets"),
        ("create", "", "pods/exec"),
        ("delete", "", "nodes"),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
        ("*", "*", "*"),
    ] {
        ensure!(!may(&stage, verb, group, resource).await?, "the operator may {verb} {resource}");
    }
    Ok(())
}
