//! One long question per running member (ADR 0011): an agent answers when it has news, and when it ends the connection
//! breaks. Either way its cluster is looked at at once. News is only ever a reason to look; what is decided on is asked
//! for in the pass itself.

use crate::agents;
use crate::watch::Touch;
use porpoise_core::names::ClusterNames;
use porpoise_link::AgentClient;
use porpoise_link::client::STATE_LIMIT;
use rand::Rng;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Shortest and longest pause before a member that did not answer is asked again.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Questions that are open, by cluster and instance.
#[derive(Default)]
pub struct News {
    open: Mutex<HashMap<String, BTreeMap<String, Question>>>,
}

struct Question {
    address: String,
    task: AbortHandle,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whose members are asked, how, and who is told.
pub struct Subject<'a> {
    /// UID of the cluster.
    pub uid: &'a str,
    /// Its names.
    pub names: &'a ClusterNames,
    /// The way to its agents.
    pub client: &'a AgentClient,
    /// Has the cluster looked at.
    pub touch: &'a Touch,
}

impl News {
    /// Asks exactly the members at these addresses, each once.
    pub fn follow(&self, subject: &Subject<'_>, addresses: &BTreeMap<String, String>) {
        let mut open = self.lock();
        let questions = open.entry(subject.uid.to_owned()).or_default();
        questions.retain(|instance, question| {
            addresses.get(instance) == Some(&question.address) && !question.task.is_finished()
        });
        for (instance, address) in addresses {
            questions.entry(instance.clone()).or_insert_with(|| ask(subject, instance, address));
        }
    }

    /// The cluster is gone, or its CA is another one: nobody is asked until the next [`Self::follow`].
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, BTreeMap<String, Question>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(subject: &Subject<'_>, instance: &str, address: &str) -> Question {
    let asker = Asker {
        client: subject.client.clone(),
        names: subject.names.clone(),
        instance: instance.to_owned(),
        address: address.to_owned(),
        touch: subject.touch.clone(),
    };
    Question { address: address.to_owned(), task: tokio::spawn(asker.run()).abort_handle() }
}

struct Asker {
    client: AgentClient,
    names: ClusterNames,
    instance: String,
    address: String,
    touch: Touch,
}

impl Asker {
    /// For ever; ended by being dropped.
    async fn run(self) {
        let mut known: Option<(String, u64)> = None;
        let mut pause = FIRST;
        loop {
            let member = agents::Member { instance: &self.instance, address: &self.address };
            let answer = match &known {
                Some((process, change)) => {
                    agents::news(&self.client, &self.names, member, (process.as_str(), *change)).await
                }
                None => agents::state(&self.client, &self.names, member, STATE_LIMIT).await,
            };
            let heard = answer.ok().map(|state| (state.process, state.change));
            if heard != known {
                self.touch.now();
            }
            if heard.is_some() {
                pause = FIRST;
            } else {
                tokio::time::sleep(jittered(pause)).await;
                pause = (pause * 2).min(LONGEST);
            }
            known = heard;
        }
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
