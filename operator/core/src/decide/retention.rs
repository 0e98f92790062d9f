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

/// Backups of the schedule beyond what is kept. Each method is counted on its own, and the newest verified ones stay, whoever
/// made them.
pub(super) fn retire(spec: &Backup, view: &ClusterView, plan: &mut Plan) {
    let made = dated(view, |backup| backup.origin == BackupOrigin::Schedule && is_good(backup));
    let newest_verified = newest_verified(view);
    let good = BackupMethod::ALL.into_iter().flat_map(|method| beyond(spec, view, method, &made));
    let good = good.filter(|(name, _)| !newest_verified.contains(name));
    let failed = newest_first(view, |backup| {
        backup.origin == BackupOrigin::Schedule
            && backup.phase == Some(BackupPhase::Failed)
            && !backup.deleting
    });
    let keep = spec.retention.keep_last;
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

/// Those of one method, of all that the schedule made, that are neither recent nor needed for the window.
fn beyond<'a>(spec: &Backup, view: &ClusterView, method: BackupMethod, made: &[Dated<'a>]) -> Vec<Named<'a>> {
    let keep = usize::try_from(spec.retention.keep_last).unwrap_or(1).max(1);
    let good: Vec<Dated<'a>> = made.iter().filter(|one| one.backup.method == method).copied().collect();
    let staying = wanted(&good, keep).max(within_window(spec, present(view, made), &good));
    good.into_iter().skip(staying).map(|one| (one.name, one.backup)).collect()
}

/// The newest verified backup of each method and of each line of data: a dump is no answer for the files that a point in time
/// is reached from, files are none for another release, no snapshot outlives the storage below, and what was restored holds
/// nothing of what was left behind.
fn newest_verified(view: &ClusterView) -> Vec<&String> {
    let mut found: Vec<Named<'_>> = Vec::new();
    for (name, backup) in newest_first(view, |backup| is_whole(backup) && backup.verified) {
        let is_alike =
            |(_, newer): &Named<'_>| newer.method == backup.method && newer.cluster == backup.cluster;
        if !found.iter().any(is_alike) {
            found.push((name, backup));
        }
    }
    found.into_iter().map(|(name, _)| name).collect()
}

/// How many of them, newest first, it takes for so many that are not known to be damaged.
fn wanted(good: &[Dated<'_>], keep: usize) -> usize {
    let whole = good.iter().enumerate().filter(|(_, one)| one.backup.damage.is_none());
    whole.map(|(index, _)| index + 1).nth(keep.saturating_sub(1)).unwrap_or(good.len())
}

/// How many of them, newest first, the window keeps: those that were complete in it, and on to the newest verified one
/// before it, since a moment is restored from a backup that is older than the moment.
fn within_window(spec: &Backup, present: Timestamp, good: &[Dated<'_>]) -> usize {
    let Some(window) = &spec.retention.window else { return 0 };
    let begins = hours_or_days(window)
        .and_then(|window| SignedDuration::try_from(window).ok())
        .and_then(|window| present.checked_sub(window).ok());
    // A window that cannot be reckoned, and a backup of unknown age, keep what there is.
    let Some(begins) = begins else { return good.len() };
    let is_before = |one: &Dated<'_>| one.moment.is_some_and(|moment| moment < begins);
    // Nothing is applied to a dump or a snapshot, so no moment is reached from one.
    let leads_on = |one: &Dated<'_>| one.backup.verified && one.backup.method == BackupMethod::Physical;
    let anchor = good.iter().position(|one| is_before(one) && leads_on(one));
    let in_window = || good.iter().rposition(|one| !is_before(one)).map_or(0, |last| last + 1);
    anchor.map_or_else(in_window, |anchor| anchor + 1)
}

/// What the window ends with. A clock that jumps ahead makes all backups old at once; so it is not believed for long after the
/// last one was made, by the clock of the API server.
fn present(view: &ClusterView, made: &[Dated<'_>]) -> Timestamp {
    let newest = made.iter().filter_map(|one| one.backup.created).max();
    let limit = newest.and_then(|newest| newest.checked_add(BELIEVED).ok());
    limit.map_or(view.now, |limit| limit.min(view.now))
}

/// Those that are wanted, the newest first.
pub(super) fn newest_first(view: &ClusterView, wanted: impl Fn(&BackupSeen) -> bool) -> Vec<Named<'_>> {
    dated(view, wanted).into_iter().map(|one| (one.name, one.backup)).collect()
}

fn dated(view: &ClusterView, wanted: impl Fn(&BackupSeen) -> bool) -> Vec<Dated<'_>> {
    let found = view.backups.iter().filter(|(_, backup)| wanted(backup));
    let found = found.map(|(name, backup)| {
        let moment = moment(backup, view.now);
        Dated { name, backup, moment, transactions: 0 }
    });
    let mut dated = by_content(found.collect());
    dated.sort_by_key(|one| Reverse((one.moment, one.transactions, one.backup.created, one.name.as_str())));
    dated
}

/// When it was complete. What is still to come is no time for that: then the API server's clock counts, which dated its object.
fn moment(backup: &BackupSeen, now: Timestamp) -> Option<Timestamp> {
    let completed = backup.completed?;
    if completed > now { backup.created.or(Some(completed)) } else { Some(completed) }
}

/// A backup that holds all that another one of its cluster holds is not older, whatever the clocks said when they were made: it
/// counts as complete no earlier than the other one.
fn by_content(found: Vec<Dated<'_>>) -> Vec<Dated<'_>> {
    let (mut known, mut dated) = (Vec::new(), Vec::new());
    for one in found {
        match held(one.backup).filter(|_| one.backup.cluster.is_some() && one.moment.is_some()) {
            Some(set) => known.push((set.count(), set, one)),
            None => dated.push(one),
        }
    }
    known.sort_by_key(|(transactions, ..)| *transactions);
    let mut before: Vec<(GtidSet, Dated<'_>)> = Vec::new();
    // Of those, the ones that no other one holds: hardly ever more than one. Who holds them holds all.
    let mut largest: Vec<usize> = Vec::new();
    for (transactions, set, one) in known {
        let is_kin =
            |index: &usize| before.get(*index).is_some_and(|(_, of)| of.backup.cluster == one.backup.cluster);
        let holds =
            |index: &usize| is_kin(index) && before.get(*index).is_some_and(|(other, _)| set.contains(other));
        let holds_all = largest.iter().filter(|index| is_kin(index)).all(holds);
        let others = if holds_all { largest.clone() } else { (0..before.len()).collect() };
        let moments =
            others.iter().filter(|index| holds(index)).filter_map(|index| before.get(*index)?.1.moment);
        let moment = one.moment.max(moments.max());
        largest.retain(|index| !holds(index));
        largest.push(before.len());
        before.push((set, Dated { moment, transactions, ..one }));
    }
    dated.extend(before.into_iter().map(|(_, one)| one));
    dated
}
