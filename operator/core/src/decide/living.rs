//! A cluster that shall exist: its objects, the protocol's step, the route, the Pods' metadata.

use super::rollout::{self, Rollout};
use super::roster::{Roster, reigns_in};
use super::step::{Situation, Step, recorded};
use super::update_gate::{self, Hold};
use super::{
    archive, backups, changeover, halt, in_place, mending, passwords, quorum, seeding, status, stores,
};
use crate::build;
use crate::event;
use crate::line;
use crate::names::{COPIES_LABEL, READS_LABEL, ROLE_LABEL, ordinal};
use crate::plan::{Deletion, Desired, Metadata, Plan};
use crate::protocol::{MemberState, Role};
use crate::quantity::Amount;
use crate::validate::Cluster;
use crate::view::ClusterView;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use porpoise_crds::{FINALIZER, OperationKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pause between looks while something is going on.
const BUSY: Duration = Duration::from_millis(250);
/// Pause between looks at a cluster that is well. Its members tell by themselves when something matters.
const CALM: Duration = Duration::from_secs(20);

/// Decides for a valid cluster.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, mut plan: Plan) -> Plan {
    plan.look_again = BUSY;
    if !view.object.metadata.finalizers.as_ref().is_some_and(|keys| keys.iter().any(|key| key == FINALIZER)) {
        plan.finalizer = Some(true);
        "guarding the deletion of a new cluster".clone_into(&mut plan.reason);
        return plan;
    }
    if view.namespace_terminating {
        "the namespace is being deleted; nothing is created in it".clone_into(&mut plan.reason);
        return plan;
    }
    if in_place::plan(cluster, view, &mut plan) {
        return plan;
    }
    let step = protocol(cluster, view, &mut plan);
    let hold = objects(cluster, view, &step, &mut plan);
    // In the middle of a failover labels would only follow every step of it.
    if !matches!(step.situation, Situation::Sealing | Situation::Promoting) {
        plan.pod_metadata = pod_metadata(cluster, view);
    }
    grow_claims(cluster, view, &mut plan);
    plan.record.clone_from(&step.record);
    plan.orders.clone_from(&step.orders);
    plan.events.extend(step.events.iter().cloned());
    plan.reason.clone_from(&step.reason);
    in_place::founded(cluster, view, &step, &mut plan.status);
    in_place::tell(&step, &mut plan.status);
    backups::plan(cluster, view, &mut plan);
    archive::plan(cluster, view, &mut plan);
    passwords::plan(view, &mut plan);
    status::report(cluster, view, &step, &mut plan);
    let soon = hold.as_ref().map_or(CALM, Hold::look_again).min(in_place::look_again(&plan.status));
    if let Some(hold) = hold {
        update_gate::tell(view, hold, &mut plan);
    }
    changeover::remember(view, plan.record.as_ref(), &mut plan.status);
    if step.request.is_some() {
        plan.status.switchover.clone_from(&step.request);
    }
    let halted = step.halt.is_some() && step.record.is_none() && step.orders.is_empty();
    let rests = (halted || plan.status.phase.is_some_and(super::is_resting)) && !step.awaits;
    plan.look_again = if rests { CALM.min(soon) } else { BUSY };
    plan
}

/// The protocol's step, with a rollout on top when the step has nothing to do.
pub(super) fn protocol(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) -> Step {
    if cluster.spec.hibernated {
        return Step::wait(Situation::Waiting, "hibernated by request");
    }
    if let Some(step) = in_place::stopped(view) {
        return step;
    }
    let step = quorum::step(cluster, view);
    for deletion in mending::idle(view) {
        replace(deletion, plan);
    }
    let record = recorded(&view.object.status.clone().unwrap_or_default());
    let Some(claim) = record.quorum.as_ref() else { return step };
    let roster = Roster { cluster, view, claim, term: record.term };
    let halt = halt::of(&roster, record.primary.as_deref());
    plan.events.extend(halt.as_ref().and_then(|halt| halt.news(view)));
    let step = Step { halt, ..step };
    if step.record.is_some() || !step.orders.is_empty() {
        return step;
    }
    if let Some(deletion) = mending::spared(&roster, &record) {
        replace(deletion, plan);
        return step;
    }
    if step.halt.is_some() {
        return step;
    }
    match rollout::next(&roster, &record) {
        Rollout::Nothing => step,
        Rollout::Replace(deletion) => {
            replace(deletion, plan);
            step
        }
        Rollout::Move(step) => *step,
        Rollout::Await(what) => step.awaiting(Some(what)),
    }
}

