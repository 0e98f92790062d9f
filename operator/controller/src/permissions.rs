//! What the operator must be allowed to do: the one table behind the chart's roles and the check at the start.

pub use porpoise_crds::permissions::{PERMISSIONS, Permission, Reach};

use crate::kubernetes::{bounded, chain};
use crate::watch::Scope;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::PostParams;
use kube::{Api, Client};
use std::collections::BTreeSet;

/// The rules of a role for one reach.
pub fn rules(reach: Reach) -> Vec<PolicyRule> {
    let rule = |permission: &Permission| PolicyRule {
        api_groups: Some(vec![permission.group.to_owned()]),
        resources: Some(vec![permission.resource.to_owned()]),
        verbs: permission.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    PERMISSIONS.iter().filter(|permission| permission.reach == reach).map(rule).collect()
}

/// The permissions that this process lacks, each a sentence.
pub async fn missing(client: &Client, scope: &Scope, operator_namespace: &str) -> BTreeSet<String> {
    let mut gaps = BTreeSet::new();
    for permission in PERMISSIONS {
        for namespace in namespaces(permission.reach, scope, operator_namespace) {
            for verb in permission.verbs {
                gaps.extend(gap(client, permission, verb, namespace.as_deref()).await);
            }
        }
    }
    gaps
}

fn namespaces(reach: Reach, scope: &Scope, operator_namespace: &str) -> Vec<Option<String>> {
    match reach {
        Reach::Clusters => scope.namespaces(),
        Reach::Operator => vec![Some(operator_namespace.to_owned())],
        // Optional: without it the operator says less, or acts later.
        Reach::Everywhere => Vec::new(),
    }
}

async fn gap(
    client: &Client,
    permission: &Permission,
    verb: &str,
    namespace: Option<&str>,
) -> Option<String> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = bounded(api.create(&PostParams::default(), &review(permission, verb, namespace))).await;
    let allowed = match answer {
        Ok(review) => review.status.is_some_and(|status| status.allowed),
        Err(error) => {
            tracing::warn!(error = chain(&error), "cannot review a permission");
            return None;
        }
    };
    let place =
        namespace.map_or_else(|| "all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
    let group = if permission.group.is_empty() { String::new() } else { format!(".{}", permission.group) };
    (!allowed).then(|| format!("{verb} {}{group} in {place}, to {}", permission.resource, permission.reason))
}

fn review(permission: &Permission, verb: &str, namespace: Option<&str>) -> SelfSubjectAccessReview {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(permission.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_broad_is_asked_for() {
        for permission in PERMISSIONS {
            assert!(!permission.verbs.contains(&"*") && !permission.resource.contains('*'), "{permission:?}");
            assert_ne!(permission.resource, "pods/exec");
            if permission.resource == "secrets" {
                assert!(!permission.verbs.iter().any(|verb| matches!(*verb, "list" | "watch")));
            }
            assert!(!permission.reason.is_empty());
        }
    }

    #[test]
    fn every_owned_kind_may_be_applied() {
        use strum::IntoEnumIterator;
        const APPLY: [&str; 5] = ["get", "list", "watch", "create", "patch"];
        for kind in crate::kinds::OwnedKind::iter() {
            let resource = kind.resource();
            let found =
                PERMISSIONS.iter().find(|p| p.group == resource.group && p.resource == resource.plural);
            let verbs = found.expect("a permission for every owned kind").verbs;
            assert!(APPLY.iter().all(|verb| verbs.contains(verb)), "{kind:?}");
        }
    }

    #[test]
    fn no_resource_stands_twice() {
        let all: BTreeSet<_> = PERMISSIONS.iter().map(|p| (p.group, p.resource)).collect();
        assert_eq!(all.len(), PERMISSIONS.len());
    }
}
