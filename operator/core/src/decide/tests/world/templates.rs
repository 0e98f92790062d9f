//! Pod templates of the small world, and what is wrong with some of them.

use super::member::Member;
use super::{World, node_of};
use crate::protocol::{Role, ServerPhase};
use crate::view::{ClusterView, PodView, Trouble, TroubleKind};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Why no member works with a template.
#[derive(Clone, Copy, Debug)]
pub(in crate::decide::tests) enum Flaw {
    /// The image cannot be pulled.
    Image,
    /// mysqld refuses its settings.
    Setting,
    /// The applier stops with an error.
    Applier,
}

impl World {
    /// Kubernetes' words about Pods in which nothing can run.
    pub(in crate::decide::tests) fn troubles(&self) -> Vec<Trouble> {
        let held_up = self.members.iter().filter_map(|(name, member)| Some((name, member.held_up?)));
        held_up
            .map(|(name, kind)| Trouble {
                kind,
                about: format!("Pod {name}"),
                message: "Kubernetes' words".to_owned(),
            })
            .collect()
    }

    /// The spec asks for another template from now on; with a flaw no member works with it.
    pub(in crate::decide::tests) fn change_template(&mut self, flaw: Option<Flaw>) -> u32 {
        self.template = self.flaws.len().try_into().unwrap();
        self.flaws.push(flaw);
        self.template
    }

    /// The spec is what it was.
    pub(in crate::decide::tests) fn change_back(&mut self, template: u32) {
        self.template = template;
    }

    /// The Pod is made anew from the present template.
    pub(in crate::decide::tests) fn replace(&mut self, name: &str) {
        self.crash(name);
        let (template, now) = (self.template, self.now);
        let flaw = self.flaw_of(template);
        let member = self.member(name);
        (member.template, member.held_up, member.readiness) = (template, None, (false, now));
        match flaw {
            Some(Flaw::Image) => member.held_up = Some(TroubleKind::ImageUnavailable),
            Some(Flaw::Setting) => {
                member.up = true;
                member.asleep = member.asleep.take().or_else(|| member.state.data.take());
                member.state.server =
                    ServerPhase::Failed { reason: "mysqld exited: unknown variable".to_owned() };
            }
            Some(Flaw::Applier) | None => {
                self.boot(name);
                let member = self.member(name);
                member.state.data = member.asleep.take().or_else(|| member.state.data.take());
                member.state.server = ServerPhase::Running;
            }
        }
    }

    /// What is seen when the Pods of `old` were made from a former template.
    pub(in crate::decide::tests) fn view_with_old(&self, old: &[&str]) -> ClusterView {
        let mut view = self.view();
        view.stateful_set = Some(stateful_set(1));
        for (name, pod) in &mut view.pods {
            pod.revision = Some(format!("template-{}", u32::from(!old.contains(&name.as_str()))));
        }
        view
    }

    fn flaw_of(&self, template: u32) -> Option<Flaw> {
        self.flaws[usize::try_from(template).unwrap()]
    }

    /// Notes when Pods became ready or ceased to be, and breaks what cannot follow.
    pub(in crate::decide::tests) fn watch_readiness(&mut self) {
        let now = self.now;
        let flaws = self.flaws.clone();
        for member in self.members.values_mut() {
            let flaw = flaws[usize::try_from(member.template).unwrap()];
            if let (Some(Flaw::Applier), Role::Replica { applying, error, .. }) =
                (flaw, &mut member.state.role)
            {
                *applying = false;
                "cannot apply".clone_into(error);
            }
            let ready = is_ready(member);
            if ready != member.readiness.0 {
                member.readiness = (ready, now);
            }
        }
    }
}

fn is_ready(member: &Member) -> bool {
    match &member.state.role {
        Role::Primary { admitting, .. } => *admitting,
        Role::Replica { receiving, applying, .. } => *receiving && *applying,
        Role::Idle | Role::Sealed { .. } => false,
    }
}

/// Its Pod as Kubernetes tells of it.
pub(super) fn pod(name: &str, member: &Member) -> PodView {
    PodView {
        uid: format!("pod-{name}"),
        address: Some("198.18.0.9".to_owned()),
        node: Some(node_of(name)),
        ready: is_ready(member),
        ready_changed: Some(member.readiness.1),
        terminating: member.ends,
        restarts: member.restarts,
        held_up: member.held_up,
        revision: Some(format!("template-{}", member.template)),
        ..PodView::default()
    }
}

/// The set whose newest template this is.
pub(super) fn stateful_set(template: u32) -> StatefulSet {
    StatefulSet {
        metadata: ObjectMeta { generation: Some(2), ..ObjectMeta::default() },
        status: Some(StatefulSetStatus {
            observed_generation: Some(2),
            update_revision: Some(format!("template-{template}")),
            ..StatefulSetStatus::default()
        }),
        ..StatefulSet::default()
    }
}
