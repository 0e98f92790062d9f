//! A restore in place (`spec.restore`, ADR 0028): the members stop, get new volumes with a backup's data, and the old volumes
//! stay as they are. Each step is decided from what is recorded and seen, so any operator goes on with it.

use super::step::{Situation, Step, recorded};
use super::{archive, update_gate};
use crate::backup::archived;
use crate::event::{self, Event};
use crate::line::{self, FIRST, Line};
use crate::plan::{Plan, Record};
use crate::protocol::Role;
use crate::validate::Cluster;
use crate::view::{BackupSeen, ClusterView, RestoreLook, undisturbed_since};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{
    BackupMethod, BackupPhase, FormerLine, InPlaceRestore, MySQLClusterStatus, Phase, RestorePhase,
    RestoreStatus,
};
use std::time::Duration;

/// Requests that are remembered as over.
const MOST_REMEMBERED: usize = 50;

/// Pause between looks at what a request waits for: nothing tells of it.
const SOON: Duration = Duration::from_secs(3);
/// The archive is waited for so long.
const LONGEST_FLUSH: Duration = Duration::from_secs(30);
/// A snapshot that does not begin is waited for so long: without the API for it, or with another's object of its name, none does.
const LONGEST_PENDING_SNAPSHOT: Duration = Duration::from_mins(5);
/// Why.
const ARCHIVING: &str = "what was committed before the request is being archived";

/// What is decided about the restore in one pass.
enum Turn {
    /// Nothing is to be said.
    Nothing,
    /// How it stands, with news if there is some.
    Tell(Box<RestoreStatus>, Option<Event>),
    /// The next step. It is recorded, and nothing else is done in this pass.
    Record(Box<Change>),
}

/// A step that is recorded.
struct Change {
    restore: RestoreStatus,
    line: Line,
    record: Record,
    event: Option<Event>,
    reason: String,
}

/// Decides about `spec.restore`. True: a step is to be recorded, and this pass does nothing else.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) -> bool {
    // A cluster that is being deleted gets no other data any more: its last backup is of what it has.
    if view.object.metadata.deletion_timestamp.is_some() {
        return false;
    }
    match turn(cluster, view) {
        Turn::Nothing => {
            forget_former(view, plan);
            false
        }
        Turn::Tell(restore, news) => {
            plan.status.restore = Some(*restore);
            plan.events.extend(news);
            false
        }
        Turn::Record(change) => {
            let Change { restore, line, record, event, reason } = *change;
            plan.status.phase = Some(Phase::Restoring);
            plan.status.restore = Some(restore);
            plan.status.line = Some(line);
            plan.record = Some(record);
            plan.events.extend(event);
            plan.reason = reason;
            true
        }
    }
}

/// The way back is over when the `StatefulSet` of the former line runs its members again: from then on that one tells the image.
fn forget_former(view: &ClusterView, plan: &mut Plan) {
    let runs = view.stateful_set.as_ref().is_some_and(|set| {
        let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
        line::of_stateful_set(set) == Some(view.line) && replicas.is_some_and(|replicas| replicas > 0)
    });
    if let Some(restore) = plan.status.restore.as_mut().filter(|one| runs && one.phase.is_over()) {
        restore.former = None;
    }
}

