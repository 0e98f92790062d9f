//! An operator process: it looks, decides by the product's own code, and acts. Between these steps anything may happen, and
//! there are two of them.

use super::member::NAMES;
use super::planted::Planted;
use super::sabotage;
use super::world::World;
use crate::decide;
use crate::fixture;
use crate::plan::{Plan, Record};
use crate::protocol::{MemberState, Order};
use crate::validate::Cluster;
use crate::view::{Ages, ClusterView, Look, PodView, References};
use jiff::Timestamp;
use porpoise_crds::{DurabilityPolicy, FINALIZER, MySQLClusterStatus};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// 2026-11-21T10:00:00Z.
pub(super) const BEGINNING: i64 = 1_795_255_200_000;

/// Calls to members have a limit: what was answered this long ago is not decided on.
const PATIENCE: i64 = 4_000;

/// What an operator has read.
#[derive(Clone, Debug)]
struct Reading {
    /// When it began.
    at: i64,
    version: u64,
    instances: usize,
    degradable: bool,
    status: MySQLClusterStatus,
    answers: [Option<MemberState>; 5],
    /// Pods that were gone before anybody was asked.
    gone: [bool; 5],
}

/// What an operator is about to do.
#[derive(Clone, Debug)]
pub(super) struct Intention {
    pub(super) version: u64,
    pub(super) plan: Plan,
    pub(super) replicas: usize,
}

/// One operator process.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    index: usize,
    /// Number of the process.
    life: u64,
    /// When each member last answered.
    heard: [i64; 5],
    /// Its clock is off by so many milliseconds.
    pub(super) skew: i64,
    reading: Option<Box<Reading>>,
    pub(super) intention: Option<Box<Intention>>,
}

impl Operator {
    pub(super) fn new(index: usize) -> Self {
        Self { index, life: 0, heard: [0; 5], skew: 0, reading: None, intention: None }
    }

    /// Another process takes its place; it knows nothing.
    pub(super) fn crash(&mut self) {
        *self = Self { life: self.life + 1, skew: self.skew, ..Self::new(self.index) };
    }

    fn name(&self) -> String {
        format!("operator-{}-{}", self.index, self.life)
    }
}

/// Validated clusters of one to five instances.
fn cluster(instances: usize, degradable: bool) -> &'static Cluster {
    static CLUSTERS: OnceLock<[Vec<Cluster>; 2]> = OnceLock::new();
    let all = CLUSTERS.get_or_init(|| {
        [DurabilityPolicy::Strict, DurabilityPolicy::Degradable]
            .map(|policy| (1..=5).map(|instances| fixture::cluster_with(instances, policy)).collect())
    });
    &all[usize::from(degradable)][instances.clamp(1, 5) - 1]
}

impl World {
    /// A whole pass without anything in between.
    pub(super) fn pass(&mut self, operator: usize) {
        self.read(operator);
        self.decide(operator);
        self.act(operator);
    }

    /// The operator reads the object and asks every member.
    pub(super) fn read(&mut self, operator: usize) {
        let gone =
            std::array::from_fn(|index| self.members.get(index).is_none_or(|member| member.pod_is_gone));
        let answers = std::array::from_fn(|index| self.ask(operator, index));
        let reading = Box::new(Reading {
            at: self.now,
            version: self.stored.version,
            instances: self.stored.instances,
            degradable: self.stored.degradable,
            status: self.stored.status.clone(),
            answers,
            gone,
        });
        self.operators[operator].reading = Some(reading);
    }

    /// A member's answer, from facts that may be a moment old.
    fn ask(&mut self, operator: usize, index: usize) -> Option<MemberState> {
        if index >= self.members.len() || !self.network.answer_arrives(operator, index) {
            return None;
        }
        if self.calm || !self.slow || !self.dice.once_in(3) {
            let planted = self.planted;
            self.members[index].look(&self.bases, planted);
        }
        let state = self.members[index].state()?;
        self.operators[operator].heard[index] = self.now;
        Some(state)
    }

    /// Decides on what was read; some answers came later than others.
    pub(super) fn decide(&mut self, operator: usize) {
        let Some(mut reading) = self.operators[operator].reading.take() else { return };
        if self.now - reading.at > PATIENCE {
            return;
        }
        for index in 0..NAMES.len() {
            if !self.calm && self.dice.once_in(2) {
                let later = self.ask(operator, index);
                reading.answers[index] = later.or(reading.answers[index].take());
            }
        }
        let version = reading.version;
        let cluster = cluster(reading.instances, reading.degradable);
        let mut view = self.view(operator, *reading);
        sabotage::before(self.planted, &mut view);
        let (mut plan, replicas) = decide::protocol(cluster, &view);
        self.check_plan(&view, &plan);
        sabotage::after(self.planted, &view, &mut plan);
        self.trace_plan(operator, &plan);
        let replicas = usize::try_from(replicas).unwrap_or_default();
        self.operators[operator].intention = Some(Box::new(Intention { version, plan, replicas }));
    }

    fn trace_plan(&mut self, operator: usize, plan: &Plan) {
        let name = self.operators[operator].name();
        self.note(|| {
            let orders: Vec<String> = plan.orders.iter().map(tell).collect();
            format!(
                "{name} decides: {} {:?} {}",
                plan.reason,
                plan.record.as_ref().map(tell_record),
                orders.join("; ")
            )
        });
    }

