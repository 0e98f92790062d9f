//! What members of the small world do with an order.

use super::member::{Member, uuid};
use super::{World, set};
use crate::protocol::{Action, DataState, MemberState, Order, Role, ServerPhase};

impl World {
    /// Delivers an order, if its member runs.
    pub(in crate::decide::tests) fn receive(&mut self, order: &Order) {
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

    /// How many replicas acknowledge what this member commits.
    pub(super) fn ackers(&self, primary: &str) -> i32 {
        let acknowledges = |member: &&Member| {
            member.up
                && matches!(&member.state.role, Role::Replica { source, receiving: true, acknowledging: true, .. } if source == primary)
        };
        i32::try_from(self.members.values().filter(acknowledges).count()).unwrap()
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
            let purged = executed.clone();
            let data = DataState { executed, purged, history: 7, settled: true, ..DataState::default() };
            (state.data, state.replaced_by) = (Some(data), request.clone());
            (state.claim, state.promised) = (None, 0);
            state.server = ServerPhase::Running;
        }
        Action::Shutdown => state.server = ServerPhase::Stopped,
    }
}
