//! A small world for the decisions: members that obey orders at once, with data that really moves between them.

mod lines;
mod member;
mod orders;
mod templates;

use lines::Sets;
use member::{Member, add, blank, uuid};
pub(super) use templates::Flaw;

use crate::decide::plan;
use crate::fixture;
use crate::gate::FeatureGates;
use crate::gtid::GtidSet;
use crate::plan::{Deletion, Plan};
use crate::protocol::{Order, Role, ServerPhase};
use crate::validate::Settings;
use crate::view::{Ages, ClusterView, Look, NodeView, OriginLook, PodView, References, RestoreLook};
use porpoise_crds::{FINALIZER, MySQLCluster, Phase, Quorum};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct World {
    pub(super) object: MySQLCluster,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) now: jiff::Timestamp,
    pub(super) last: Plan,
    /// The node of each member, `node-of-shop-0` and so on; empty: nodes may not be read.
    pub(super) nodes: BTreeMap<String, NodeView>,
    /// The feature gates that are open.
    pub(super) gates: FeatureGates,
    /// Where `spec.bootstrap.restore` leads.
    pub(super) restore: Option<RestoreLook>,
    /// Where any other `spec.bootstrap` leads.
    pub(super) origin: Option<OriginLook>,
    sets: Sets,
    next_transaction: u64,
    /// `rpl_semi_sync_source_wait_for_replica_count` of each member that was promoted.
    waits_for: BTreeMap<String, i32>,
    /// Term records: the transaction and the term.
    records: Vec<(GtidSet, i64)>,
    /// The template that the spec asks for; 0: nobody has looked at templates.
    template: u32,
    /// What is wrong with each template.
    flaws: Vec<Option<Flaw>>,
    /// Whose Pods the plans replaced, in order.
    pub(super) replaced: Vec<String>,
    /// How often a held member came back from its own data, and how many transactions that cut off.
    pub(super) rejoined: (usize, u64),
}

pub(super) fn set(text: &str) -> GtidSet {
    GtidSet::parse(text).unwrap()
}

impl World {
    pub(super) fn new(instances: i32) -> Self {
        let mut object = fixture::object();
        object.spec.instances = instances;
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        Self {
            object,
            members: BTreeMap::new(),
            now,
            last: Plan::default(),
            nodes: BTreeMap::new(),
            gates: FeatureGates::new(),
            restore: None,
            origin: None,
            sets: Sets::default(),
            next_transaction: 1,
            waits_for: BTreeMap::new(),
            records: Vec::new(),
            template: 0,
            flaws: vec![None],
            replaced: Vec::new(),
            rejoined: (0, 0),
        }
    }

    /// A cluster that became Healthy.
    pub(super) fn healthy(instances: i32) -> Self {
        let mut world = Self::new(instances);
        world.until(Phase::Healthy);
        world
    }

    pub(super) fn status(&self) -> porpoise_crds::MySQLClusterStatus {
        self.object.status.clone().unwrap_or_default()
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.status().phase
    }

    pub(super) fn claim(&self) -> Quorum {
        self.status().quorum.unwrap()
    }

    pub(super) fn primary(&self) -> String {
        self.status().primary.unwrap()
    }

    pub(super) fn member(&mut self, name: &str) -> &mut Member {
        self.members.get_mut(name).unwrap()
    }

    /// The process of the member ends; its volume stays.
    pub(super) fn crash(&mut self, name: &str) {
        let member = self.member(name);
        member.up = false;
        member.state.role = Role::Idle;
        member.state.process.push('+');
        for other in self.members.values_mut() {
            if let Role::Replica { source, receiving, hearing, .. } = &mut other.state.role
                && source == name
            {
                (*receiving, *hearing) = (false, false);
            }
        }
    }

    /// The primary's agent turns its clients away: no acknowledgement came for 3 s.
    pub(super) fn fence(&mut self, name: &str) {
        if let Role::Primary { proven_k, admitting, .. } = &mut self.member(name).state.role {
            (*proven_k, *admitting) = (None, false);
        }
    }

