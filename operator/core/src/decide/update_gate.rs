//! The gate before members get another image: a verified backup must stand first and the update work on a copy of it (D15), and
//! data never goes back to an older release series (D40).
//!
//! While it is closed the template of the `StatefulSet` keeps the image that runs, and a Pod that restarts by itself starts
//! that one. Where the update is tried on a copy first, the whole template waits, with the settings that belong to it; else
//! everything but the image passes.

use super::backups::wish;
use super::rehearsal::{self, Trial};
use super::{living, status};
use crate::build::{self, PodInputs};
use crate::condition::{ConditionType, News};
use crate::event;
use crate::names::CONTAINER;
use crate::plan::Plan;
use crate::validate::{Cluster, release};
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use k8s_openapi::api::apps::v1::StatefulSet;
use porpoise_crds::{BackupBefore, BackupPhase, Phase, VERSIONS};
use std::time::Duration;

/// Pause between looks at a Job that nothing tells of.
const SOON: Duration = Duration::from_secs(3);

/// Why the gate is closed.
pub(super) struct Hold {
    /// Reason of the condition.
    reason: &'static str,
    /// Something more happens by itself.
    goes_on: bool,
    message: String,
    /// A Job tries the update, or will.
    is_tried: bool,
    /// The settings wait with the image.
    keeps_settings: bool,
}

impl Hold {
    fn new(reason: &'static str, goes_on: bool, message: String) -> Self {
        Self { reason, goes_on, message, is_tried: false, keeps_settings: false }
    }

    /// One because of a rehearsal.
    pub(super) fn of_rehearsal(reason: &'static str, goes_on: bool, message: String) -> Self {
        Self { is_tried: true, ..Self::new(reason, goes_on, message) }
    }

    /// Whether the stored settings must stay as they are: the template that they are for stays.
    pub(super) fn keeps_settings(&self) -> bool {
        self.keeps_settings
    }

    /// When to look again, at the latest.
    pub(super) fn look_again(&self) -> Duration {
        if self.is_tried { SOON } else { Duration::MAX }
    }
}

/// Lets `wanted` pass, or puts the image that runs into it and says why.
pub(super) fn pass(
    cluster: &Cluster,
    view: &ClusterView,
    wanted: &mut StatefulSet,
    plan: &mut Plan,
) -> Option<Hold> {
    // Without a claim there is no data yet.
    view.object.status.as_ref().filter(|status| status.quorum.is_some())?;
    // One of another line goes, whatever its image: the next pass makes the one of this line.
    if view.stateful_set.as_ref().is_some_and(|stored| living::is_of_other_line(cluster, stored)) {
        return None;
    }
    let to = image(wanted)?;
    let of_primary = image_of_primary(view);
    // Somebody may have deleted the StatefulSet to get past this.
    let from = view.stateful_set.as_ref().and_then(image).or_else(|| of_primary.clone());
    let from = from.or_else(|| image_of_former(view))?;
    // What the primary runs its data is good for: the way back from an image that does not work needs nothing.
    if from == to || of_primary.as_ref() == Some(&to) {
        rehearsal::forget(view, plan);
        return None;
    }
    if let Some(hold) = no_way(cluster, view, &from, &to) {
        rehearsal::forget(view, plan);
        keep_image(cluster, view, &from, wanted);
        return Some(hold);
    }
    let trial = Trial::of(cluster, view, &from, &to);
    match &trial {
        Some(trial) => trial.forget_others(plan),
        None => rehearsal::forget(view, plan),
    }
    let hold = no_backup(cluster, view, &from, &to, trial.as_ref(), plan);
    let mut hold = hold.or_else(|| trial.as_ref()?.hold(plan))?;
    let same = keep_image(cluster, view, &from, wanted);
    // What is tried together reaches the members together: settings for the new release are not for the old one.
    if trial.is_some() && !same {
        hold.keeps_settings = keep_template(view, wanted);
    }
    Some(hold)
}

