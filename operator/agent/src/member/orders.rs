//! Orders: judged, promised durably, and then the goal.

use super::Member;
use crate::identity;
use porpoise_core::member::{self, Goal, Standing, Verdict};
use porpoise_core::protocol::{Action, Order, OrderAnswer, Seen};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Member {
    /// Answers an order. The promise is durable before anything else happens.
    pub async fn take(self: &Arc<Self>, order: Order) -> OrderAnswer {
        let _one_at_a_time = self.ordering.lock().await;
        let verdict = self.judge(&order);
        let former = match verdict {
            Verdict::Refuse(reason) => return self.refuse(reason),
            Verdict::Accept => None,
            Verdict::Adopt(former) => Some(former),
        };
        if let Err(reason) = self.promise_durably(&order).await {
            return self.refuse(reason);
        }
        match former {
            None => self.set_goal(&order),
            Some(former) => {
                if let Err(reason) = self.adopt(former).await {
                    return self.refuse(reason);
                }
            }
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        OrderAnswer::Accepted
    }

    /// Orders accepted and refused so far.
    pub fn orders(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    fn judge(&self, order: &Order) -> Verdict {
        let goal = self.goal.borrow().clone();
        let board = self.board();
        let standing = Standing {
            cluster: &self.config.cluster,
            owner: &identity::owner(&self.config),
            instance: &self.settings.instance,
            volume: &board.volume,
            promise: &board.promise,
            goal: goal.as_ref(),
            seen: &Seen { process: self.process.clone(), goal: board.goals },
        };
        member::judge(standing, order)
    }

    fn set_goal(&self, order: &Order) {
        let Some(goal) = Goal::of(order) else { return };
        let mut board = self.board();
        let is_new = self.goal.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&goal);
            if is_new {
                *current = Some(goal.clone());
                board.goals += 1;
                board.is_settled_goal = false;
            }
            is_new
        });
        if is_new {
            tracing::info!(?goal, "order");
        }
        // Decided on a member that is held back: its mysqld is needed. An order to follow says what may be kept, or was
        // decided before.
        if !matches!(goal.action, Action::Follow { .. }) {
            self.supervisor.release();
        }
    }

    fn refuse(&self, reason: String) -> OrderAnswer {
        tracing::warn!(reason, "order refused");
        self.refused.fetch_add(1, Ordering::Relaxed);
        OrderAnswer::Refused { promised: self.promise().term, reason }
    }
}
