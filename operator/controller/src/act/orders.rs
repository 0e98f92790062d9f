//! Orders to agents: all at the same time, each under its own limit. What an order did is seen in the next look.

use super::{ActError, Pass};
use crate::agents::{self, AgentError, Member};
use futures::future::join_all;
use porpoise_core::plan::Plan;
use porpoise_core::protocol::{Order, OrderAnswer};
use porpoise_link::AgentClient;

impl Pass<'_> {
    pub(super) async fn give_orders(&self, plan: &Plan) -> Result<(), ActError> {
        // Again, right before: the steps before may have taken long.
        if plan.orders.is_empty() {
            return Ok(());
        }
        if !self.context.leadership.is_held() {
            return Err(ActError::HoldLease);
        }
        let client = self.context.agents.client(&self.context.clients.general, &self.uid, &self.names).await;
        let client = client.map_err(|source| ActError::GiveOrders { source })?;
        join_all(plan.orders.iter().map(|order| self.give(&client, order))).await;
        Ok(())
    }

    /// An agent that does not answer or refuses is no failure of the pass: the next look decides what follows.
    async fn give(&self, client: &AgentClient, order: &Order) {
        let answer = self.send_order(client, order).await;
        let (cluster, namespace, instance) = (self.names.cluster(), self.names.namespace(), &order.instance);
        let action = action(order);
        self.context.metrics.ordered(action, result(&answer));
        match answer {
            Ok(OrderAnswer::Accepted) => {
                tracing::info!(cluster, namespace, instance, action, term = order.term, "order accepted");
            }
            Ok(OrderAnswer::Refused { promised, reason }) => {
                tracing::warn!(
                    cluster,
                    namespace,
                    instance,
                    action,
                    term = order.term,
                    promised,
                    reason,
                    "order refused"
                );
            }
            Err(error) => {
                let error = agents::reason(&error);
                tracing::warn!(
                    cluster,
                    namespace,
                    instance,
                    action,
                    term = order.term,
                    error,
                    "order not answered"
                );
            }
        }
    }

    async fn send_order(&self, client: &AgentClient, order: &Order) -> Result<OrderAnswer, AgentError> {
        let pod = self.observation.view.pods.get(&order.instance);
        let address = pod.and_then(|pod| pod.address.as_deref()).unwrap_or_default();
        agents::order(client, &self.names, Member { instance: &order.instance, address }, order).await
    }
}

pub(super) fn result(answer: &Result<OrderAnswer, AgentError>) -> &'static str {
    match answer {
        Ok(OrderAnswer::Accepted) => "Accepted",
        Ok(OrderAnswer::Refused { .. }) => "Refused",
        Err(error) => error.category(),
    }
}

fn action(order: &Order) -> &'static str {
    use porpoise_core::protocol::Action;
    match order.action {
        Action::Seal => "Seal",
        Action::Promote { .. } => "Promote",
        Action::Follow { .. } => "Follow",
        Action::Clone { .. } => "Clone",
        Action::Restore { .. } => "Restore",
        Action::Begin { .. } => "Begin",
        Action::Adopt { .. } => "Adopt",
        Action::TakeOver { .. } => "TakeOver",
        Action::Shutdown => "Shutdown",
    }
}
