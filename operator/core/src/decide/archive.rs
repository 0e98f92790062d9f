//! The archive of the primary's binlog: who is told what, how far a restore can go, and what people are told.

use super::backups::is_good;
use super::roster::reigns_in;
use crate::backup::{
    ARCHIVE_BROKEN, ARCHIVE_FAILING, ArchiveOrder, ArchiveState, about, archived, folder, longest_delay,
    settled,
};
use crate::condition::{ConditionType, News, Truth};
use crate::event;
use crate::gtid::GtidSet;
use crate::line;
use crate::plan::Plan;
use crate::protocol::{MemberState, Role};
use crate::validate::Cluster;
use crate::view::{ArchiveLook, BackupSeen, ClusterView, Look};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{Backup, BackupMethod, BackupTarget, BackupsStatus};
use std::time::Duration;

/// An archive is never regarded as behind before this time.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many times the delay that is asked for an archive may be behind.
const DELAYS: u32 = 10;

/// How the archive stands.
enum Standing {
    /// It is not asked for.
    Off,
    /// Nobody can say: no primary is open, or it was told a moment ago.
    Unknown,
    /// It gets on.
    Works,
    /// It does not get on: what is the matter and what to do.
    Fails(String),
}

/// Decides about the archive of a valid cluster, once the protocol and the backups are decided.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) {
    plan.archive = orders(cluster, view, plan);
    let standing = standing(view, plan);
    let reached = open_primary(view).and_then(|primary| reached(primary.archive.as_ref()?));
    let Some(mut status) = plan.status.backup.take() else { return };
    window(view, reached, &mut status);
    failing(view, &standing, &mut status, plan);
    let known = reached.map(Time).or_else(|| status.restorable_to.clone());
    let known = known.or_else(|| status.archive_failing_since.clone());
    let known = known.filter(|_| archived(&view.object).is_some());
    plan.archive_delay = known.map(|known| since(view, known.0));
    plan.status.backup = Some(status);
}

/// What members are told. It waits while the primary moves: nothing may hold that up.
fn orders(cluster: &Cluster, view: &ClusterView, plan: &Plan) -> Vec<ArchiveOrder> {
    let operates = view.object.status.as_ref().is_some_and(|status| status.operation.is_some());
    let rests = cluster.spec.hibernated || line::is_changing(&view.object);
    if operates || plan.record.is_some() || rests {
        return Vec::new();
    }
    let order = |state: &MemberState, settings, needless| ArchiveOrder {
        cluster: cluster.uid.clone(),
        instance: state.instance.clone(),
        settings,
        needless,
    };
    if archived(&view.object).is_none() {
        let told = view.members.values().filter_map(Look::answer).filter(|state| state.archive.is_some());
        return told.map(|state| order(state, None, None)).collect();
    }
    let (Some(ArchiveLook::Ready(settings)), Some(primary)) = (&view.references.archive, open_primary(view))
    else {
        return Vec::new();
    };
    let (digest, needless) = (settings.digest(), needless(view, primary));
    let knows = |state: &ArchiveState| state.digest == digest && state.needless == needless;
    if primary.archive.as_ref().is_some_and(knows) {
        return Vec::new();
    }
    vec![order(primary, Some((**settings).clone()), needless)]
}

/// The recorded primary, if it admits clients.
pub(super) fn open_primary(view: &ClusterView) -> Option<&MemberState> {
    let status = view.object.status.as_ref()?;
    let state = view.answer(status.primary.as_deref()?)?;
    let admits = matches!(state.role, Role::Primary { admitting: true, .. });
    (admits && reigns_in(state) == status.term).then_some(state)
}

/// Backups of this very line of data that are complete and to stay. One of a former line, or of a former cluster of this name, is
/// of another history, and nothing is applied to a dump.
fn kept(view: &ClusterView) -> impl Iterator<Item = (&String, &BackupSeen)> {
    let history = line::recorded_history(&view.object);
    let is_base = |backup: &BackupSeen| is_good(backup) && backup.method == BackupMethod::Physical;
    view.backups.iter().filter(move |(_, backup)| {
        is_base(backup) && !history.is_empty() && backup.cluster.as_ref() == Some(&history)
    })
}

