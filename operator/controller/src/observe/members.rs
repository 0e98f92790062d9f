//! Asks every member for its state, all at the same time, each under its own limit.

use crate::agents::{self, AgentError, Member};
use crate::context::Context;
use crate::facts::{PodFacts, key_of};
use crate::news::Subject;
use futures::future::join_all;
use kube::ResourceExt;
use porpoise_core::names::ClusterNames;
use porpoise_core::view::Look;
use porpoise_crds::MySQLCluster;
use porpoise_link::{AgentClient, LinkError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

type Pods = BTreeMap<String, Arc<PodFacts>>;

/// One look per instance that has a Pod or stands in the claim.
pub(super) async fn look(
    context: &Context,
    object: &MySQLCluster,
    names: &ClusterNames,
    pods: &Pods,
) -> BTreeMap<String, Look> {
    let uid = object.uid().unwrap_or_default();
    let instances = instances(object, pods);
    if !pods.values().any(|pod| pod.running) {
        return instances.into_iter().map(|instance| (instance, Look::Absent)).collect();
    }
    let client = context.agents.client(&context.clients.general, &uid, names).await;
    let patience = context
        .memories
        .of(&uid, |memory| instances.iter().map(|instance| memory.patience(instance)).collect::<Vec<_>>());
    let looks = join_all(instances.iter().zip(patience).map(|(instance, limit)| {
        let address =
            pods.get(instance).filter(|pod| pod.running).and_then(|pod| pod.view.address.as_deref());
        ask(client.as_ref(), names, instance, address, limit)
    }));
    let answers = looks.await;
    if answers.iter().any(is_distrusted) {
        // Perhaps the CA is another one by now: read it again next time.
        context.agents.forget(&uid);
        context.news.forget(&uid);
    } else if let Ok(client) = &client {
        let touch = context.touches.of(&key_of(object));
        context.news.follow(&Subject { uid: &uid, names, client, touch: &touch }, &addresses(pods));
    }
    context.memories.of(&uid, |memory| {
        memory.answered.retain(|instance, _| instances.contains(instance));
        instances
            .iter()
            .cloned()
            .zip(answers)
            .map(|(instance, answer)| {
                let look = remember(memory, &instance, answer);
                (instance, look)
            })
            .collect()
    })
}

/// Where agents run.
fn addresses(pods: &Pods) -> BTreeMap<String, String> {
    let running = pods.iter().filter(|(_, pod)| pod.running);
    running.filter_map(|(instance, pod)| Some((instance.clone(), pod.view.address.clone()?))).collect()
}

enum Answer {
    Absent,
    Silent { reason: String, distrusted: bool },
    State(Box<porpoise_core::protocol::MemberState>),
}

fn instances(object: &MySQLCluster, pods: &Pods) -> BTreeSet<String> {
    let claim = object.status.as_ref().and_then(|status| status.quorum.as_ref());
    let claimed = claim.into_iter().flat_map(|claim| &claim.members).map(|member| member.name.clone());
    pods.keys().cloned().chain(claimed).collect()
}

async fn ask(
    client: Result<&AgentClient, &AgentError>,
    names: &ClusterNames,
    instance: &str,
    address: Option<&str>,
    limit: Duration,
) -> Answer {
    let Some(address) = address else {
        return Answer::Absent;
    };
    let client = match client {
        Ok(client) => client,
        Err(error) => return Answer::Silent { reason: agents::reason(error), distrusted: false },
    };
    match agents::state(client, names, Member { instance, address }, limit).await {
        Ok(state) => Answer::State(Box::new(state)),
        Err(error) => Answer::Silent {
            distrusted: matches!(&error, AgentError::CallAgent { source: LinkError::AgreeOnTls { .. }, .. }),
            reason: agents::reason(&error),
        },
    }
}

fn is_distrusted(answer: &Answer) -> bool {
    matches!(answer, Answer::Silent { distrusted: true, .. })
}

fn remember(memory: &mut crate::memory::Memory, instance: &str, answer: Answer) -> Look {
    match answer {
        Answer::Absent => Look::Absent,
        Answer::Silent { reason, .. } => Look::Silent { reason, lasting: memory.silent_for(instance) },
        Answer::State(state) => {
            memory.heard(instance);
            Look::Answered(state)
        }
    }
}
