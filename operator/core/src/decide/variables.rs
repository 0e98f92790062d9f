//! What members say about the settings that they set while mysqld runs (C12). It decides nothing: a member whose server refuses a
//! value goes on with the one it has.

use super::rollout;
use crate::build::STATIC_INPUTS_ANNOTATION;
use crate::protocol::{MemberState, Role, ServerPhase, Variable};
use crate::runtime::{self, Value};
use crate::validate::Cluster;
use crate::view::ClusterView;

/// What a member did not take as it was written, or not yet; empty: nothing.
pub(super) fn complaints(cluster: &Cluster, view: &ClusterView, state: &MemberState) -> String {
    let told = told(cluster, state);
    let refused = told.iter().filter_map(|one| refusal(cluster, one));
    let adjusted = told.iter().filter_map(|one| adjustment(cluster, one));
    let all: Vec<String> = refused.chain(adjusted).chain(awaited(cluster, view, state)).collect();
    all.join("; ")
}

/// What servers refused, if there is something: each sentence once, with the members that say so.
pub(super) fn refused(cluster: &Cluster, view: &ClusterView) -> Option<String> {
    let mut sentences: Vec<(String, Vec<&str>)> = Vec::new();
    for name in view.members.keys() {
        let told = view.answer(name).map(|state| told(cluster, state)).unwrap_or_default();
        for sentence in told.iter().filter_map(|one| refusal(cluster, one)) {
            match sentences.iter_mut().find(|(known, _)| *known == sentence) {
                Some((_, members)) => members.push(name),
                None => sentences.push((sentence, vec![name])),
            }
        }
    }
    let all: Vec<String> =
        sentences.iter().map(|(sentence, members)| format!("{}: {sentence}", members.join(", "))).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What the member says about the present values.
fn told<'a>(cluster: &Cluster, state: &'a MemberState) -> Vec<&'a Variable> {
    let is_present = |told: &&Variable| is_told(told, cluster.variables());
    state.variables.iter().filter(is_present).collect()
}

fn is_told<'a>(told: &Variable, mut wanted: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    wanted.any(|(name, value)| told.name == name && told.value == value)
}

fn refusal(cluster: &Cluster, told: &Variable) -> Option<String> {
    let Variable { name, value, error, effective } = told;
    let now = if effective.is_empty() { String::new() } else { format!(" ({effective:?})") };
    (!error.is_empty()).then(|| {
        format!(
            "{}[{name:?}] is not set to {value:?}: {error}; mysqld keeps what it has{now}; change the value or remove it",
            field(cluster, name)
        )
    })
}

/// mysqld moves a number into its bounds or to a multiple of something, as it does when it starts.
fn adjustment(cluster: &Cluster, told: &Variable) -> Option<String> {
    let number = |text: &str| match runtime::value(text) {
        Value::Number(digits) => digits.parse::<f64>().ok(),
        Value::Text(_) => None,
    };
    let (wanted, got) = (number(&told.value)?, number(&told.effective)?);
    let is_moved = told.error.is_empty() && (wanted - got).abs() > f64::EPSILON;
    is_moved.then(|| {
        let Variable { name, value, effective, .. } = told;
        format!("mysqld made {effective} of {}[{name:?}] = {value:?}", field(cluster, name))
    })
}

/// Members take up new values when their volume shows them. Those of an older template do not: they are restarted.
fn awaited(cluster: &Cluster, view: &ClusterView, state: &MemberState) -> Option<String> {
    let serves = matches!(state.role, Role::Primary { .. } | Role::Replica { .. });
    let is_able = knows_variables(view) && !rollout::has_old_template(view, &state.instance);
    if state.server != ServerPhase::Running || !serves || !is_able {
        return None;
    }
    let is_untold = |(name, value): &(&str, &str)| {
        !state.variables.iter().any(|told| told.name == *name && told.value == *value)
    };
    let names: Vec<&str> = cluster.variables().filter(is_untold).map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| format!("{} of spec.mysql.config: not set yet", names.join(", ")))
}

/// Whether the stored template has an agent that sets anything.
fn knows_variables(view: &ClusterView) -> bool {
    let stored = view.stateful_set.as_ref().and_then(|set| set.spec.as_ref());
    let metadata = stored.and_then(|spec| spec.template.metadata.as_ref());
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    annotations.is_some_and(|all| all.contains_key(STATIC_INPUTS_ANNOTATION))
}

/// Where the user wrote it.
fn field(cluster: &Cluster, name: &str) -> &'static str {
    let spelled = |key: &String| key.to_ascii_lowercase().replace('-', "_") == name;
    let is_inline = cluster.spec.mysql.config.keys().any(spelled);
    if is_inline { "spec.mysql.config" } else { "spec.mysql.configMapRef" }
}
