//! What members say about the components that the spec lists (ha.md H18). It decides nothing: a member that lacks one
//! serves, and applies whatever does not need it.

use crate::protocol::{MemberState, Role, ServerPhase};
use crate::validate::Cluster;
use crate::view::ClusterView;

/// A member's message, with what its server lacks.
pub(super) fn beside(message: &str, cluster: &Cluster, state: &MemberState) -> String {
    let parts = [message.to_owned(), refused(cluster, state), awaited(cluster, state)];
    join(parts.into_iter())
}

/// What members could not load, if there is something.
pub(super) fn missing(cluster: &Cluster, view: &ClusterView) -> Option<String> {
    let of_member = |name: &String| {
        let complaint = refused(cluster, view.answer(name)?);
        (!complaint.is_empty()).then(|| format!("{name}: {complaint}"))
    };
    let all = join(view.members.keys().filter_map(of_member));
    (!all.is_empty()).then_some(all)
}

fn refused(cluster: &Cluster, state: &MemberState) -> String {
    let of_component = |name: &String| {
        let told = state.components.iter().find(|told| told.name == *name && !told.error.is_empty())?;
        Some(format!(
            "{name} of spec.mysql.components is not loaded: {}; use an image that has it, or remove it from the list",
            told.error
        ))
    };
    join(listed(cluster).iter().filter_map(of_component))
}

/// Members take up a new list when their volume shows it.
fn awaited(cluster: &Cluster, state: &MemberState) -> String {
    let serves = matches!(state.role, Role::Primary { .. } | Role::Replica { .. });
    if state.server != ServerPhase::Running || !serves {
        return String::new();
    }
    let is_untold = |name: &&String| !state.components.iter().any(|told| told.name == **name);
    let names: Vec<&str> = listed(cluster).iter().filter(is_untold).map(String::as_str).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("{} of spec.mysql.components: not loaded yet", names.join(", "))
}

fn listed(cluster: &Cluster) -> &[String] {
    &cluster.spec.mysql.components
}

fn join(sentences: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = sentences.filter(|sentence| !sentence.is_empty()).collect();
    all.join("; ")
}
