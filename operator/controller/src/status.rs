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

/// Whether two statuses tell people the same: times alone are no news.
pub fn same_news(old: &MySQLClusterStatus, new: &MySQLClusterStatus) -> bool {
    without_times(old.clone()) == without_times(new.clone())
}

fn without_times(mut status: MySQLClusterStatus) -> MySQLClusterStatus {
    for condition in &mut status.conditions {
        condition.last_transition_time.0 = jiff::Timestamp::UNIX_EPOCH;
    }
    status.conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    status
}