/// What a backup holds, if it says so.
pub(super) fn held(backup: &BackupSeen) -> Option<GtidSet> {
    GtidSet::parse(backup.gtid_set.as_deref()?).ok()
}

/// What every backup that is kept holds. It changes only with the backups, and not while one is to be restored: the way from
/// that one to a point in time stays.
fn needless(view: &ClusterView, primary: &MemberState) -> Option<String> {
    if line::wanted_backup(&view.object).is_some() {
        return primary.archive.as_ref()?.needless.clone();
    }
    let mut common: Option<GtidSet> = None;
    for (_, backup) in kept(view) {
        let held = held(backup)?;
        common = Some(common.map_or_else(|| held.clone(), |common| common.intersect(&held)));
    }
    common.filter(|common| !common.is_empty()).map(|common| common.to_string())
}

/// The verified backups that lie where the archive lies: a restore looks for it beside the backup.
fn beside(view: &ClusterView) -> Vec<&BackupSeen> {
    let Some(spec) = archived(&view.object) else { return Vec::new() };
    let verified = kept(view).filter(|(_, backup)| backup.verified);
    verified.filter(|(name, backup)| is_beside(view, spec, name, backup)).map(|(_, backup)| backup).collect()
}

fn is_beside(view: &ClusterView, spec: &Backup, name: &str, backup: &BackupSeen) -> bool {
    let store = |target: &BackupTarget| {
        let region = target.s3.as_ref().map(|s3| s3.region.clone());
        let place = target.place().map(|place| {
            (
                place.field,
                place.account.to_owned(),
                place.bucket.to_owned(),
                place.endpoint.map(str::to_owned),
            )
        });
        (place, region)
    };
    backup.location.as_ref().is_some_and(|location| {
        store(&location.target) == store(&settled(&view.object, spec))
            && location.path == folder(&spec.target, &about(&view.object, name))
    })
}

/// From when to when the cluster can be restored. What is not known now is as it was.
fn window(view: &ClusterView, reached: Option<Timestamp>, status: &mut BackupsStatus) {
    let backups = beside(view);
    let begins = open_primary(view).and_then(|primary| begins(primary.archive.as_ref()?));
    let from = if let Some(begins) = &begins {
        let can_go_on = |backup: &&&BackupSeen| held(backup).is_some_and(|held| held.contains(begins));
        backups.iter().filter(can_go_on).filter_map(|backup| backup.completed).min()
    } else {
        let before = status.restorable_from.as_ref().map(|time| time.0);
        before.filter(|before| backups.iter().any(|backup| backup.completed == Some(*before)))
    };
    let to = reached.or_else(|| status.restorable_to.as_ref().map(|time| time.0));
    let (from, to) = from.zip(to).filter(|(from, to)| from <= to).unzip();
    (status.restorable_from, status.restorable_to) = (from.map(Time), to.map(Time));
}

/// The moment before which everything that was committed is stored.
pub(super) fn reached(archive: &ArchiveState) -> Option<Timestamp> {
    archive.reached_at.as_ref()?.parse().ok()
}

fn begins(archive: &ArchiveState) -> Option<GtidSet> {
    GtidSet::parse(archive.begins.as_deref()?).ok()
}

/// How long ago that was; no time at all if a clock says it is to come.
fn since(view: &ClusterView, moment: Timestamp) -> Duration {
    Duration::try_from(view.now.duration_since(moment)).unwrap_or_default()
}

fn standing(view: &ClusterView, plan: &Plan) -> Standing {
    let Some(spec) = archived(&view.object) else { return Standing::Off };
    if let Some(ArchiveLook::Missing(what)) = &view.references.archive {
        return Standing::Fails(format!("the binlog is not archived: {what}"));
    }
    let Some(primary) = open_primary(view) else { return Standing::Unknown };
    let name = &primary.instance;
    if let Some(refusal) = view.references.archive_refusal.as_ref().filter(|_| !plan.archive.is_empty()) {
        return Standing::Fails(format!("{name} does not take what it is told about the archive: {refusal}"));
    }
    let Some(archive) = &primary.archive else { return Standing::Unknown };
    match reached(archive) {
        reached if !archive.error.is_empty() => Standing::Fails(format!(
            "{name} cannot archive its binlog: {}; {}it goes on by itself when that is mended",
            archive.error,
            stored_until(reached)
        )),
        None => Standing::Unknown,
        Some(reached) if since(view, reached) > PATIENCE.max(longest_delay(spec) * DELAYS) => {
            Standing::Fails(format!(
                "the archive of {name} is behind; {}see whether the store takes in as much as is written, and look at the \
                 log of {name}",
                stored_until(Some(reached))
            ))
        }
        Some(_) => Standing::Works,
    }
}

