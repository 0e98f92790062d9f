//! What members are told about the archive: last of all, since it moves nothing. What came of it is seen in the next look.

use super::Pass;
use crate::agents::{self, AgentError, Member};
use futures::future::join_all;
use porpoise_core::backup::ArchiveOrder;
use porpoise_core::plan::Plan;
use porpoise_core::protocol::OrderAnswer;
use porpoise_link::{AgentClient, LinkError};
use std::time::Duration;
use tokio::time::Instant;

/// Name in metrics.
const ARCHIVE: &str = "Archive";
/// A member that did not take it is told again after this time: passes follow each other faster than that.
const AGAIN: Duration = Duration::from_secs(5);

impl Pass<'_> {
    /// Never fails a pass: the cluster serves without an archive, and the condition `BackupReady` says how it stands.
    pub(super) async fn tell_archive(&self, plan: &Plan) {
        if plan.archive.is_empty() || self.was_refused_just_now() || !self.context.leadership.is_held() {
            return;
        }
        let client = self.context.agents.client(&self.context.clients.general, &self.uid, &self.names).await;
        let told = match &client {
            Ok(client) => join_all(plan.archive.iter().map(|order| self.tell(client, order))).await,
            Err(error) => {
                tracing::warn!(
                    cluster = self.names.cluster(),
                    namespace = self.names.namespace(),
                    error = agents::reason(error),
                    "cannot tell anybody about the archive"
                );
                return;
            }
        };
        let refusal = told.into_iter().flatten().next();
        let refusal = refusal.map(|reason| (Instant::now(), reason));
        self.context.memories.of(&self.uid, |memory| memory.archive_refusal = refusal);
    }

    fn was_refused_just_now(&self) -> bool {
        let refused = |(when, _): &(Instant, String)| when.elapsed() < AGAIN;
        self.context.memories.of(&self.uid, |memory| memory.archive_refusal.as_ref().is_some_and(refused))
    }

    /// Why it was not taken, if so.
    async fn tell(&self, client: &AgentClient, order: &ArchiveOrder) -> Option<String> {
        let instance = &order.instance;
        let pod = self.observation.view.pods.get(instance);
        let address = pod.and_then(|pod| pod.address.as_deref()).unwrap_or_default();
        let answer = agents::archive(client, &self.names, Member { instance, address }, order).await;
        self.context.metrics.ordered(ARCHIVE, super::orders::result(&answer));
        let refusal = refusal(answer);
        let (cluster, namespace, on) =
            (self.names.cluster(), self.names.namespace(), order.settings.is_some());
        match &refusal {
            None => tracing::info!(cluster, namespace, instance, on, "told about the archive"),
            Some(reason) => {
                tracing::warn!(cluster, namespace, instance, on, reason, "not told about the archive");
            }
        }
        refusal
    }
}

/// Why it was not taken, in a sentence.
fn refusal(answer: Result<OrderAnswer, AgentError>) -> Option<String> {
    match answer {
        Ok(OrderAnswer::Accepted) => None,
        Ok(OrderAnswer::Refused { reason, .. }) => Some(reason),
        Err(error @ AgentError::CallAgent { source: LinkError::RefuseRequest { .. }, .. }) => Some(format!(
            "{}; an agent of an older release cannot archive: it can once its Pod has restarted",
            agents::reason(&error)
        )),
        Err(error) => Some(format!("{}; tried again", agents::reason(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = OrderAnswer::Refused { promised: 0, reason: "another cluster".to_owned() };
        let call = |source| AgentError::CallAgent { instance: "shop-0".to_owned(), source };
        let old = LinkError::RefuseRequest { status: StatusCode::NOT_FOUND, text: "no such path".to_owned() };
        let late = LinkError::AwaitAnswer { limit: Duration::from_secs(2) };
        for (answer, words) in [
            (Ok(refused), "another cluster"),
            (Err(call(old)), "once its Pod has restarted"),
            (Err(call(late)), "tried again"),
        ] {
            let reason = refusal(answer).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
        assert_eq!(refusal(Ok(OrderAnswer::Accepted)), None);
    }
}
