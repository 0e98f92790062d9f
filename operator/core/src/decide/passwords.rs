//! What people are told of a change of passwords, which the primary carries out by itself (ADR 0027).

use super::archive::open_primary;
use crate::event;
use crate::plan::Plan;
use crate::protocol::ACCOUNTS_STAY;
use crate::view::ClusterView;

/// Notes which former passwords are accepted, and tells when that begins, when it is over, and what cannot be used. While no
/// primary says anything, what it said last stays: a successor has not looked yet.
pub(super) fn plan(view: &ClusterView, plan: &mut Plan) {
    let Some(primary) = open_primary(view) else { return };
    let is_told = plan.status.instances.iter().any(|one| one.message.contains(&primary.message));
    if primary.message.contains(ACCOUNTS_STAY) && !is_told {
        let about = [("instance", primary.instance.as_str()), ("reason", primary.message.as_str())];
        plan.events.push(event::PASSWORD_REFUSED.event(&about));
    }
    let Some(former) = &primary.former_passwords else { return };
    let before = std::mem::replace(&mut plan.status.changing_accounts, former.clone());
    let fresh: Vec<&str> = former.iter().filter(|user| !before.contains(user)).map(String::as_str).collect();
    if !fresh.is_empty() {
        plan.events.push(event::PASSWORDS_CHANGING.event(&[("accounts", &fresh.join(", "))]));
    } else if former.is_empty() && !before.is_empty() {
        plan.events.push(event::PASSWORDS_CHANGED.event(&[]));
    }
}
