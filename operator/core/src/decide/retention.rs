//! Which backups are kept, and which of several is the newest, whatever the clocks showed when they were made.

use super::archive::held;
use super::backups::{is_good, is_whole};
use crate::event;
use crate::gtid::GtidSet;
use crate::line;
use crate::plan::Plan;
use crate::validate::hours_or_days;
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use jiff::{SignedDuration, Timestamp};
use porpoise_crds::{Backup, BackupMethod, BackupPhase};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Failed backups of the schedule that are kept, for whoever asks why.
const FAILED_KEPT: usize = 3;
/// The clock that backups leave the window by is believed for so long after the newest one was made.
const BELIEVED: SignedDuration = SignedDuration::from_hours(48);

/// A backup by its name.
type Named<'a> = (&'a String, &'a BackupSeen);

/// A backup and when it was complete.
#[derive(Clone, Copy)]
struct Dated<'a> {
    name: &'a String,
    backup: &'a BackupSeen,
    moment: Option<Timestamp>,
    /// How many transactions it holds, if that tells its place.
    transactions: u64,
}

/// Backups of the schedule beyond what is kept. The newest verified one of each method stays, whoever made it: a dump is no
/// answer for the files that a point in time is reached from, and files are none for another release.
pub(super) fn retire(spec: &Backup, view: &ClusterView, plan: &mut Plan) {
    let keep = usize::try_from(spec.retention.keep_last).unwrap_or(1).max(1);
    let newest_verified = [BackupMethod::Physical, BackupMethod::Logical].map(|method| {
        let of_method = |backup: &BackupSeen| is_whole(backup) && backup.verified && backup.method == method;
        newest_first(view, of_method).first().map(|(name, _)| (*name).clone())
    });
    let good = dated(view, |backup| backup.origin == BackupOrigin::Schedule && is_good(backup));
    let failed = newest_first(view, |backup| {
        backup.origin == BackupOrigin::Schedule
            && backup.phase == Some(BackupPhase::Failed)
            && !backup.deleting
    });
    let recent = within_window(spec, view, &good);
    let staying = wanted(&good, keep).max(recent);
    let good = good.into_iter().skip(staying).map(|one| (one.name, one.backup));
    let good = good.filter(|(name, _)| !newest_verified.iter().flatten().any(|newest| newest == *name));
    let kept = match &spec.retention.window {
        Some(window) => format!("{keep}, window is {window}"),
        None => keep.to_string(),
    };
    let good =
        good.map(|one| (one, format!("spec.backup.retention.keepLast is {kept}, and newer ones are stored")));
    let failed = failed.into_iter().skip(FAILED_KEPT);
    let failed = failed.map(|one| (one, format!("it failed, and so did {FAILED_KEPT} newer ones")));
    let unwanted = |((name, backup), _): &(Named<'_>, _)| !is_to_be_restored(view, name, backup);
    for ((name, backup), reason) in good.chain(failed).filter(unwanted) {
        plan.retired_backups.push((name.clone(), backup.uid.clone()));
        plan.events.push(event::BACKUP_RETIRED.event(&[("backup", name), ("reason", &reason)]));
    }
}

/// Whether somebody waits for the data of this backup: then it stays, whatever newer ones there are.
fn is_to_be_restored(view: &ClusterView, name: &str, backup: &BackupSeen) -> bool {
    line::wanted_backup(&view.object).is_some_and(|wanted| {
        let is_named = wanted.restore.backup_ref.as_ref().is_some_and(|reference| reference.name == name);
        is_named || (wanted.restore.location.is_some() && wanted.restore.location == backup.location)
    })
}

/// How many of them, newest first, it takes for so many that are not known to be damaged.
fn wanted(good: &[Dated<'_>], keep: usize) -> usize {
    let whole = good.iter().enumerate().filter(|(_, one)| one.backup.damage.is_none());
    whole.map(|(index, _)| index + 1).nth(keep.saturating_sub(1)).unwrap_or(good.len())
}

/// How many of them, newest first, the window keeps: those that were complete in it, and on to the newest verified one
/// before it, since a moment is restored from a backup that is older than the moment.
fn within_window(spec: &Backup, view: &ClusterView, good: &[Dated<'_>]) -> usize {
    let Some(window) = &spec.retention.window else { return 0 };
    let begins = hours_or_days(window)
        .and_then(|window| SignedDuration::try_from(window).ok())
        .and_then(|window| present(view, good).checked_sub(window).ok());
    // A window that cannot be reckoned, and a backup of unknown age, keep what there is.
    let Some(begins) = begins else { return good.len() };
    let is_before = |one: &Dated<'_>| one.moment.is_some_and(|moment| moment < begins);
    // Nothing is applied to a dump, so no moment is reached from one.
    let leads_on = |one: &Dated<'_>| one.backup.verified && one.backup.method == BackupMethod::Physical;
    let anchor = good.iter().position(|one| is_before(one) && leads_on(one));
    let in_window = || good.iter().rposition(|one| !is_before(one)).map_or(0, |last| last + 1);
    anchor.map_or_else(in_window, |anchor| anchor + 1)
}

/// What the window ends with. A clock that jumps ahead makes all backups old at once; so it is not believed for long after the
/// last one was made, by the clock of the API server.
fn present(view: &ClusterView, good: &[Dated<'_>]) -> Timestamp {
    let newest = good.iter().filter_map(|one| one.backup.created).max();
    let limit = newest.and_then(|newest| newest.checked_add(BELIEVED).ok());
    limit.map_or(view.now, |limit| limit.min(view.now))
}

/// Those that are wanted, the newest first.
pub(super) fn newest_first(view: &ClusterView, wanted: impl Fn(&BackupSeen) -> bool) -> Vec<Named<'_>> {
    dated(view, wanted).into_iter().map(|one| (one.name, one.backup)).collect()
}

fn dated(view: &ClusterView, wanted: impl Fn(&BackupSeen) -> bool) -> Vec<Dated<'_>> {
    let found: Vec<Named<'_>> = view.backups.iter().filter(|(_, backup)| wanted(backup)).collect();
    let mut by_content = by_content(&found);
    let mut dated = Vec::new();
    for (name, backup) in found {
        let by_time = Dated { name, backup, moment: backup.completed, transactions: 0 };
        dated.push(by_content.remove(name).unwrap_or(by_time));
    }
    dated.sort_by_key(|one| Reverse((one.moment, one.transactions, one.backup.created, one.name.as_str())));
    dated
}

/// A backup that holds all that another one of its cluster holds is not older, whatever the clocks said when they were made: it
/// counts as complete no earlier than the other one.
fn by_content<'a>(found: &[Named<'a>]) -> BTreeMap<&'a String, Dated<'a>> {
    let mut known: Vec<(GtidSet, Dated<'a>)> = Vec::new();
    for (name, backup) in found {
        if let Some(set) = held(backup).filter(|_| backup.cluster.is_some()) {
            let transactions = set.count();
            known.push((set, Dated { name, backup, moment: backup.completed, transactions }));
        }
    }
    known.sort_by_key(|(_, one)| one.transactions);
    // Of those so far, the ones that no other one holds: hardly ever more than one.
    let mut largest: Vec<(GtidSet, Dated<'a>)> = Vec::new();
    let mut dated = BTreeMap::new();
    for (set, mut one) in known {
        let holds = |(other, of): &(GtidSet, Dated<'a>)| {
            of.backup.cluster == one.backup.cluster && set.contains(other)
        };
        let latest = largest.iter().filter(|other| holds(other)).filter_map(|(_, of)| of.moment).max();
        largest.retain(|other| !holds(other));
        one.moment = one.moment.map(|moment| latest.map_or(moment, |latest| latest.max(moment)));
        dated.insert(one.name, one);
        largest.push((set, one));
    }
    dated
}