/// One match on how it stands.
fn turn(cluster: &Cluster, view: &ClusterView) -> Turn {
    let status = view.object.status.clone().unwrap_or_default();
    let Some(restore) = line::under_way(&view.object).cloned() else { return begin(cluster, view, &status) };
    let wish = cluster.spec.restore.as_ref().filter(|wish| wish.request_id == restore.request_id);
    match (restore.phase, wish) {
        (RestorePhase::Waiting, Some(_)) => wait(cluster, view, &status, restore),
        (RestorePhase::Waiting, None) => {
            let (withdrawn, news) = withdrawn(view, restore);
            Turn::Tell(Box::new(withdrawn), Some(news))
        }
        (RestorePhase::Stopping, None) => {
            let (withdrawn, news) = withdrawn(view, restore);
            record(withdrawn, view.line, recorded(&status), Some(news), "the restore was withdrawn")
        }
        (RestorePhase::Stopping, Some(_)) => stop(cluster, view, &status, restore),
        (RestorePhase::Restoring, None) => {
            let message = "the request was withdrawn; the members go back to the volumes they had".to_owned();
            let returning = RestoreStatus { phase: RestorePhase::Returning, message, ..restore };
            record(returning, view.line, recorded(&status), None, "the restore was withdrawn")
        }
        (RestorePhase::Opening, wish) => match open(view, &status, &restore) {
            Turn::Nothing if wish.is_none() && new_wish(cluster, &status).is_some() => {
                superseded(view, restore)
            }
            turn => turn,
        },
        (RestorePhase::Returning, _) => go_back(view, &status, restore),
        (RestorePhase::Restoring, Some(_))
        | (RestorePhase::Done | RestorePhase::Withdrawn | RestorePhase::Skipped, _) => Turn::Nothing,
    }
}

fn record(
    restore: RestoreStatus,
    line: Line,
    record: Record,
    event: Option<Event>,
    reason: impl Into<String>,
) -> Turn {
    Turn::Record(Box::new(Change { restore, line, record, event, reason: reason.into() }))
}

/// A request that nobody has taken care of yet. A cluster without data has nothing that could be restored in place.
fn begin(cluster: &Cluster, view: &ClusterView, status: &MySQLClusterStatus) -> Turn {
    let Some(wish) = new_wish(cluster, status).filter(|_| status.quorum.is_some()) else {
        return Turn::Nothing;
    };
    // An operator that knew no lines leaves out what was done: this very request may be the one that made them.
    if status.restore.is_none() && (view.line > FIRST || !view.other_claims.is_empty()) {
        let message = "this cluster has volumes of several lines of data, and nothing says which requests made them; another \
                       requestId restores";
        let request = requested(view, wish, view.line, None);
        return Turn::Tell(Box::new(over(view, request, RestorePhase::Skipped, message.to_owned())), None);
    }
    let line = next_line(cluster, view, status);
    let request = requested(view, wish, line, status.restore.as_ref());
    wait(cluster, view, status, request)
}

/// A request that was seen just now.
fn requested(
    view: &ClusterView,
    wish: &InPlaceRestore,
    line: Line,
    before: Option<&RestoreStatus>,
) -> RestoreStatus {
    RestoreStatus {
        request_id: wish.request_id.clone(),
        phase: RestorePhase::Waiting,
        line,
        message: String::new(),
        started_at: Time(view.now),
        completed_at: None,
        former: before.and_then(|before| before.former.clone()),
        past_requests: before.map(|before| before.past_requests.clone()).unwrap_or_default(),
    }
}

fn new_wish<'a>(cluster: &'a Cluster, status: &MySQLClusterStatus) -> Option<&'a InPlaceRestore> {
    let wish = cluster.spec.restore.as_ref()?;
    let is_past = |before: &RestoreStatus| {
        before.request_id == wish.request_id || before.past_requests.contains(&wish.request_id)
    };
    (!status.restore.as_ref().is_some_and(is_past)).then_some(wish)
}

/// Beyond every line that ever was, or whose volumes are there: a restore begins on blank ones.
fn next_line(cluster: &Cluster, view: &ClusterView, status: &MySQLClusterStatus) -> Line {
    let of = |name: &String| line::read_claim(name, cluster.names.cluster()).map(|(line, _)| line);
    let seen = view.other_claims.keys().filter_map(of);
    let before = status.restore.iter().map(|restore| restore.line);
    seen.chain(before).chain([view.line]).max().unwrap_or(FIRST) + 1
}

