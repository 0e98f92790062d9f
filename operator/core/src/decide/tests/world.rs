//! A small world for the decisions: members that obey orders at once, with data that really moves between them.

mod lines;
mod templates;

use lines::Sets;
pub(super) use templates::Flaw;

use crate::decide::plan;
use crate::fixture;
use crate::gate::FeatureGates;
use crate::gtid::GtidSet;
use crate::plan::{Deletion, Plan};
use crate::protocol::{Action, DataState, MemberState, Order, Role, ServerPhase};
use crate::validate::Settings;
use crate::view::{
    Ages, ClaimView, ClusterView, Look, NodeView, OriginLook, PodView, References, RestoreLook, TroubleKind,
};
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

#[derive(Clone)]
pub(super) struct Member {
    pub(super) state: MemberState,
    pub(super) up: bool,
    /// Its Pod is being deleted.
    pub(super) ends: bool,
    pub(super) claim: ClaimView,
    /// The note of the agent's: a primary of this term whose writes were not closed in order, waiting for acknowledgements.
    reigned: Option<i64>,
    /// What a held member has.
    asleep: Option<DataState>,
    /// The template its Pod was made from.
    template: u32,
    /// Why nothing runs in its Pod.
    pub(super) held_up: Option<TroubleKind>,
    /// Whether its Pod was ready, and since when.
    readiness: (bool, jiff::Timestamp),
    /// How often its container was started again.
    pub(super) restarts: u32,
}

impl Member {
    /// Executes these transactions.
    pub(super) fn executes(&mut self, text: &str) {
        add(&mut self.state, text);
    }

    /// mysqld starts with all it has: recovery commits whatever waited.
    fn wake(&mut self) {
        self.reigned = None;
        if let Some(data) = self.asleep.take() {
            self.state.data = Some(data);
            self.state.server = ServerPhase::Running;
        }
    }
}

pub(super) fn set(text: &str) -> GtidSet {
    GtidSet::parse(text).unwrap()
}

