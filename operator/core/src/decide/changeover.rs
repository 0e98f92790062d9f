//! What is remembered of a change of the primary: which steps it took, and when.

use super::roster::reigns_in;
use crate::plan::Record;
use crate::protocol::Role;
use crate::view::ClusterView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{Changeover, MySQLClusterStatus, Operation, OperationKind};

/// Takes note of an operation that ends with `record`, and of a new primary that is seen open.
pub(super) fn remember(view: &ClusterView, record: Option<&Record>, status: &mut MySQLClusterStatus) {
    if let Some(record) = record
        && let Some(ended) = ended(view, record)
    {
        let place = if ended.0 { &mut status.last_switchover } else { &mut status.last_failover };
        *place = Some(ended.1);
    }
    let term = status.term;
    for changeover in [&mut status.last_failover, &mut status.last_switchover].into_iter().flatten() {
        let is_current = Some(changeover.term) == term && changeover.published_at.is_none();
        if is_current && is_open(view, changeover) {
            changeover.published_at = Some(MicroTime(view.now));
        }
    }
}

/// Whether it was planned, and what it was. The first primary of a new cluster changes nothing.
fn ended(view: &ClusterView, record: &Record) -> Option<(bool, Changeover)> {
    let status = view.object.status.as_ref()?;
    let operation =
        status.operation.as_ref().filter(|operation| operation.kind == OperationKind::Promoting)?;
    let to = record.primary.clone().filter(|_| record.operation.is_none())?;
    operation.sealed_at.as_ref()?;
    Some((operation.planned, changeover(operation, to, record.term, view)))
}

fn changeover(operation: &Operation, to: String, term: i64, view: &ClusterView) -> Changeover {
    Changeover {
        from: operation.from.clone(),
        to,
        term,
        started_at: operation.started_at.clone(),
        sealed_at: operation.sealed_at.clone(),
        promoted_at: MicroTime(view.now),
        published_at: None,
        reason: operation.message.clone(),
    }
}

fn is_open(view: &ClusterView, changeover: &Changeover) -> bool {
    view.answer(&changeover.to).is_some_and(|state| {
        reigns_in(state) == Some(changeover.term)
            && matches!(state.role, Role::Primary { admitting: true, .. })
    })
}