/// Waits for all it takes, and touches nothing meanwhile.
fn wait(cluster: &Cluster, view: &ClusterView, status: &MySQLClusterStatus, restore: RestoreStatus) -> Turn {
    let request = restore.request_id.clone();
    if let Some(message) = obstacle(cluster, view, &restore) {
        let is_told = restore.message == message;
        let news = || event::RESTORE_WAITING.event(&[("request", &request), ("message", &message)]);
        // What was not looked for yet is not missing.
        let news = (!is_told && message != ARCHIVING && view.references.restore.is_some()).then(news);
        return Turn::Tell(Box::new(RestoreStatus { message, ..restore }), news);
    }
    let claims = format!("{}-*", line::data_volume(restore.line));
    let started = event::RESTORE_STARTED.event(&[("request", &request), ("claims", &claims)]);
    let message = "the members stop; their volumes stay as they are".to_owned();
    let stopping = RestoreStatus { phase: RestorePhase::Stopping, message, ..restore };
    record(stopping, view.line, recorded(status), Some(started), "the members stop for a restore in place")
}

/// Why it cannot begin yet.
fn obstacle(cluster: &Cluster, view: &ClusterView, restore: &RestoreStatus) -> Option<String> {
    if cluster.spec.hibernated {
        return Some("the cluster sleeps; set spec.hibernated to false".to_owned());
    }
    match &view.references.restore {
        None => return Some("looking for the backup of spec.restore".to_owned()),
        Some(RestoreLook::Missing(what) | RestoreLook::Awaited(what)) => return Some(what.clone()),
        // The look refuses it before; whoever comes to here has not stopped anything either.
        Some(RestoreLook::Snapshot(source)) => {
            return Some(format!(
                "spec.restore.backupRef: VolumeSnapshot {} is no backup to restore in place; name one with method Physical",
                source.snapshot
            ));
        }
        Some(RestoreLook::Ready(_)) => {}
    }
    running_backup(view, |_| true)
        .or_else(|| older_backup(view, restore))
        .or_else(|| unarchived(cluster, view, restore))
}

/// What was committed before the wish may be wished for too. An archive that does not get on is not waited for: the member that
/// restores says whether it reaches the point.
fn unarchived(cluster: &Cluster, view: &ClusterView, restore: &RestoreStatus) -> Option<String> {
    cluster.spec.restore.as_ref()?.point_in_time.as_ref()?;
    archived(&view.object)?;
    let archive = archive::open_primary(view)?.archive.as_ref()?;
    let wished = restore.started_at.0;
    let is_stored = archive::reached(archive).is_some_and(|reached| reached > wished);
    (!is_stored && view.ages.of(wished) < LONGEST_FLUSH).then(|| ARCHIVING.to_owned())
}

/// A Job that copies a member must not go on with one of another line: what it stores would be of two histories.
fn running_backup(view: &ClusterView, counts: fn(&BackupSeen) -> bool) -> Option<String> {
    let runs = |backup: &BackupSeen| backup.phase == Some(BackupPhase::Running) && counts(backup);
    view.backups.iter().find(|(_, backup)| runs(backup)).map(|(name, _)| {
        format!(
            "MySQLBackup {name} is being made; it goes on after that, or when you delete that MySQLBackup"
        )
    })
}

/// A backup that was asked for before the request is made before it, too: perhaps it is to keep what is restored away from.
fn older_backup(view: &ClusterView, restore: &RestoreStatus) -> Option<String> {
    // While another one runs it cannot begin, however well it would.
    let since = undisturbed_since(restore.started_at.0, &view.backups);
    let is_patient = view.ages.of(since) < LONGEST_PENDING_SNAPSHOT;
    let waits = |backup: &BackupSeen| {
        matches!(backup.phase, None | Some(BackupPhase::Pending))
            && (is_patient || backup.method != BackupMethod::VolumeSnapshot)
            && !backup.deleting
            && backup.created.is_some_and(|created| created <= restore.started_at.0)
    };
    let (name, backup) = view.backups.iter().find(|(_, backup)| waits(backup))?;
    let why = if backup.message.is_empty() { "it begins" } else { backup.message.as_str() };
    Some(format!(
        "MySQLBackup {name} is older than the request and comes first: {why}; it goes on after that, or when you delete that MySQLBackup"
    ))
}