fn replace(deletion: Deletion, plan: &mut Plan) {
    if let Deletion::Pod { name, .. } | Deletion::IdlePod { name, .. } = &deletion {
        plan.events.push(event::MEMBER_RESTARTING.event(&[("instance", name)]));
    }
    plan.deletions.push(deletion);
}

/// Owned objects in the order of apply (architecture.md §3), and what holds back an update of the image.
fn objects(cluster: &Cluster, view: &ClusterView, step: &Step, plan: &mut Plan) -> Option<Hold> {
    plan.secrets = true;
    let inputs = build::PodInputs::of(&view.object);
    let mut stateful_set =
        build::stateful_set(cluster, &inputs, replicas(cluster, view), view.stateful_set.as_ref());
    let hold = update_gate::pass(cluster, view, &mut stateful_set, plan);
    let mut objects = vec![Desired::ServiceAccount(Box::new(build::service_account(cluster)))];
    if !hold.as_ref().is_some_and(Hold::keeps_settings) {
        objects.insert(0, Desired::ConfigMap(Box::new(build::config_map(cluster, &stateful_set))));
    }
    match build::network_policy(cluster) {
        Some(policy) => objects.push(Desired::NetworkPolicy(Box::new(policy))),
        None => plan.deletions.push(Deletion::NetworkPolicy { name: cluster.names.cluster().to_owned() }),
    }
    objects.push(Desired::Service(Box::new(build::members_service(cluster))));
    objects.push(Desired::PodDisruptionBudget(Box::new(build::disruption_budget(cluster))));
    let outgrown = view.stateful_set.as_ref().filter(|stored| claim_template_differs(cluster, stored));
    if view.stateful_set.as_ref().is_some_and(|stored| is_of_other_line(cluster, stored)) {
        // Its Pods go with it: their volumes hold other data.
        plan.deletions
            .push(Deletion::StatefulSet { name: cluster.names.cluster().to_owned(), orphan: false });
    } else if outgrown.is_some() && hold.is_none() {
        let name = cluster.names.cluster().to_owned();
        plan.deletions.push(Deletion::StatefulSet { name, orphan: true });
    } else if !seeding::holds_members(cluster, view, plan) {
        // While an update is held the old image stands in the stored one only. The rest of it goes on, such as its replicas.
        if let Some(stored) = outgrown {
            keep_claim_size(stored, &mut stateful_set);
        }
        objects.push(Desired::StatefulSet(Box::new(stateful_set)));
    }
    objects.push(Desired::Service(Box::new(build::primary_service(cluster))));
    objects.push(Desired::Service(Box::new(build::replicas_service(cluster))));
    let slice = match route(view, step) {
        Route::Keep => None,
        Route::To(name, address, node) => {
            Some(build::primary_slice(cluster, Some((&name, &address, node.as_deref()))))
        }
        Route::Nowhere => Some(build::primary_slice(cluster, None)),
    };
    objects.extend(slice.map(|slice| Desired::EndpointSlice(Box::new(slice))));
    plan.objects = objects;
    stores::plan(cluster, view, plan);
    hold
}

/// Whether its Pods mount the volumes of another line of data.
pub(super) fn is_of_other_line(cluster: &Cluster, stored: &StatefulSet) -> bool {
    line::of_stateful_set(stored).is_some_and(|line| line != cluster.line)
}

/// The claim template cannot be changed in place: the `StatefulSet` is replaced around its running Pods.
fn claim_template_differs(cluster: &Cluster, stored: &StatefulSet) -> bool {
    claim_size(stored)
        .and_then(|size| Amount::parse(&size.0).ok())
        .is_some_and(|amount| amount.units() != cluster.storage_bytes)
}

fn claim_size(stored: &StatefulSet) -> Option<&Quantity> {
    let claim = stored.spec.as_ref()?.volume_claim_templates.as_ref()?.first()?;
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")
}

/// Puts the size of the stored claim template into the wanted one.
fn keep_claim_size(stored: &StatefulSet, wanted: &mut StatefulSet) {
    let claims = wanted.spec.as_mut().and_then(|spec| spec.volume_claim_templates.as_mut());
    let claim = claims.and_then(|claims| claims.first_mut()?.spec.as_mut()?.resources.as_mut());
    if let (Some(size), Some(resources)) = (claim_size(stored), claim) {
        resources.requests.get_or_insert_default().insert("storage".to_owned(), size.clone());
    }
}

