//! Asks every member for its state, all at the same time, each under its own limit.

use crate::agents::{self, AgentError, Member};
use crate::context::Context;
use crate::facts::{PodFacts, key_of};
use crate::news::Subject;
use futures::future::{join, join_all, pending};
use kube::ResourceExt;
use porpoise_core::names::ClusterNames;
use porpoise_core::protocol::{MemberState, Role};
use porpoise_core::view::Look;
use porpoise_crds::MySQLCluster;
use porpoise_link::{AgentClient, LinkError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// More time for a primary that a replica does not hear.
const LITTLE_MORE: Duration = Duration::from_millis(200);

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
    let ask = |instance: &String, limit| ask(client.as_ref(), names, pods, instance.clone(), limit);
    let asked = instances.iter().zip(&patience).map(|(one, limit)| ask(one, *limit)).collect();
    let mut answers = gather(asked, place_of_primary(object, &instances)).await;
    if let Some(place) = primary_to_ask_again(object, &instances, &answers)
        && let (Some(primary), Some(limit)) = (instances.iter().nth(place), patience.get(place))
    {
        answers[place] = ask(primary, *limit).await;
    }
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
    State(Box<MemberState>),
}

fn instances(object: &MySQLCluster, pods: &Pods) -> BTreeSet<String> {
    let claim = object.status.as_ref().and_then(|status| status.quorum.as_ref());
    let claimed = claim.into_iter().flat_map(|claim| &claim.members).map(|member| member.name.clone());
    pods.keys().cloned().chain(claimed).collect()
}

/// Place of the primary when a member of the claim answers with another volume than the claim's. That volume may have
/// acknowledged commits until a moment ago, and what the primary told before that says nothing about them (I1).
fn primary_to_ask_again(
    object: &MySQLCluster,
    instances: &BTreeSet<String>,
    answers: &[Answer],
) -> Option<usize> {
    let status = object.status.as_ref()?;
    let claimed = |name: &str| status.quorum.as_ref()?.members.iter().find(|member| member.name == name);
    let is_lost = |(name, answer): (&String, &Answer)| match (claimed(name), answer) {
        (Some(member), Answer::State(state)) => state.volume != member.volume,
        _ => false,
    };
    instances.iter().zip(answers).any(is_lost).then(|| place_of_primary(object, instances))?
}

fn place_of_primary(object: &MySQLCluster, instances: &BTreeSet<String>) -> Option<usize> {
    let primary = object.status.as_ref()?.primary.as_ref()?;
    instances.iter().position(|name| name == primary)
}

/// All answers, in the order of the questions. Once all the others have answered and one of them does not hear the primary,
/// it is most likely gone, and gets only [`LITTLE_MORE`]: the time to find out is time without writes. Whether it is gone is
/// decided elsewhere.
async fn gather(mut questions: Vec<impl Future<Output = Answer>>, primary: Option<usize>) -> Vec<Answer> {
    let Some(place) = primary else {
        return join_all(questions).await;
    };
    let to_primary = questions.remove(place);
    let (tell, told) = oneshot::channel();
    let others = async {
        let answers = join_all(questions).await;
        let _ = tell.send(is_unheard(&answers));
        answers
    };
    let little_more = async {
        match told.await {
            Ok(true) => sleep(LITTLE_MORE).await,
            _ => pending().await,
        }
    };
    let from_primary = async {
        tokio::select! {
            answer = to_primary => answer,
            () = little_more => {
                let reason = "it has not answered yet, and a replica does not hear it".to_owned();
                Answer::Silent { reason, distrusted: false }
            }
        }
    };
    let (mut answers, answer) = join(others, from_primary).await;
    answers.insert(place, answer);
    answers
}

/// Whether some replica does not hear its source. They notice it one after the other, within a heartbeat's time.
fn is_unheard(answers: &[Answer]) -> bool {
    answers.iter().any(|answer| match answer {
        Answer::State(state) => matches!(state.role, Role::Replica { hearing: false, .. }),
        Answer::Absent | Answer::Silent { .. } => false,
    })
}

async fn ask(
    client: Result<&AgentClient, &AgentError>,
    names: &ClusterNames,
    pods: &Pods,
    instance: String,
    limit: Duration,
) -> Answer {
    let running = pods.get(&instance).filter(|pod| pod.running);
    let Some(address) = running.and_then(|pod| pod.view.address.as_deref()) else {
        return Answer::Absent;
    };
    let client = match client {
        Ok(client) => client,
        Err(error) => return Answer::Silent { reason: agents::reason(error), distrusted: false },
    };
    match agents::state(client, names, Member { instance: &instance, address }, limit).await {
        Ok(state) => heard(&instance, address, state),
        Err(error) => Answer::Silent {
            distrusted: matches!(&error, AgentError::CallAgent { source: LinkError::AgreeOnTls { .. }, .. }),
            reason: agents::reason(&error),
        },
    }
}