/// All members of the old line stop; then the new one is recorded, and from then on nothing of the old one counts.
fn stop(cluster: &Cluster, view: &ClusterView, status: &MySQLClusterStatus, restore: RestoreStatus) -> Turn {
    // A snapshot that began in the moment in which the members were stopped needs none of them, and what it is made of stays.
    let copies = |backup: &BackupSeen| backup.method != BackupMethod::VolumeSnapshot;
    if let Some(message) = running(view).or_else(|| running_backup(view, copies)) {
        return Turn::Tell(Box::new(RestoreStatus { message, ..restore }), None);
    }
    let Some(quorum) = status.quorum.clone() else { return Turn::Nothing };
    let before = restore.former.as_ref().and_then(|former| former.image.clone());
    let set = view.stateful_set.as_ref().filter(|set| line::of_stateful_set(set) == Some(view.line));
    let image = set.and_then(update_gate::image).or(before);
    let former = FormerLine { line: view.line, quorum, primary: status.primary.clone(), image };
    let line = restore.line;
    let message = format!("{} is given the data of the backup", cluster.names.instance(0));
    let restoring =
        RestoreStatus { phase: RestorePhase::Restoring, former: Some(former), message, ..restore };
    let blank = Record { quorum: None, primary: None, operation: None, ..recorded(status) };
    record(restoring, line, blank, None, format!("line {line} of the data begins"))
}

/// Who still runs, if anybody does or may.
fn running(view: &ClusterView) -> Option<String> {
    let pods: Vec<&str> = view.pods.keys().map(String::as_str).collect();
    if !pods.is_empty() {
        return Some(format!("waiting for {} to stop", pods.join(", ")));
    }
    let set = view.stateful_set.as_ref()?;
    // Pods are watched apart from their StatefulSet, and one that was made just now may be unseen: its own count says so.
    let counted = set.status.as_ref().map(|status| status.replicas);
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
    let may_run = [replicas, counted].into_iter().flatten().any(|replicas| replicas > 0);
    may_run.then(|| "waiting for the StatefulSet to be scaled to 0".to_owned())
}

/// Over when clients are let in.
fn open(view: &ClusterView, status: &MySQLClusterStatus, restore: &RestoreStatus) -> Turn {
    let primary = status.primary.as_deref().and_then(|name| view.answer(name));
    let is_open = primary.is_some_and(|state| {
        matches!(state.role, Role::Primary { term, admitting: true, .. } if Some(term) == status.term)
    });
    let (true, Some(primary)) = (is_open, primary) else { return Turn::Nothing };
    let former = restore.former.as_ref().map_or(FIRST, |former| former.line);
    let finished = event::RESTORE_FINISHED.event(&[
        ("request", &restore.request_id),
        ("instance", &primary.instance),
        ("former", &format!("{}-*", line::data_volume(former))),
    ]);
    let message = format!("the volumes {}-* still hold the data before it", line::data_volume(former));
    Turn::Tell(Box::new(over(view, restore.clone(), RestorePhase::Done, message)), Some(finished))
}

/// Another request takes the place of one whose data cannot be opened. It begins from that line, since somebody may have written
/// to it already; the line before it stays on its volumes.
fn superseded(view: &ClusterView, restore: RestoreStatus) -> Turn {
    let former = restore.former.as_ref().map_or(FIRST, |former| former.line);
    let message = format!(
        "another requestId took its place before its data was seen open; the volumes {}-* still hold the data before it",
        line::data_volume(former)
    );
    Turn::Tell(Box::new(over(view, restore, RestorePhase::Withdrawn, message)), None)
}