/// Instances that must run: all that are wanted and all that the claim still needs.
pub(super) fn replicas(cluster: &Cluster, view: &ClusterView) -> i32 {
    if cluster.spec.hibernated || line::stops_members(&view.object) {
        return 0;
    }
    let claim = view.object.status.as_ref().and_then(|status| status.quorum.as_ref());
    let needed = claim
        .into_iter()
        .flat_map(|claim| &claim.members)
        .filter_map(|member| ordinal(&member.name))
        .map(|ordinal| ordinal + 1)
        .max()
        .unwrap_or(0);
    i32::try_from(cluster.instances.max(needed)).unwrap_or(i32::MAX)
}

/// Where the rw Service leads.
enum Route {
    /// As it does: a failover is one change of the endpoint (H19).
    Keep,
    /// To this Pod: instance, address, node.
    To(String, String, Option<String>),
    /// Nowhere: there is no primary, and none in sight.
    Nowhere,
}

/// The primary of the recorded term; nowhere while there is none for long.
fn route(view: &ClusterView, step: &Step) -> Route {
    let status = view.object.status.as_ref();
    let term = status.and_then(|status| status.term).unwrap_or(0);
    let primary = status.and_then(|status| status.primary.as_deref());
    let state = primary.and_then(|name| view.answer(name));
    // Before it is open: a client that comes early is told so by the server itself, and the nodes need their time.
    let chosen = status.and_then(|status| status.operation.as_ref()).is_some_and(|operation| {
        operation.kind == OperationKind::Promoting && operation.target.as_deref() == primary
    });
    let is_to_be =
        |state: &MemberState| chosen && matches!(state.role, Role::Sealed { term: of } if of == term);
    let open = state.filter(|state| reigns_in(state) == Some(term) || is_to_be(state));
    let Some(state) = open else { return unopened(step.situation) };
    let pod = view.pods.get(&state.instance);
    match pod.and_then(|pod| Some((pod.address.clone()?, pod.node.clone()))) {
        Some((address, node)) => Route::To(state.instance.clone(), address, node),
        None => Route::Keep,
    }
}

fn unopened(situation: Situation) -> Route {
    match situation {
        Situation::Sealing | Situation::Promoting | Situation::Reigning => Route::Keep,
        Situation::Waiting | Situation::Founding | Situation::NoQuorum => Route::Nowhere,
    }
}

/// Role and reads labels, and what the Pods inherit from the object, where they differ.
fn pod_metadata(cluster: &Cluster, view: &ClusterView) -> BTreeMap<String, Metadata> {
    let (labels, annotations) = build::pod_metadata(cluster);
    view.pods
        .iter()
        .filter(|(_, pod)| !pod.terminating)
        .map(|(name, _)| {
            let mut labels: BTreeMap<String, Option<String>> =
                labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
            labels.extend(role_labels(view, name));
            labels.insert(COPIES_LABEL.to_owned(), copied(cluster, view, name));
            let annotations =
                annotations.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
            (name.clone(), Metadata { labels, annotations })
        })
        .collect()
}

fn role_labels(view: &ClusterView, instance: &str) -> [(String, Option<String>); 2] {
    let (role, reads) = match view.answer(instance).map(|state| &state.role) {
        Some(Role::Primary { .. }) => (Some("primary"), false),
        Some(Role::Replica { receiving, applying, lagging, .. }) => {
            (Some("replica"), *receiving && *applying && !*lagging)
        }
        Some(Role::Idle | Role::Sealed { .. }) | None => (None, false),
    };
    [
        (ROLE_LABEL.to_owned(), role.map(str::to_owned)),
        (READS_LABEL.to_owned(), reads.then(|| "true".to_owned())),
    ]
}

/// The cluster that this Pod copies, which lets it in for that long.
fn copied(cluster: &Cluster, view: &ClusterView, instance: &str) -> Option<String> {
    let is_founded = view.object.status.as_ref().is_some_and(|status| status.quorum.is_some());
    let clone = cluster.spec.bootstrap.as_ref()?.clone.as_ref()?;
    (!is_founded && instance == cluster.names.instance(0)).then(|| clone.cluster_ref.name.clone())
}

fn grow_claims(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) {
    for (instance, claim) in &view.claims {
        if claim.bound && claim.size_bytes < cluster.storage_bytes && claim.size_bytes > 0 {
            plan.claim_sizes.insert(line::claim(cluster.line, instance), cluster.storage_bytes);
        }
    }
}
