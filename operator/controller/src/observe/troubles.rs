//! Refusals and troubles that Kubernetes reports: from the Pods themselves, and from Events while something is missing.
//!
//! Events are listed by need, not watched: cluster-wide they are many, and a healthy cluster has none for us.

use crate::context::Context;
use crate::facts::{PodFacts, ordinal_in};
use crate::kubernetes::{bounded, existing};
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use porpoise_core::line;
use porpoise_core::names::ClusterNames;
use porpoise_core::view::{Trouble, TroubleKind};
use porpoise_crds::MySQLCluster;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A Pod that is missing or not ready for this long is worth a question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers are good for this long.
const FRESH: Duration = Duration::from_secs(15);
/// While a cluster is deleted, for this long.
const SOON: Duration = Duration::from_secs(1);
/// The newest Events of a namespace are enough; more would cost memory.
const MOST_EVENTS: u32 = 250;
/// Older Events tell of troubles that were solved.
const OLDEST: Duration = Duration::from_mins(10);

type Pods = BTreeMap<String, Arc<PodFacts>>;

pub(super) async fn look(context: &Context, object: &MySQLCluster, pods: &Pods) -> Vec<Trouble> {
    let uid = object.uid().unwrap_or_default();
    let of_pods = pods.iter().filter_map(|(name, pod)| {
        let (kind, message) = pod.trouble.clone()?;
        Some(Trouble { kind, about: format!("Pod {name}"), message })
    });
    let mut troubles: BTreeSet<Trouble> = of_pods.collect();
    if !unready_for_long(context, &uid, object, pods) {
        return troubles.into_iter().collect();
    }
    let known = context.memories.of(&uid, |memory| memory.troubles.clone());
    let of_events = match known {
        Some((when, troubles)) if when.elapsed() < FRESH => troubles,
        _ => {
            let found = of_events(context, object, pods).await;
            context.memories.of(&uid, |memory| memory.troubles = Some((Instant::now(), found.clone())));
            found
        }
    };
    troubles.extend(of_events);
    troubles.into_iter().collect()
}

fn unready_for_long(context: &Context, uid: &str, object: &MySQLCluster, pods: &Pods) -> bool {
    let ready = pods.values().filter(|pod| pod.view.ready).count();
    let wanted =
        if object.spec.hibernated { 0 } else { usize::try_from(object.spec.instances).unwrap_or_default() };
    context.memories.of(uid, |memory| {
        if ready >= wanted {
            memory.unready_since = None;
            memory.troubles = None;
            return false;
        }
        memory.unready_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
    })
}

async fn of_events(context: &Context, object: &MySQLCluster, pods: &Pods) -> Vec<Trouble> {
    let namespace = object.namespace().unwrap_or_default();
    let names = ClusterNames::new(&object.name_any(), &namespace);
    let api: Api<Event> = Api::namespaced(context.clients.general.clone(), &namespace);
    let parameters = ListParams::default().fields("type=Warning").limit(MOST_EVENTS);
    match bounded(api.list(&parameters)).await {
        Ok(events) => events.items.iter().filter_map(|event| trouble(event, &names, pods)).collect(),
        Err(error) => {
            tracing::warn!(error = crate::kubernetes::chain(&error), namespace, "cannot list Events");
            Vec::new()
        }
    }
}

/// The trouble an Event tells of, if it is about an object of this cluster that is not well now.
fn trouble(event: &Event, names: &ClusterNames, pods: &Pods) -> Option<Trouble> {
    let about = &event.involved_object;
    let (kind, name) = (about.kind.as_deref()?, about.name.as_deref()?);
    let instance = match kind {
        "StatefulSet" if name == names.cluster() => None,
        "Pod" => Some(name),
        "PersistentVolumeClaim" => Some(line::read_claim(name, names.cluster())?.1),
        _ => return None,
    };
    if let Some(instance) = instance {
        ordinal_in(names.cluster(), instance)?;
        if pods.get(instance).is_some_and(|pod| pod.view.ready) {
            return None;
        }
    }
    if !is_recent(event) {
        return None;
    }
    let message = event.message.clone().unwrap_or_default();
    let kind_of_trouble = sort(event.reason.as_deref()?, &message)?;
    Some(Trouble { kind: kind_of_trouble, about: format!("{kind} {name}"), message })
}

fn is_recent(event: &Event) -> bool {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let newest = last.or_else(|| event.event_time.as_ref().map(|time| time.0));
    let oldest = jiff::Timestamp::now() - OLDEST;
    newest.is_some_and(|newest| newest >= oldest)
}