/// All members of the new line stop; then what was recorded of the old one counts again. Terms go on.
fn go_back(view: &ClusterView, status: &MySQLClusterStatus, restore: RestoreStatus) -> Turn {
    if let Some(message) = running(view) {
        return Turn::Tell(Box::new(RestoreStatus { message, ..restore }), None);
    }
    let Some(former) = restore.former.clone() else { return Turn::Nothing };
    let FormerLine { line, quorum, primary, .. } = former.clone();
    let back = Record { quorum: Some(quorum), primary, operation: None, ..recorded(status) };
    let (withdrawn, news) = withdrawn(view, restore);
    // No StatefulSet says yet which image its volumes were used with.
    let withdrawn = RestoreStatus { former: Some(former), ..withdrawn };
    record(withdrawn, line, back, Some(news), format!("line {line} of the data goes on"))
}

fn withdrawn(view: &ClusterView, restore: RestoreStatus) -> (RestoreStatus, Event) {
    let news = event::RESTORE_WITHDRAWN.event(&[("request", &restore.request_id)]);
    let message = "withdrawn before the restored data was open; another requestId restores".to_owned();
    (over(view, restore, RestorePhase::Withdrawn, message), news)
}

/// Over for good: the request is never done again.
fn over(
    view: &ClusterView,
    mut restore: RestoreStatus,
    phase: RestorePhase,
    message: String,
) -> RestoreStatus {
    restore.past_requests.push(restore.request_id.clone());
    let excess = restore.past_requests.len().saturating_sub(MOST_REMEMBERED);
    restore.past_requests.drain(..excess);
    RestoreStatus { phase, message, completed_at: Some(Time(view.now)), former: None, ..restore }
}

/// Takes note of the first claim of a line. A request that stood in the spec before there was any data is not done later.
pub(super) fn founded(cluster: &Cluster, view: &ClusterView, step: &Step, status: &mut MySQLClusterStatus) {
    let is_first = status.quorum.is_none() && step.record.as_ref().is_some_and(|next| next.quorum.is_some());
    if !is_first {
        return;
    }
    status.line = Some(view.line).filter(|line| *line > FIRST);
    if let Some(restore) = status.restore.as_mut().filter(|one| one.phase == RestorePhase::Restoring) {
        restore.phase = RestorePhase::Opening;
        return;
    }
    let Some(wish) = new_wish(cluster, status) else { return };
    let skipped = requested(view, wish, view.line, None);
    let message = "it stood in the spec when the cluster began; another requestId restores".to_owned();
    status.restore = Some(over(view, skipped, RestorePhase::Skipped, message));
}

/// Says what the restore does.
pub(super) fn tell(step: &Step, status: &mut MySQLClusterStatus) {
    let busy = |restore: &&mut RestoreStatus| {
        matches!(restore.phase, RestorePhase::Restoring | RestorePhase::Opening)
    };
    if let Some(restore) = status.restore.as_mut().filter(busy) {
        restore.message.clone_from(&step.reason);
    }
}

/// When to look again, at the latest.
pub(super) fn look_again(status: &MySQLClusterStatus) -> Duration {
    let waits = status.restore.as_ref().is_some_and(|restore| restore.phase == RestorePhase::Waiting);
    if waits { SOON } else { Duration::MAX }
}

/// The step of a cluster whose members are stopped.
pub(super) fn stopped(view: &ClusterView) -> Option<Step> {
    line::stops_members(&view.object)
        .then(|| Step::wait(Situation::Waiting, "the members stop for a restore in place"))
}

/// Whether the cluster is `Restoring`: until the restored data is open, as far as nothing else is the matter.
pub(super) fn is_phase(view: &ClusterView, status: &MySQLClusterStatus, situation: Situation) -> bool {
    line::is_changing(&view.object)
        && status.restore.as_ref().is_some_and(|restore| !restore.phase.is_over())
        && situation != Situation::NoQuorum
}