    /// The member's Pod runs again and its mysqld waits to hear what it may keep, if it was a primary.
    pub(super) fn boot_held(&mut self, name: &str) {
        let member = self.member(name);
        if member.up {
            return;
        }
        member.up = true;
        if let Some(reigned) = member.reigned {
            member.state.server = ServerPhase::Held { reigned };
            member.asleep = member.asleep.take().or_else(|| member.state.data.take());
        }
    }

    /// The member's Pod runs again, mysqld too; who still follows it reconnects.
    pub(super) fn boot(&mut self, name: &str) {
        let member = self.member(name);
        member.up = true;
        member.wake();
        for other in self.members.values_mut().filter(|member| member.up) {
            if let Role::Replica { source, receiving, hearing, .. } = &mut other.state.role
                && source == name
            {
                (*receiving, *hearing) = (true, true);
            }
        }
    }

    /// Loses the volume: the Pod comes back with another, blank one.
    pub(super) fn lose_volume(&mut self, name: &str) {
        self.crash(name);
        let mut fresh = blank(name, &format!("new-volume-of-{name}"));
        self.next_transaction += 1;
        fresh.state.server_uuid = Some(uuid(name, self.next_transaction));
        self.members.insert(name.to_owned(), fresh);
    }

    /// Executes a transaction on the primary; replicas that receive get it, `only_here` keeps it back.
    pub(super) fn write(&mut self, only_here: bool) {
        let primary = self.primary();
        let text = format!(
            "{}:{}",
            self.members[&primary].state.server_uuid.clone().unwrap(),
            100 + self.next_transaction
        );
        self.next_transaction += 1;
        add(&mut self.member(&primary).state, &text);
        if !only_here {
            self.deliver(&primary);
        }
    }

    fn deliver(&mut self, source: &str) {
        let Some(everything) = self.members[source].state.data.clone() else {
            return;
        };
        for member in self.members.values_mut().filter(|member| member.up) {
            if matches!(&member.state.role, Role::Replica { source: from, receiving: true, .. } if from == source)
            {
                let data = member.state.data.as_mut().unwrap();
                data.executed = set(&data.executed).union(&set(&everything.executed)).to_string();
                data.retrieved.clone_from(&data.executed);
                data.history = everything.history;
            }
        }
    }

    pub(super) fn view(&self) -> ClusterView {
        let running = self.members.iter().filter(|(_, member)| member.up);
        let mut members: BTreeMap<String, Look> = running
            .clone()
            .map(|(name, member)| (name.clone(), Look::Answered(Box::new(member.state.clone()))))
            .collect();
        for name in self.members.keys().filter(|name| !self.members[*name].up) {
            members.insert(name.clone(), Look::Absent);
        }
        let has_pod = |member: &Member| member.up || member.held_up.is_some();
        let pods: BTreeMap<String, PodView> = self
            .members
            .iter()
            .filter(|(_, member)| has_pod(member))
            .map(|(name, member)| (name.clone(), templates::pod(name, member)))
            .collect();
        let line = self.line();
        ClusterView {
            now: self.now,
            ages: Ages::by_steady_clock(&self.object, pods.values(), &BTreeMap::new(), self.now),
            operator: "operator-a".to_owned(),
            object: self.object.clone(),
            namespace_terminating: false,
            stateful_set: self
                .sets
                .stored
                .clone()
                .or_else(|| (self.template > 0).then(|| templates::stateful_set(self.template))),
            pods,
            nodes: self.nodes.clone(),
            line,
            other_claims: self.other_claims(line),
            claims: self.claims(line),
            members,
            references: References {
                restore: self.restore.clone(),
                origin: self.origin.clone(),
                ..References::default()
            },
            backups: BTreeMap::new(),
            troubles: self.troubles(),
        }
    }

    /// One pass whose orders all arrive.
    pub(super) fn pass(&mut self) {
        self.pass_with(false);
    }