fn sort(reason: &str, message: &str) -> Option<TroubleKind> {
    match reason {
        "FailedCreate" if message.contains("exceeded quota") => Some(TroubleKind::QuotaExceeded),
        "FailedCreate" if message.contains("forbidden") || message.contains("denied") => {
            Some(TroubleKind::PodRefused)
        }
        "FailedScheduling" => Some(TroubleKind::Unschedulable),
        "ProvisioningFailed" | "FailedMount" | "FailedAttachVolume" | "FailedBinding"
        | "VolumeResizeFailed" => Some(TroubleKind::VolumeUnavailable),
        _ => None,
    }
}

/// Whether the namespace is being deleted. Asked only while the cluster is not whole: nothing is created otherwise.
pub(super) async fn namespace_terminating(context: &Context, object: &MySQLCluster, pods: &Pods) -> bool {
    let uid = object.uid().unwrap_or_default();
    let whole = usize::try_from(object.spec.instances) == Ok(pods.len());
    if whole && object.metadata.deletion_timestamp.is_none() {
        return false;
    }
    let known = context.memories.of(&uid, |memory| memory.namespace);
    // A namespace takes its clusters along: a deleted cluster must know soon.
    let fresh = if object.metadata.deletion_timestamp.is_some() { SOON } else { FRESH };
    let known = known.filter(|(when, terminating)| *terminating || when.elapsed() < fresh);
    if let Some((_, terminating)) = known {
        return terminating;
    }
    let terminating = is_terminating(context, &object.namespace().unwrap_or_default()).await;
    context.memories.of(&uid, |memory| memory.namespace = Some((Instant::now(), terminating)));
    terminating
}

/// Whether this namespace is being deleted, or gone.
pub(super) async fn is_terminating(context: &Context, namespace: &str) -> bool {
    let api: Api<Namespace> = Api::all(context.clients.general.clone());
    let found: Result<Option<PartialObjectMeta<Namespace>>, _> =
        existing(bounded(api.get_metadata(namespace)).await);
    match found {
        Ok(found) => found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()),
        // Not allowed to look: then a refused creation tells.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_words_are_sorted() {
        for (reason, message, want) in [
            (
                "FailedCreate",
                "create Pod shop-0 failed: pods \"shop-0\" is forbidden: exceeded quota: small",
                Some(TroubleKind::QuotaExceeded),
            ),
            (
                "FailedCreate",
                "pods \"shop-0\" is forbidden: violates PodSecurity",
                Some(TroubleKind::PodRefused),
            ),
            ("FailedCreate", "admission webhook \"x\" denied the request", Some(TroubleKind::PodRefused)),
            ("FailedScheduling", "0/3 nodes are available", Some(TroubleKind::Unschedulable)),
            ("ProvisioningFailed", "no such class", Some(TroubleKind::VolumeUnavailable)),
            ("BackOff", "restarting failed container", None),
        ] {
            assert_eq!(sort(reason, message), want, "{reason}: {message}");
        }
    }

    #[test]
    fn only_events_of_this_cluster_count() {
        let names = ClusterNames::new("shop", "prod");
        let event = |kind: &str, name: &str| Event {
            involved_object: k8s_openapi::api::core::v1::ObjectReference {
                kind: Some(kind.to_owned()),
                name: Some(name.to_owned()),
                ..Default::default()
            },
            reason: Some("FailedScheduling".to_owned()),
            last_timestamp: Some(
                k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()),
            ),
            ..Event::default()
        };
        let pods = Pods::new();
        assert!(trouble(&event("Pod", "shop-0"), &names, &pods).is_some());
        assert!(trouble(&event("Pod", "shop-api-0"), &names, &pods).is_none());
        assert!(trouble(&event("Pod", "shopping-0"), &names, &pods).is_none());
        assert!(trouble(&event("Deployment", "shop"), &names, &pods).is_none());
        let claim = |name| trouble(&event("PersistentVolumeClaim", name), &names, &pods);
        assert!(claim("data-shop-0").is_some() && claim("data-2-shop-0").is_some(), "every line of data");
        assert!(claim("data-other-0").is_none() && claim("cache-shop-0").is_none());
        let ready = PodFacts {
            view: porpoise_core::view::PodView { ready: true, ..Default::default() },
            ..PodFacts::default()
        };
        let pods = Pods::from([("shop-0".to_owned(), Arc::new(ready))]);
        assert!(trouble(&event("Pod", "shop-0"), &names, &pods).is_none(), "a ready Pod has no trouble");
    }
}