/// Two Pods claim one identity, or an address passed from one to another a moment ago. What such an agent says is of somebody
/// else.
fn heard(instance: &str, address: &str, state: MemberState) -> Answer {
    if state.instance == instance {
        return Answer::State(Box::new(state));
    }
    let other = state.instance;
    let reason = format!(
        "the agent at {address}, the address of the Pod {instance}, says it is {other}; delete the Pod if this lasts"
    );
    Answer::Silent { distrusted: false, reason }
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

#[cfg(test)]
mod tests {
    use super::*;
    use porpoise_crds::{MySQLClusterSpec, MySQLClusterStatus, Quorum, QuorumMember};

    fn object() -> MySQLCluster {
        let members = ["shop-0", "shop-1", "shop-2"]
            .map(|name| QuorumMember { name: name.to_owned(), volume: format!("volume-of-{name}") });
        let mut object = MySQLCluster::new("shop", MySQLClusterSpec::default());
        object.status = Some(MySQLClusterStatus {
            primary: Some("shop-1".to_owned()),
            quorum: Some(Quorum { members: members.to_vec(), k: 1, version: 4 }),
            ..MySQLClusterStatus::default()
        });
        object
    }

    fn state(volume: &str) -> Answer {
        Answer::State(Box::new(MemberState { volume: volume.to_owned(), ..MemberState::default() }))
    }

    #[test]
    fn the_primary_is_asked_again_when_a_claimed_volume_is_lost() {
        let object = object();
        let instances = instances(&object, &Pods::new());
        let well = || vec![state("volume-of-shop-0"), state("volume-of-shop-1"), Answer::Absent];
        assert_eq!(primary_to_ask_again(&object, &instances, &well()), None);
        let mut lost = well();
        lost[0] = state("another");
        assert_eq!(primary_to_ask_again(&object, &instances, &lost), Some(1));
    }

    fn replica(hearing: bool) -> Answer {
        let role = Role::Replica {
            term: 1,
            source: "shop-1".to_owned(),
            receiving: true,
            hearing,
            applying: true,
            acknowledging: true,
            lag_seconds: None,
            lagging: false,
            error: String::new(),
            needs_clone: false,
        };
        Answer::State(Box::new(MemberState { role, ..MemberState::default() }))
    }

    /// A primary that answers after `time`, asked beside these.
    async fn asked_beside(others: [bool; 2], time: Duration) -> (Vec<Answer>, Duration) {
        let questions =
            [(replica(others[0]), Duration::ZERO), (state("v"), time), (replica(others[1]), LITTLE_MORE)];
        let asked = questions.map(|(answer, time)| async move {
            sleep(time).await;
            answer
        });
        let began = tokio::time::Instant::now();
        (gather(asked.into(), Some(1)).await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_is_not_heard_is_hardly_waited_for() {
        for others in [[false, false], [false, true]] {
            let (answers, took) = asked_beside(others, Duration::from_secs(9)).await;
            assert!(matches!(answers[..], [Answer::State(_), Answer::Silent { .. }, Answer::State(_)]));
            assert_eq!(took.as_millis(), 2 * LITTLE_MORE.as_millis());
        }
        for (others, time) in [([true, true], Duration::from_secs(9)), ([false, false], LITTLE_MORE)] {
            let (answers, took) = asked_beside(others, time).await;
            assert!(matches!(&answers[1], Answer::State(primary) if primary.volume == "v"));
            assert_eq!(took, time, "{others:?}");
        }
    }

    #[test]
    fn an_agent_under_the_wrong_address_speaks_for_nobody() {
        let state = |instance: &str| MemberState { instance: instance.to_owned(), ..MemberState::default() };
        assert!(matches!(heard("shop-1", "198.18.0.9", state("shop-1")), Answer::State(_)));
        let Answer::Silent { reason, .. } = heard("shop-1", "198.18.0.9", state("shop-2")) else {
            panic!("the answer of shop-2 passes for that of shop-1");
        };
        assert!(["shop-1", "shop-2", "198.18.0.9"].iter().all(|word| reason.contains(word)), "{reason}");
    }
}
