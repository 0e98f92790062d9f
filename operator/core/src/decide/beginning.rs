//! The first data of a new cluster: what its first member is told, and whether what it has is what the spec asks for.

use super::step::{Situation, Step};
use crate::backup::{NamedBackup, RestoreSource};
use crate::beginning::{CANNOT_BEGIN, Origin};
use crate::event;
use crate::line;
use crate::protocol::{Action, MemberState, Order};
use crate::validate::Cluster;
use crate::view::{ClusterView, OriginLook, RestoreLook};
use porpoise_crds::{Bootstrap, Restore};
use sha2::{Digest as _, Sha256};

/// How the message of a member begins that cannot restore a backup.
const CANNOT_RESTORE: &str = "restore: ";
/// And of one that cannot take over a volume that was made from a snapshot.
const CANNOT_TAKE_OVER: &str = "take over the volume: ";

/// Has the first instance, which is blank, begin with what the spec names. While something of it is missing the cluster waits:
/// an empty database in the place of another one would take writes that belong to the other.
pub(super) fn step(cluster: &Cluster, view: &ClusterView, first: &MemberState) -> Option<Step> {
    let bootstrap = cluster.spec.bootstrap.as_ref()?;
    let request = request(cluster, bootstrap);
    let (what, action) = match action(bootstrap, view, request) {
        Ok(found) => found,
        Err(missing) => return Some(Step::wait(Situation::Founding, missing)),
    };
    Some(ordered(cluster, view, first, action, &what))
}

/// Has the first instance do `what`, or goes on telling what it says about it.
pub(super) fn ordered(
    cluster: &Cluster,
    view: &ClusterView,
    first: &MemberState,
    action: Action,
    what: &str,
) -> Step {
    let order = Order {
        cluster: cluster.uid.clone(),
        instance: first.instance.clone(),
        volume: Some(first.volume.clone()),
        term: first.promised,
        claim: None,
        seen: first.seen(),
        action,
    };
    if !first.message.is_empty() {
        let reason = format!("{}: {}", first.instance, first.message);
        return told(view, first, Step::order(Situation::Founding, vec![order], reason));
    }
    let begun = event::BOOTSTRAP_STARTED.event(&[("instance", &first.instance), ("what", what)]);
    let reason = format!("{} {what}", first.instance);
    Step::order(Situation::Founding, vec![order], reason).with_event(begun)
}

/// What is done, in words, and the order for it.
fn action(bootstrap: &Bootstrap, view: &ClusterView, request: String) -> Result<(String, Action), String> {
    if NamedBackup::of(bootstrap).is_some() {
        return match &view.references.restore {
            Some(RestoreLook::Ready(source)) if bootstrap.restore.is_some() => {
                let what = format!("restores the backup {}", source.location.path);
                Ok((what, Action::Restore { source: source.clone(), request }))
            }
            Some(RestoreLook::Ready(source)) => {
                let origin = imported(bootstrap, source);
                Ok((words(&origin), Action::Begin { origin: Box::new(origin), request }))
            }
            Some(RestoreLook::Missing(what) | RestoreLook::Awaited(what)) => Err(what.clone()),
            Some(RestoreLook::Snapshot(source)) => Err(format!(
                "the volume of the first member is blank: its claim is older than what is known of VolumeSnapshot {}, was made \
                 anew, or is of a storage class that makes no volumes from snapshots; delete the MySQLCluster with its volume \
                 claims, and make it again with a class of the driver that took the snapshot",
                source.snapshot
            )),
            None => Err("looking for the backup to begin with".to_owned()),
        };
    }
    match &view.references.origin {
        Some(OriginLook::Ready(origin)) => {
            Ok((words(origin), Action::Begin { origin: origin.clone(), request }))
        }
        Some(OriginLook::Missing(what)) => Err(what.clone()),
        None => Err("looking for what spec.bootstrap names".to_owned()),
    }
}

/// A backup, or a file of others.
fn imported(bootstrap: &Bootstrap, source: &RestoreSource) -> Origin {
    let source = Box::new(source.clone());
    match bootstrap.import.as_ref().and_then(|import| import.file.as_ref()) {
        Some(file) => Origin::File { source, database: file.database.clone() },
        None => Origin::Dump { source },
    }
}

fn words(origin: &Origin) -> String {
    match origin {
        Origin::Script { .. } => "runs the statements of spec.bootstrap.initSql".to_owned(),
        Origin::Cluster { cluster, .. } => format!("copies a member of MySQLCluster {cluster}"),
        Origin::Dump { source } | Origin::File { source, .. } => {
            format!("imports the dump {}", source.location.path)
        }
    }
}

/// Tells once what keeps the member from beginning.
pub(super) fn told(view: &ClusterView, first: &MemberState, step: Step) -> Step {
    let failures = [CANNOT_BEGIN, CANNOT_RESTORE, CANNOT_TAKE_OVER];
    let fails = failures.iter().any(|words| first.message.starts_with(words));
    let conditions =
        view.object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let known =
        conditions.iter().any(|one| one.type_ == "Progressing" && one.message.contains(&first.message));
    if !fails || known {
        return step;
    }
    let failed = event::BOOTSTRAP_FAILED.event(&[("instance", &first.instance), ("reason", &first.message)]);
    step.with_event(failed)
}

/// Whether the data is what the spec asks for. `spec.bootstrap` may be removed at any time: whatever was made for this
/// cluster by then is what it begins with.
pub(super) fn is_made(cluster: &Cluster, first: &MemberState) -> bool {
    if let Some(bootstrap) = &cluster.spec.bootstrap {
        return first.replaced_by == request(cluster, bootstrap);
    }
    let ours = |sort: &str| {
        let whole = format!("{sort}-{}", cluster.uid);
        first.replaced_by == whole || first.replaced_by.starts_with(&format!("{whole}-"))
    };
    ours("restore") || ours("begin")
}

/// Whether the data was made for this cluster by what stood in the spec before. Nobody was promised any of it.
pub(super) fn is_outdated(cluster: &Cluster, first: &MemberState) -> bool {
    let begun = first.replaced_by.starts_with(&format!("begin-{}-", cluster.uid));
    begun && cluster.spec.bootstrap.is_some() && !is_made(cluster, first)
}

/// The wish that the first data is made for, if there is one.
pub(super) fn wanted(cluster: &Cluster) -> Option<String> {
    Some(request(cluster, cluster.spec.bootstrap.as_ref()?))
}

/// Each cluster begins once, in one way: another way is another wish.
fn request(cluster: &Cluster, bootstrap: &Bootstrap) -> String {
    match &bootstrap.restore {
        Some(restore) if cluster.line > line::FIRST => {
            format!("restore-{}-{}", line::history(&cluster.uid, cluster.line), digest(restore))
        }
        Some(restore) => restore_request(&cluster.uid, restore),
        None => format!("begin-{}-{}", cluster.uid, digest(bootstrap)),
    }
}

/// Restored into once, to one point in time.
fn restore_request(uid: &str, restore: &Restore) -> String {
    match &restore.point_in_time {
        Some(point) => format!("restore-{uid}-{}", digest(point)),
        None => format!("restore-{uid}"),
    }
}

fn digest(wish: &impl serde::Serialize) -> String {
    // It has a JSON form: fields of text, time and truth.
    let text = serde_json::to_vec(wish).unwrap_or_default();
    Sha256::digest(text).iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
