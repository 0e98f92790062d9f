//! Numbers about the operator and its clusters. No free text stands in a label.

use crate::board::Board;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_core::backup::{ARCHIVE_BROKEN, ARCHIVE_FAILING, NONE_YET};
use porpoise_core::condition::ConditionType;
use porpoise_crds::{MySQLClusterStatus, RehearsalOutcome, RehearsalStatus};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CategoryLabel {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderLabels {
    order: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    namespace: String,
    name: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    namespace: String,
    name: String,
}

/// How many members a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    /// What the spec asks for.
    pub wanted: i32,
    /// Replicas that could take over.
    pub ready_replicas: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CrdLabel {
    crd: String,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    passes: Family<ResultLabel, Counter>,
    duration: Histogram,
    errors: Family<CategoryLabel, Counter>,
    applies: Family<KindLabel, Counter>,
    orders: Family<OrderLabels, Counter>,
    states: Family<StateLabels, Gauge>,
    instances: Family<ClusterLabels, Gauge>,
    ready_replicas: Family<ClusterLabels, Gauge>,
    last_success: Family<ClusterLabels, Gauge>,
    last_verified: Family<ClusterLabels, Gauge>,
    due_since: Family<ClusterLabels, Gauge>,
    next_run: Family<ClusterLabels, Gauge>,
    last_failed: Family<ClusterLabels, Gauge>,
    archive_delay: Family<ClusterLabels, Gauge>,
    archive_failing: Family<ClusterLabels, Gauge>,
    restorable: Family<ClusterLabels, Gauge>,
    rehearsals: Family<ResultLabel, Counter>,
    rehearsal_failed: Family<ClusterLabels, Gauge>,
    leader: Gauge,
    missing_crds: Family<CrdLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("porpoise"),
            passes: Family::default(),
            duration: Histogram::new(exponential_buckets(0.001, 2.5, 10)),
            errors: Family::default(),
            applies: Family::default(),
            orders: Family::default(),
            states: Family::default(),
            instances: Family::default(),
            ready_replicas: Family::default(),
            last_success: Family::default(),
            last_verified: Family::default(),
            due_since: Family::default(),
            next_run: Family::default(),
            last_failed: Family::default(),
            archive_delay: Family::default(),
            archive_failing: Family::default(),
            restorable: Family::default(),
            rehearsals: Family::default(),
            rehearsal_failed: Family::default(),
            leader: Gauge::default(),
            missing_crds: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("reconcile", "Passes over clusters", self.passes.clone());
        registry.register("reconcile_duration_seconds", "Time a pass takes", self.duration.clone());
        registry.register("reconcile_errors", "Failed steps by category", self.errors.clone());
        registry.register("apply", "Objects applied by kind", self.applies.clone());
        registry.register("orders", "Orders to agents", self.orders.clone());
        registry.register("cluster_state", "1 for the state a cluster is in", self.states.clone());
        registry.register("cluster_instances", "Members that the spec asks for", self.instances.clone());
        registry.register(
            "cluster_ready_replicas",
            "Replicas that are ready, and could take over",
            self.ready_replicas.clone(),
        );
        registry.register(
            "backup_last_success_timestamp_seconds",
            "When the newest successful backup of a cluster was complete",
            self.last_success.clone(),
        );
        registry.register(
            "backup_last_verified_timestamp_seconds",
            "When the newest backup of a cluster was complete that a server has booted from",
            self.last_verified.clone(),
        );
        registry.register(
            "backup_due_since_timestamp_seconds",
            "The first time of the schedule that no backup has answered with success yet",
            self.due_since.clone(),
        );
        registry.register(
            "backup_next_run_timestamp_seconds",
            "The next time of the schedule",
            self.next_run.clone(),
        );
        registry.register(
            "backup_last_failed",
            "Whether the backup that ended last failed",
            self.last_failed.clone(),
        );
        self.register_archive();
        self.register_rehearsals();
        let registry = &mut self.registry;
        registry.register("leader", "1 while this process leads", self.leader.clone());
        registry.register(
            "crd_missing",
            "1 for a missing CustomResourceDefinition",
            self.missing_crds.clone(),
        );
    }

    fn register_archive(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "cluster_archive_delay_seconds",
            "Age of the moment until which everything that was committed is archived",
            self.archive_delay.clone(),
        );
        registry.register(
            "cluster_archive_failing",
            "Whether the binlog is not archived as it should be",
            self.archive_failing.clone(),
        );
        registry.register(
            "cluster_restorable_seconds",
            "Length of the time that a cluster can be restored to any moment of",
            self.restorable.clone(),
        );
    }

    fn register_rehearsals(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "rehearsals",
            "Updates that were tried on a copy of the data",
            self.rehearsals.clone(),
        );
        registry.register(
            "rehearsal_last_failed",
            "Whether the wanted update does not work on a copy of the data",
            self.rehearsal_failed.clone(),
        );
    }

    /// A pass ended.
    pub fn passed(&self, result: &'static str, took: Duration) {
        self.passes.get_or_create(&ResultLabel { result }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A step failed.
    pub fn failed(&self, category: &'static str) {
        self.errors.get_or_create(&CategoryLabel { category }).inc();
    }

    /// An object is applied.
    pub fn applied(&self, kind: &'static str) {
        self.applies.get_or_create(&KindLabel { kind }).inc();
    }

    /// An order was given.
    pub fn ordered(&self, order: &'static str, result: &'static str) {
        self.orders.get_or_create(&OrderLabels { order, result }).inc();
    }

    /// A cluster is in `state` now, and no longer in `before`. Without a state it is gone.
    pub fn state(
        &self,
        namespace: &str,
        name: &str,
        before: Option<&'static str>,
        state: Option<&'static str>,
    ) {
        let labels = |state| StateLabels { namespace: namespace.to_owned(), name: name.to_owned(), state };
        if before != state
            && let Some(before) = before
        {
            self.states.remove(&labels(before));
        }
        if let Some(state) = state {
            self.states.get_or_create(&labels(state)).set(1);
        }
    }

    /// A cluster has these members now. Without any it is gone.
    pub fn members(&self, namespace: &str, name: &str, members: Option<Members>) {
        let labels = ClusterLabels { namespace: namespace.to_owned(), name: name.to_owned() };
        match members {
            None => {
                self.instances.remove(&labels);
                self.ready_replicas.remove(&labels);
            }
            Some(Members { wanted, ready_replicas }) => {
                self.instances.get_or_create(&labels).set(wanted.into());
                let ready = i64::try_from(ready_replicas).unwrap_or(i64::MAX);
                self.ready_replicas.get_or_create(&labels).set(ready);
            }
        }
    }

    /// How the backups of a cluster stand. What never was is not shown: an age would be a guess.
    pub fn backups(&self, namespace: &str, name: &str, status: Option<&MySQLClusterStatus>) {
        let labels = ClusterLabels { namespace: namespace.to_owned(), name: name.to_owned() };
        let backup = status.and_then(|status| status.backup.as_ref());
        let moment = |time: Option<&Time>| time.map(|time| time.0.as_second());
        let numbers = [
            (&self.last_success, moment(backup.and_then(|backup| backup.last_success.as_ref()))),
            (&self.last_verified, moment(backup.and_then(|backup| backup.last_verified.as_ref()))),
            (&self.due_since, moment(backup.and_then(|backup| backup.due_since.as_ref()))),
            (&self.next_run, moment(backup.and_then(|backup| backup.next_run.as_ref()))),
            (&self.last_failed, backup.and(status).map(|status| i64::from(has_failed(status)))),
        ];
        show(&labels, numbers);
    }

    /// How the archive of a cluster stands. What is not known has no number.
    pub fn archive(
        &self,
        namespace: &str,
        name: &str,
        status: Option<&MySQLClusterStatus>,
        delay: Option<Duration>,
    ) {
        let labels = ClusterLabels { namespace: namespace.to_owned(), name: name.to_owned() };
        let backup = status.and_then(|status| status.backup.as_ref());
        let failing = backup.map(|backup| backup.archive_failing_since.is_some());
        let window = backup.and_then(|backup| {
            Some(backup.restorable_to.as_ref()?.0.duration_since(backup.restorable_from.as_ref()?.0))
        });
        let numbers = [
            (&self.archive_delay, delay.map(|delay| i64::try_from(delay.as_secs()).unwrap_or(i64::MAX))),
            (&self.archive_failing, failing.map(i64::from)),
            (&self.restorable, window.map(|window| window.as_secs())),
        ];
        show(&labels, numbers);
    }

    /// How the update stands that is tried on a copy: the status before a pass, and after it. Without any the cluster is gone.
    pub fn rehearsal(
        &self,
        namespace: &str,
        name: &str,
        change: Option<(&MySQLClusterStatus, &MySQLClusterStatus)>,
    ) {
        let labels = ClusterLabels { namespace: namespace.to_owned(), name: name.to_owned() };
        let before = change.and_then(|(before, _)| before.rehearsal.as_ref());
        let after = change.and_then(|(_, after)| after.rehearsal.as_ref());
        let failed = after.map(|after| i64::from(after.outcome == RehearsalOutcome::Failed));
        show(&labels, [(&self.rehearsal_failed, failed)]);
        let key = |one: &RehearsalStatus| (one.job.clone(), one.attempt, one.outcome);
        if let Some(after) = after.filter(|after| before.map(key) != Some(key(after)))
            && let Some(result) = ended(after.outcome)
        {
            self.rehearsals.get_or_create(&ResultLabel { result }).inc();
        }
    }

    /// All metrics as text.
    pub fn text(&self, board: &Board) -> String {
        let notes = board.notes();
        self.leader.set(i64::from(notes.leading));
        self.missing_crds.clear();
        for crd in notes.missing_crds {
            self.missing_crds.get_or_create(&CrdLabel { crd }).set(1);
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// How a rehearsal ended, if it did.
fn ended(outcome: RehearsalOutcome) -> Option<&'static str> {
    match outcome {
        RehearsalOutcome::Running => None,
        RehearsalOutcome::Succeeded => Some("succeeded"),
        RehearsalOutcome::Interrupted => Some("interrupted"),
        RehearsalOutcome::Failed => Some("failed"),
    }
}

/// A number that is not known is not shown.
fn show<const COUNT: usize>(
    labels: &ClusterLabels,
    numbers: [(&Family<ClusterLabels, Gauge>, Option<i64>); COUNT],
) {
    for (gauge, number) in numbers {
        match number {
            Some(number) => {
                gauge.get_or_create(labels).set(number);
            }
            None => {
                gauge.remove(labels);
            }
        }
    }
}

/// Whether the backup that ended last failed. The archive has a number of its own, and that there is none is no failure.
fn has_failed(status: &MySQLClusterStatus) -> bool {
    let ready: &'static str = ConditionType::BackupReady.into();
    let of_else = |reason: &str| [ARCHIVE_FAILING, ARCHIVE_BROKEN, NONE_YET].contains(&reason);
    status.conditions.iter().any(|one| one.type_ == ready && one.status == "False" && !of_else(&one.reason))
}

#[cfg(test)]
mod tests;