/// By the minute: a text that changed with every look would be written with every look.
fn stored_until(reached: Option<Timestamp>) -> String {
    reached.map_or_else(String::new, |reached| {
        format!("what was committed before {} is stored; ", reached.strftime("%Y-%m-%dT%H:%MZ"))
    })
}

/// Since when it fails, and the Events of it.
fn failing(view: &ClusterView, standing: &Standing, status: &mut BackupsStatus, plan: &mut Plan) {
    match (standing, status.archive_failing_since.take()) {
        (Standing::Fails(message), None) => {
            plan.events.push(event::ARCHIVE_FAILING.event(&[("message", message)]));
            status.archive_failing_since = Some(Time(view.now));
        }
        (Standing::Fails(_) | Standing::Unknown, before) => status.archive_failing_since = before,
        (Standing::Works, Some(before)) => {
            plan.events.push(event::ARCHIVE_RECOVERED.event(&[("since", &second(before.0))]));
        }
        (Standing::Works, None) | (Standing::Off, _) => {}
    }
}

fn second(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The news about the backups, and what is to be said about the archive. What is wrong with a backup comes first.
pub(super) fn with_archive(news: News, view: &ClusterView, plan: &mut Plan) -> News {
    let failing = plan.status.backup.as_ref().and_then(|status| status.archive_failing_since.clone());
    let (reason, message) = match (standing(view, plan), failing) {
        (Standing::Fails(message), Some(since)) => {
            (ARCHIVE_FAILING, format!("since {}: {message}", second(since.0)))
        }
        (Standing::Fails(message), None) => (ARCHIVE_FAILING, message),
        (Standing::Unknown, Some(since)) => {
            let since = second(since.0);
            (
                ARCHIVE_FAILING,
                format!("since {since} the binlog is not archived; no primary says how it stands now"),
            )
        }
        (Standing::Works, _) => match broken(view) {
            Some(message) => (ARCHIVE_BROKEN, message),
            None => return news,
        },
        (Standing::Off, _) | (Standing::Unknown, None) => return news,
    };
    let told = joined(&news, reason, &message);
    if told.reason == ARCHIVE_BROKEN && !was_broken(view) {
        plan.events.push(event::ARCHIVE_BROKEN.event(&[("message", &told.message)]));
    }
    told
}

/// The archive makes good news bad; what is bad already keeps its reason.
fn joined(news: &News, reason: &'static str, archive: &str) -> News {
    let is_first = match news.status {
        Truth::True => true,
        // Without any backup there is nothing that could be broken.
        Truth::Unknown => reason == ARCHIVE_FAILING,
        Truth::False => false,
    };
    if is_first {
        News::new(news.type_, Truth::False, reason, format!("{archive}; {}", news.message))
    } else {
        News::new(news.type_, news.status, news.reason, format!("{}; {archive}", news.message))
    }
}

/// Why nothing can be restored to a point in time although the archive gets on.
fn broken(view: &ClusterView) -> Option<String> {
    let archive = open_primary(view)?.archive.as_ref()?;
    let begins = begins(archive)?;
    // One that does not say what it holds may well be one that the archive goes on from.
    let goes_on = |backup: &&BackupSeen| held(backup).is_none_or(|held| held.contains(&begins));
    if beside(view).iter().any(goes_on) {
        return None;
    }
    let why = if archive.broken.is_empty() { String::new() } else { format!(" ({})", archive.broken) };
    Some(format!(
        "no verified backup holds all that was written before the archive begins{why}, so nothing can be restored to a point \
         in time: make a MySQLBackup with method: Physical"
    ))
}

fn was_broken(view: &ClusterView) -> bool {
    let ready: &'static str = ConditionType::BackupReady.into();
    let conditions = view.object.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|one| one.type_ == ready && one.reason == ARCHIVE_BROKEN)
}