    fn view(&self, operator: usize, reading: Reading) -> ClusterView {
        let process = &self.operators[operator];
        let mut object = fixture::object();
        object.spec.instances = i32::try_from(reading.instances).unwrap_or_default();
        if reading.degradable {
            object.spec.durability.policy = DurabilityPolicy::Degradable;
        }
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        object.status = Some(reading.status);
        let mut members = BTreeMap::new();
        let mut pods = BTreeMap::new();
        let gone = reading.gone;
        for (member, answer) in self.members.iter().zip(reading.answers) {
            // A search knows no moments: who does not answer has not done so for long.
            let silence =
                if self.dice.is_searching() { PATIENCE } else { self.now - process.heard[member.index] };
            let look = match answer {
                Some(state) => Look::Answered(Box::new(state)),
                None if gone[member.index] => Look::Absent,
                None => silent(silence),
            };
            if !gone[member.index] {
                pods.insert(member.name().to_owned(), pod(&look));
            }
            members.insert(member.name().to_owned(), look);
        }
        let now = Timestamp::from_millisecond(BEGINNING + self.now + process.skew).unwrap_or_default();
        ClusterView {
            now,
            // Off by the skew as well: harder than it can be, since no process counts from another's clock.
            ages: Ages::by_steady_clock(&object, pods.values(), &BTreeMap::new(), now),
            operator: process.name(),
            object,
            namespace_terminating: false,
            stateful_set: None,
            pods,
            nodes: BTreeMap::new(),
            line: crate::line::FIRST,
            other_claims: BTreeMap::new(),
            claims: BTreeMap::new(),
            members,
            references: References::default(),
            backups: BTreeMap::new(),
            troubles: Vec::new(),
        }
    }

    /// Carries out what was decided, as far as it gets.
    pub(super) fn act(&mut self, operator: usize) {
        let Some(intention) = self.operators[operator].intention.take() else { return };
        let Intention { version, plan, replicas } = *intention;
        if replicas != self.replicas {
            self.note(|| format!("{replicas} Pods shall run"));
            self.run_replicas(replicas);
        }
        if let Some(record) = plan.record {
            return self.write_record(version, record);
        }
        for order in plan.orders {
            if !self.calm && self.dice.once_in(24) {
                self.note(|| format!("operator {operator} crashes between orders"));
                return self.operators[operator].crash();
            }
            self.send(operator, order);
        }
    }

    /// Compare-and-swap by the version that was read.
    fn write_record(&mut self, version: u64, record: Record) {
        let conflict = version != self.stored.version || (!self.calm && self.dice.once_in(16));
        if conflict && self.planted != Some(Planted::RecordWithoutCompareAndSwap) {
            return self.note(|| "somebody else wrote the record".to_owned());
        }
        self.stored.version += 1;
        let status = &mut self.stored.status;
        status.term = Some(record.term);
        status.term_owner = record.term_owner;
        status.quorum = record.quorum;
        status.primary = record.primary;
        status.operation = record.operation;
    }

    /// An order goes out: it arrives, is lost, comes late, or comes twice.
    fn send(&mut self, operator: usize, order: Order) {
        if self.dice.is_searching() {
            return self.network.dispatch(order);
        }
        let fate = if self.calm { 15 } else { self.dice.roll(16) };
        match fate {
            0 => self.note(|| format!("lost: {}", tell(&order))),
            1 | 2 => self.network.late.push((operator, order)),
            3 => {
                self.network.late.push((operator, order.clone()));
                self.deliver(operator, &order);
            }
            _ => self.deliver(operator, &order),
        }
    }

    /// An order arrives, if nothing is in its way.
    pub(super) fn deliver(&mut self, operator: usize, order: &Order) {
        let index = super::pursuit::place(&order.instance);
        if index >= self.members.len() || !self.network.order_arrives(operator, index) {
            return;
        }
        let planted = self.planted;
        let answer = self.members[index].take(order, planted);
        self.note(|| format!("{} -> {answer:?}", tell(order)));
        if self.members[index].broke_promise {
            self.fail("I3", || {
                format!("{} takes an order of term {} below its promise", order.instance, order.term)
            });
        }
    }
}

fn silent(silence: i64) -> Look {
    let lasting = Duration::from_millis(u64::try_from(silence).unwrap_or_default());
    Look::Silent { reason: "no answer".to_owned(), lasting }
}

fn pod(look: &Look) -> PodView {
    PodView {
        uid: "pod".to_owned(),
        address: Some("198.18.0.9".to_owned()),
        ready: look.answer().is_some(),
        ..PodView::default()
    }
}

fn tell(order: &Order) -> String {
    format!(
        "{:?} to {} in term {} with claim {:?}",
        order.action,
        order.instance,
        order.term,
        order.claim.as_ref().map(|claim| claim.version)
    )
}

fn tell_record(record: &Record) -> String {
    let claim = record.quorum.as_ref().map(|claim| {
        let names: Vec<&str> = claim.members.iter().map(|member| member.name.as_str()).collect();
        format!("claim {} k={} of {}", claim.version, claim.k, names.join(","))
    });
    let operation = record.operation.as_ref().map(|operation| operation.kind);
    format!("term {} primary {:?} {claim:?} {operation:?}", record.term, record.primary)
}