/// A server UUID that was never used before: a volume that is made anew or cloned gets one (ADR 0008).
fn uuid(name: &str, incarnation: u64) -> String {
    let ordinal = crate::names::ordinal(name).unwrap_or(0);
    format!("0000000{ordinal}-0000-0000-0000-{incarnation:012}")
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
            ages: Ages::by_steady_clock(&self.object, pods.values(), self.now),
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

    /// Delivers an order, if its member runs.
    pub(super) fn receive(&mut self, order: &Order) {
        let blocked_donor = match &order.action {
            Action::Clone { donor, .. } => {
                !self.members[donor].up || self.members[donor].state.data.is_none()
            }
            _ => false,
        };
        if self.members.get(&order.instance).is_none_or(|member| !member.up) || blocked_donor {
            return;
        }
        self.obey(order);
    }

    fn obey(&mut self, order: &Order) {
        let source_data = match &order.action {
            Action::Follow { source: other, .. } | Action::Clone { donor: other, .. } => {
                self.members[other].state.data.clone()
            }
            _ => None,
        };
        let source_up = match &order.action {
            Action::Follow { source, .. } => self.members[source].up,
            _ => true,
        };
        let ackers = self.ackers(&order.instance);
        let member = self.members.get_mut(&order.instance).unwrap();
        let state = &mut member.state;
        if order.volume.as_ref().is_some_and(|volume| *volume != state.volume) || order.term < state.promised
        {
            return;
        }
        let old_claim = order
            .claim
            .as_ref()
            .zip(state.claim.as_ref())
            .is_some_and(|(sent, known)| sent.version < known.version);
        // Without a server nothing comes of an order.
        if old_claim || order.seen != state.seen() || matches!(state.server, ServerPhase::Failed { .. }) {
            return;
        }
        state.promised = order.term;
        state.goal += 1;
        if let Some(claim) = &order.claim
            && state.claim.as_ref().is_none_or(|known| known.version < claim.version)
        {
            state.claim = Some(claim.clone());
        }
        let rejoins =
            matches!((&member.asleep, &order.action), (Some(_), Action::Follow { keep: Some(_), .. }));
        member.wake();
        if rejoins {
            self.cut(order);
        }
        let member = self.members.get_mut(&order.instance).unwrap();
        act(&mut member.state, order, source_data, ackers, source_up);
        if let Action::Promote { k, .. } = order.action {
            member.reigned = (k > 0).then_some(order.term);
            let record = format!("{}:{}", member.state.server_uuid.clone().unwrap(), order.term);
            self.records.push((set(&record), order.term));
            self.waits_for.insert(order.instance.clone(), k);
            // The term record, and with it everything older, reaches those whose acknowledgement proves k.
            self.deliver(&order.instance);
        }
    }

    /// A held member loses what it may not keep, and with it perhaps its own term's record; it is a new server then.
    fn cut(&mut self, order: &Order) {
        let Action::Follow { keep: Some(keep), .. } = &order.action else {
            return;
        };
        self.next_transaction += 1;
        let fresh = uuid(&order.instance, 2_000_000 + self.next_transaction);
        let member = self.members.get_mut(&order.instance).unwrap();
        let data = member.state.data.as_mut().unwrap();
        let before = set(&data.executed);
        let kept = before.intersect(&set(keep));
        data.history =
            (self.records.iter().filter(|(record, _)| kept.contains(record)).map(|(_, term)| *term))
                .max()
                .unwrap_or(0);
        data.executed = kept.to_string();
        data.retrieved.clone_from(&data.executed);
        member.state.server_uuid = Some(fresh);
        self.rejoined = (self.rejoined.0 + 1, self.rejoined.1 + before.subtract(&kept).count());
    }

    fn ackers(&self, primary: &str) -> i32 {
        let acknowledges = |member: &&Member| {
            member.up
                && matches!(&member.state.role, Role::Replica { source, receiving: true, acknowledging: true, .. } if source == primary)
        };
        i32::try_from(self.members.values().filter(acknowledges).count()).unwrap()
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

fn act(state: &mut MemberState, order: &Order, source: Option<DataState>, ackers: i32, source_up: bool) {
    match &order.action {
        Action::Seal => {
            state.role = Role::Sealed { term: order.term };
            state.data.as_mut().unwrap().settled = true;
        }
        Action::Promote { k, admit } => {
            let data = state.data.as_mut().unwrap();
            if data.history != order.term {
                let text = format!("{}:{}", state.server_uuid.clone().unwrap(), order.term);
                data.executed = set(&data.executed).union(&set(&text)).to_string();
                data.history = order.term;
            }
            let proven_k = (ackers >= *k).then_some(*k);
            state.role =
                Role::Primary { term: order.term, proven_k, admitting: *admit && proven_k.is_some() };
        }
        Action::Follow { source: from, acknowledge, .. } => {
            let diverged = source.is_some_and(|data| {
                !set(&data.executed).contains(&set(&state.data.as_ref().unwrap().executed))
            });
            assert!(!diverged, "{} was told to follow although it diverged", order.instance);
            state.role = Role::Replica {
                term: order.term,
                source: from.clone(),
                receiving: source_up,
                hearing: source_up,
                applying: true,
                acknowledging: *acknowledge,
                lag_seconds: Some(0),
                lagging: false,
                error: String::new(),
                needs_clone: false,
            };
        }
        Action::Clone { .. } => {
            assert!(
                order.claim.as_ref().unwrap().members.iter().all(|member| member.volume != state.volume),
                "cloned a member of the claim"
            );
            state.data = source;
            // Its own numbers may be used by somebody else's past: a clone is a new server.
            let lives = state
                .server_uuid
                .as_ref()
                .and_then(|text| text.rsplit('-').next()?.parse::<u64>().ok())
                .unwrap_or(0);
            state.server_uuid = Some(uuid(&order.instance, lives + 1_000_000));
            state.role = Role::Idle;
        }
        Action::Adopt { .. } => {
            order.cluster.clone_into(&mut state.cluster);
            state.server = ServerPhase::Running;
        }
        Action::Begin { request, .. } => {
            let executed = format!("{}:1", state.server_uuid.clone().unwrap());
            state.data = Some(DataState { executed, settled: true, ..DataState::default() });
            state.replaced_by.clone_from(request);
        }
        Action::Restore { request, .. } => {
            let data = DataState {
                executed: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-50".to_owned(),
                history: 7,
                settled: true,
                ..DataState::default()
            };
            (state.data, state.replaced_by) = (Some(data), request.clone());
        }
        Action::TakeOver { request, .. } => {
            order.cluster.clone_into(&mut state.cluster);
            let executed = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-50".to_owned();
            let data = DataState { executed, history: 7, settled: true, ..DataState::default() };
            (state.data, state.replaced_by) = (Some(data), request.clone());
            state.server = ServerPhase::Running;
        }
        Action::Shutdown => state.server = ServerPhase::Stopped,
    }
}

fn add(state: &mut MemberState, text: &str) {
    let data = state.data.as_mut().unwrap();
    data.executed = set(&data.executed).union(&set(text)).to_string();
}

fn blank(name: &str, volume: &str) -> Member {
    let state = MemberState {
        cluster: "c1a5ter".to_owned(),
        instance: name.to_owned(),
        volume: volume.to_owned(),
        server: ServerPhase::Running,
        server_uuid: Some(uuid(name, 0)),
        version: Some("9.7.4".to_owned()),
        data: Some(DataState { settled: true, ..DataState::default() }),
        ..MemberState::default()
    };
    let claim = ClaimView {
        uid: format!("claim-of-{name}"),
        bound: true,
        size_bytes: 20 << 30,
        ..ClaimView::default()
    };
    Member {
        state,
        up: true,
        ends: false,
        claim,
        reigned: None,
        asleep: None,
        template: 0,
        held_up: None,
        readiness: (false, jiff::Timestamp::UNIX_EPOCH),
        restarts: 0,
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
