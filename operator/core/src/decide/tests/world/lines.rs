//! Volumes of several lines of data, and the `StatefulSet` whose Pods mount them.

use super::World;
use super::member::{Member, blank, uuid};
use crate::decide::plan;
use crate::fixture;
use crate::line::{self, FIRST, Line};
use crate::plan::{Deletion, Desired, Plan};
use crate::view::ClaimView;
use k8s_openapi::api::apps::v1::StatefulSet;
use std::collections::BTreeMap;

/// The `StatefulSet`, and the volumes that nobody mounts.
#[derive(Default)]
pub(in crate::decide::tests) struct Sets {
    /// Whether this world has a `StatefulSet` at all.
    pub(super) follows: bool,
    pub(super) stored: Option<StatefulSet>,
    mounted: Line,
    shelf: BTreeMap<Line, BTreeMap<String, Member>>,
}

impl World {
    /// From now on Pods run as the `StatefulSet` of the plans says.
    pub(in crate::decide::tests) fn follow_sets(&mut self) {
        self.sets = Sets { follows: true, mounted: FIRST, ..Sets::default() };
    }

    /// Volumes of a line that is not mounted.
    pub(in crate::decide::tests) fn shelved(&self, line: Line) -> &BTreeMap<String, Member> {
        &self.sets.shelf[&line]
    }

    /// The line whose volumes are mounted.
    pub(in crate::decide::tests) fn mounted(&self) -> Line {
        self.sets.mounted
    }

    fn volumes(&self) -> impl Iterator<Item = (Line, &String, &ClaimView)> + Clone {
        let mounted = [(self.sets.mounted.max(FIRST), &self.members)];
        let all = mounted.into_iter().chain(self.sets.shelf.iter().map(|(line, members)| (*line, members)));
        all.flat_map(|(line, members)| members.iter().map(move |(name, member)| (line, name, &member.claim)))
    }

    /// The claims of this line by instance.
    pub(super) fn claims(&self, line: Line) -> BTreeMap<String, ClaimView> {
        let ours = self.volumes().filter(|(of, _, _)| *of == line);
        ours.map(|(_, name, claim)| (name.clone(), claim.clone())).collect()
    }

    /// The claims of all lines but this one, by their own name.
    pub(super) fn other_claims(&self, line: Line) -> BTreeMap<String, ClaimView> {
        let others = self.volumes().filter(|(of, _, _)| *of != line);
        others.map(|(of, name, claim)| (line::claim(of, name), claim.clone())).collect()
    }

    pub(super) fn line(&self) -> Line {
        let claims = self.volumes().map(|(line, _, claim)| (line, claim));
        line::current(&self.object, self.sets.stored.as_ref(), claims)
    }

    /// What Kubernetes makes of the plan's `StatefulSet`.
    pub(super) fn follow_set(&mut self, plan: &Plan) {
        let is_end = |deletion: &Deletion| matches!(deletion, Deletion::StatefulSet { name, orphan: false } if name == "shop");
        if plan.deletions.iter().any(is_end) {
            self.sets.stored = None;
            self.stop_from(0);
        }
        let wanted = plan.objects.iter().find_map(|object| match object {
            Desired::StatefulSet(set) if set.metadata.name.as_deref() == Some("shop") => {
                Some((**set).clone())
            }
            _ => None,
        });
        let Some(wanted) = wanted else { return };
        let of = line::of_stateful_set(&wanted).unwrap();
        let before =
            self.sets.stored.as_ref().map(|set| (line::of_stateful_set(set).unwrap(), replicas(set)));
        assert!(before.is_none_or(|(line, _)| line == of), "a claim template cannot be changed");
        self.mount(of);
        let (before, now) = (before.map_or(0, |(_, replicas)| replicas), replicas(&wanted));
        self.stop_from(now);
        for ordinal in before.min(now)..now {
            self.start(&format!("shop-{ordinal}"), of);
        }
        self.sets.stored = Some(wanted);
    }

    fn mount(&mut self, line: Line) {
        if line != self.sets.mounted {
            let members = self.sets.shelf.remove(&line).unwrap_or_default();
            let former = std::mem::replace(&mut self.members, members);
            self.sets.shelf.insert(self.sets.mounted, former);
            self.sets.mounted = line;
        }
    }

    fn start(&mut self, name: &str, line: Line) {
        if self.members.contains_key(name) {
            self.crash(name);
            return self.boot(name);
        }
        let mut fresh = blank(name, &format!("{}-of-{name}", line::data_volume(line)));
        fresh.state.server_uuid = Some(uuid(name, 5_000_000 + u64::try_from(line).unwrap()));
        self.members.insert(name.to_owned(), fresh);
    }

    fn stop_from(&mut self, replicas: u32) {
        let gone = |name: &String| crate::names::ordinal(name).is_some_and(|ordinal| ordinal >= replicas);
        for (_, member) in self.members.iter_mut().filter(|(name, _)| gone(name)) {
            member.up = false;
        }
    }

    /// A pass of an operator that dies: of its writes only the status stands, or everything but the status. A record goes
    /// nowhere without the status.
    pub(in crate::decide::tests) fn broken_pass(&mut self, status_alone: bool) {
        let plan = plan(&self.view(), &fixture::settings());
        self.now += jiff::SignedDuration::from_millis(250);
        if status_alone {
            self.store(&plan);
        } else if plan.record.is_none() {
            self.follow_set(&plan);
            for order in &plan.orders {
                self.receive(order);
            }
        }
    }
}

fn replicas(set: &StatefulSet) -> u32 {
    u32::try_from(set.spec.as_ref().unwrap().replicas.unwrap()).unwrap()
}