/// Puts the stored template into the wanted one; false if there is none.
fn keep_template(view: &ClusterView, wanted: &mut StatefulSet) -> bool {
    let stored = view.stateful_set.as_ref().and_then(|set| set.spec.as_ref()).map(|spec| &spec.template);
    let (Some(spec), Some(stored)) = (&mut wanted.spec, stored) else { return false };
    spec.template = stored.clone();
    true
}

/// Image of MySQL in the template.
pub(super) fn image(set: &StatefulSet) -> Option<String> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == CONTAINER)?.image.clone()
}

fn image_of_primary(view: &ClusterView) -> Option<String> {
    let primary = view.object.status.as_ref()?.primary.as_ref()?;
    view.pods.get(primary)?.image.clone()
}

/// Image that the volumes of this line were used with before a restore in place that was withdrawn.
fn image_of_former(view: &ClusterView) -> Option<String> {
    let former = view.object.status.as_ref()?.restore.as_ref()?.former.as_ref()?;
    former.image.clone().filter(|_| former.line == view.line)
}

/// Release series that the primary's data is of.
fn series(view: &ClusterView) -> Option<(u32, u32)> {
    release::series_of(view.object.status.as_ref()?.version.as_ref()?.current.as_deref()?)
}

/// A wanted `version` was compared already, when the spec was validated.
fn no_way(cluster: &Cluster, view: &ClusterView, from: &str, to: &str) -> Option<Hold> {
    let image = cluster.spec.image.as_deref()?;
    let (reason, why) = release::no_way(series(view)?, release::series_of_image(image)?)?;
    let message = format!("members keep image {from} and do not get {to}: {why}");
    Some(Hold::new(reason, false, message))
}

fn no_backup(
    cluster: &Cluster,
    view: &ClusterView,
    from: &str,
    to: &str,
    trial: Option<&Trial<'_>>,
    plan: &mut Plan,
) -> Option<Hold> {
    match (cluster.spec.update.backup_before, &cluster.spec.backup) {
        (BackupBefore::Skip, _) => None,
        // Required without a target is refused by validation.
        (BackupBefore::IfConfigured | BackupBefore::Required, None) => {
            plan.events.push(event::UPDATE_WITHOUT_BACKUP.event(&[("from", from), ("to", to)]));
            None
        }
        (BackupBefore::IfConfigured | BackupBefore::Required, Some(_)) => {
            let (object, max_age) = (&view.object, cluster.backup_max_age);
            let will_do = |backup: &BackupSeen| backup.is_fresh(object, max_age, view.now);
            // A rehearsal may take longer than a backup is young.
            let stands = view.backups.values().any(will_do) || trial.is_some_and(Trial::has_backup);
            (!stands).then(|| hold(cluster, view, from, to, plan))
        }
    }
}

/// The template of the same wish with the image that runs; the stored one as it is, when nothing else that restarts a member is
/// new. True: nothing else is new at all, not even a setting that a running mysqld takes.
fn keep_image(cluster: &Cluster, view: &ClusterView, from: &str, wanted: &mut StatefulSet) -> bool {
    let inputs = PodInputs::of(&view.object);
    let held = with_image(cluster, series(view), Some(from));
    let replicas = wanted.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    *wanted = build::stateful_set(&held, &inputs, replicas, None);
    let stored = view.stateful_set.as_ref().and_then(|set| set.spec.as_ref()).map(|spec| &spec.template);
    let Some(stored) = stored else { return false };
    let exactly = wishes(cluster, from).any(|wish| build::is_exactly(stored, &wish, &inputs));
    if wishes(cluster, from).any(|wish| build::is_made_from(stored, &wish, &inputs)) {
        keep_template(view, wanted);
    }
    exactly
}

