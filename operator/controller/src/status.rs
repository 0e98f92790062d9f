//! The one way to write a status: all of it, by PUT, with the resourceVersion that was read.
//!
//! Record and report share one document, so they share one precondition: whoever wrote in between wins, and this process
//! looks again. A merge patch would let two operators each change half of a record.

use crate::kubernetes::{CallError, STRICT_LIMIT, within};
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use porpoise_crds::{MySQLBackup, MySQLBackupStatus, MySQLCluster, MySQLClusterStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The archive gets on all the time: a write of the status for each step would be a write a second for each cluster.
const WORTH_A_WRITE: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// Whether a status was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands.
    Yes,
    /// The object changed since it was read, or is gone; nothing was written.
    Conflict,
}

/// Replaces the status of `object`.
pub async fn replace(
    strict: &Client,
    object: &MySQLCluster,
    status: MySQLClusterStatus,
) -> Result<Written, CallError> {
    put(strict, &MySQLCluster { status: Some(status), ..object.clone() }).await
}

/// Replaces the status of the backup `object`.
pub async fn replace_backup(
    strict: &Client,
    object: &MySQLBackup,
    status: MySQLBackupStatus,
) -> Result<Written, CallError> {
    put(strict, &MySQLBackup { status: Some(status), ..object.clone() }).await
}

async fn put<K>(strict: &Client, changed: &K) -> Result<Written, CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(strict.clone(), &changed.namespace().unwrap_or_default());
    let (name, parameters) = (changed.name_any(), PostParams::default());
    match within(STRICT_LIMIT, api.replace_status(&name, &parameters, changed)).await {
        Ok(_) => Ok(Written::Yes),
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(Written::Conflict),
        Err(error) => Err(error),
    }
}

/// Whether two statuses tell people the same: times alone are no news, and what moves all the time only now and then.
pub fn same_news(old: &MySQLClusterStatus, new: &MySQLClusterStatus) -> bool {
    without_times(old.clone()) == without_times(new.clone()) && !moved_on(old, new)
}

/// Whether the latest moment that can be restored is so much later that it is worth a write.
fn moved_on(old: &MySQLClusterStatus, new: &MySQLClusterStatus) -> bool {
    let latest = |status: &MySQLClusterStatus| Some(status.backup.as_ref()?.restorable_to.as_ref()?.0);
    let (old, new) = (latest(old), latest(new));
    old.zip(new).is_some_and(|(old, new)| new.duration_since(old).abs() >= WORTH_A_WRITE)
}

fn without_times(mut status: MySQLClusterStatus) -> MySQLClusterStatus {
    for condition in &mut status.conditions {
        condition.last_transition_time.0 = jiff::Timestamp::UNIX_EPOCH;
    }
    if let Some(latest) = status.backup.as_mut().and_then(|backup| backup.restorable_to.as_mut()) {
        latest.0 = jiff::Timestamp::UNIX_EPOCH;
    }
    status.conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn restorable(to: Option<&str>, request: &str) -> MySQLClusterStatus {
        let backup =
            json!({"restorableFrom": "2026-11-21T03:00:00Z", "restorableTo": to, "requestId": request});
        serde_json::from_value(json!({"backup": backup, "conditions": []})).unwrap()
    }

    #[test]
    fn an_archive_that_gets_on_is_no_news_for_half_a_minute() {
        let old = restorable(Some("2026-11-21T10:00:00Z"), "a");
        for (case, to, request, same) in [
            ("nothing", Some("2026-11-21T10:00:00Z"), "a", true),
            ("29 s", Some("2026-11-21T10:00:29.9Z"), "a", true),
            ("30 s", Some("2026-11-21T10:00:30Z"), "a", false),
            ("back by a minute", Some("2026-11-21T09:59:00Z"), "a", false),
            ("gone", None, "a", false),
            ("1 s, and something else", Some("2026-11-21T10:00:01Z"), "b", false),
        ] {
            assert_eq!(same_news(&old, &restorable(to, request)), same, "{case}");
        }
        assert!(!same_news(&restorable(None, "a"), &old));
    }
}