    /// One pass: decide, then let record, orders and `StatefulSet` take effect. Kept orders are answered, not delivered.
    pub(super) fn pass_with(&mut self, keep_orders: bool) -> Vec<Order> {
        let mut kept = Vec::new();
        let settings = Settings { feature_gates: self.gates.clone(), ..fixture::settings() };
        let plan = plan(&self.view(), &settings);
        self.now += jiff::SignedDuration::from_millis(250);
        let orders: &[Order] = if plan.record.is_some() { &[] } else { &plan.orders };
        if keep_orders {
            kept = orders.to_vec();
        } else {
            for order in orders {
                self.receive(order);
            }
        }
        self.store(&plan);
        if self.sets.follows {
            if plan.record.is_none() {
                self.follow_set(&plan);
            }
        } else {
            self.scale(&plan);
        }
        for deletion in &plan.deletions {
            if let Deletion::Pod { name, .. } | Deletion::IdlePod { name, .. } = deletion {
                self.replaced.push(name.clone());
                self.replace(name);
            }
        }
        if let Some(primary) =
            self.status().primary.filter(|name| self.members.get(name).is_some_and(|member| member.up))
        {
            self.deliver(&primary);
        }
        self.watch_readiness();
        self.last = plan;
        kept
    }

    /// Writes the plan's status, and its record if there is one.
    fn store(&mut self, plan: &Plan) {
        let mut status = plan.status.clone();
        if let Some(record) = &plan.record {
            status.term = Some(record.term);
            status.term_owner.clone_from(&record.term_owner);
            status.quorum.clone_from(&record.quorum);
            status.primary.clone_from(&record.primary);
            status.operation.clone_from(&record.operation);
        }
        self.object.status = Some(status);
    }

    /// Whether the `StatefulSet` runs this instance.
    pub(super) fn can_run(&self, name: &str) -> bool {
        let cluster = fixture::cluster_of(&self.object);
        let replicas = u32::try_from(crate::decide::living::replicas(&cluster, &self.view())).unwrap();
        self.members.contains_key(name)
            && crate::names::ordinal(name).is_some_and(|ordinal| ordinal < replicas)
    }

    /// Members that let clients write, whatever is recorded.
    pub(super) fn open_primaries(&self) -> Vec<String> {
        let open =
            |member: &Member| member.up && matches!(member.state.role, Role::Primary { admitting: true, .. });
        self.members.iter().filter(|(_, member)| open(member)).map(|(name, _)| name.clone()).collect()
    }

    /// A client's transaction on `name`. With `reach` every replica that receives from it gets it; the client is answered
    /// when as many acknowledged it as the server waits for.
    pub(super) fn commit(&mut self, name: &str, reach: bool) -> (String, bool) {
        let text = format!(
            "{}:{}",
            self.members[name].state.server_uuid.clone().unwrap(),
            1000 + self.next_transaction
        );
        self.next_transaction += 1;
        add(&mut self.member(name).state, &text);
        let ackers = self.ackers(name);
        let waits_for = self.waits_for.get(name).copied().unwrap_or(0);
        if reach {
            self.deliver(name);
        }
        (text, waits_for == 0 || (reach && ackers >= waits_for))
    }

    fn scale(&mut self, plan: &Plan) {
        if plan.objects.is_empty() {
            return;
        }
        let cluster = fixture::cluster_of(&self.object);
        let replicas = u32::try_from(crate::decide::living::replicas(&cluster, &self.view())).unwrap();
        for ordinal in 0..replicas {
            let name = format!("shop-{ordinal}");
            self.members.entry(name.clone()).or_insert_with(|| blank(&name, &format!("volume-of-{name}")));
        }
        let gone = |name: &str| crate::names::ordinal(name).is_some_and(|ordinal| ordinal >= replicas);
        for (_, member) in self.members.iter_mut().filter(|(name, _)| gone(name)) {
            member.up = false;
        }
    }

    /// Passes until the phase is reached; fails with the last plan when it is not.
    pub(super) fn until(&mut self, phase: Phase) {
        for _ in 0..200 {
            self.pass();
            if self.phase() == Some(phase) {
                return;
            }
        }
        panic!("never {phase:?}: {:?} because {}\n{:#?}", self.phase(), self.last.reason, self.status());
    }

    pub(super) fn passes(&mut self, count: usize) {
        for _ in 0..count {
            self.pass();
        }
    }
}

/// Where the member's Pod runs.
pub(super) fn node_of(member: &str) -> String {
    format!("node-of-{member}")
}

/// Time that no pass takes.
pub(super) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