/// Every wish that differs from this one in the image only and may have brought the one that runs.
fn wishes(cluster: &Cluster, from: &str) -> impl Iterator<Item = Cluster> {
    let known = VERSIONS.iter().map(|version| release::series_of(version));
    known.flat_map(move |series| [None, Some(from)].map(|image| with_image(cluster, series, image)))
}

fn with_image(cluster: &Cluster, series: Option<(u32, u32)>, image: Option<&str>) -> Cluster {
    let mut other = cluster.clone();
    other.spec.image = image.map(str::to_owned);
    if let Some(image) = image {
        image.clone_into(&mut other.image);
    }
    if let Some((major, minor)) = series {
        other.series = (major, minor);
        other.spec.version = format!("{major}.{minor}");
    }
    other
}

fn hold(cluster: &Cluster, view: &ClusterView, from: &str, to: &str, plan: &mut Plan) -> Hold {
    let waiting = |message: String| Hold::new("BackupRequired", true, message);
    if cluster.spec.hibernated {
        return waiting(format!(
            "image {to} needs a backup first, which is made when the cluster wakes with {from}"
        ));
    }
    let (name, seen) = attempt(cluster, view, to);
    let Some(seen) = seen else {
        plan.events.push(event::UPDATE_BACKUP_STARTED.event(&[("backup", &name), ("image", to)]));
        let labels = &cluster.inherited_labels;
        plan.backups.push(wish(&cluster.names, labels, name.clone(), BackupOrigin::Update));
        return waiting(format!("backup {name} is made before members get image {to}"));
    };
    if seen.deleting || !seen.phase.is_some_and(BackupPhase::is_over) {
        let words = if seen.message.is_empty() { "it begins" } else { seen.message.as_str() };
        return waiting(format!("members get image {to} when backup {name} is verified: {words}"));
    }
    let failed = seen.phase == Some(BackupPhase::Failed);
    let why = if failed { seen.message.as_str() } else { "it was not verified" };
    let message = format!(
        "members keep image {from}, since backup {name} failed: {why}. Delete {name} to try again, make another MySQLBackup of \
         this cluster, or set spec.update.backupBefore: Skip"
    );
    Hold::new("BackupFailed", false, message)
}

/// The newest backup for this image, or the name of the next one: those that were good and became too old do not count.
fn attempt<'a>(cluster: &Cluster, view: &'a ClusterView, to: &str) -> (String, Option<&'a BackupSeen>) {
    let mut number = 1;
    loop {
        let name = cluster.names.backup_before(to, number);
        let seen = view.backups.get(&name);
        let is_past = seen.is_some_and(|seen| {
            seen.phase == Some(BackupPhase::Succeeded) && seen.verified && !seen.deleting
        });
        if !is_past {
            return (name, seen);
        }
        number += 1;
    }
}

/// Says so in `Progressing`, unless the primary is in question.
pub(super) fn tell(view: &ClusterView, hold: Hold, plan: &mut Plan) {
    let calm = plan.status.phase.is_some_and(|phase| {
        matches!(
            phase,
            Phase::Healthy | Phase::Degraded | Phase::Scaling | Phase::Updating | Phase::Hibernated
        )
    });
    if calm {
        // Once: the condition stays.
        if !hold.goes_on && !is_told(view, &hold) {
            plan.events.push(event::UPDATE_HELD.event(&[("message", &hold.message)]));
        }
        let news = News::new(ConditionType::Progressing, hold.goes_on, hold.reason, hold.message);
        status::tell(view, news, plan);
    }
}

fn is_told(view: &ClusterView, hold: &Hold) -> bool {
    let mut told = view.object.status.iter().flat_map(|status| &status.conditions);
    // Kubernetes finds ever new words for one trouble.
    let gist = |message: &str| message.split(';').next().map(str::to_owned);
    told.any(|one| {
        one.type_ == "Progressing" && one.reason == hold.reason && gist(&one.message) == gist(&hold.message)
    })
}
