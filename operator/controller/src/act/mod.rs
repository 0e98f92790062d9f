//! Carries out a plan: writes only, in a fixed order, without decisions. Each step checks its own precondition again.

mod apply;
mod archive;
mod backup;
mod backups;
mod backups_claim;
mod deletions;
mod finalizer;
mod jobs;
mod metadata;
mod orders;
mod record;
mod rehearsal;
mod restored_claim;
mod secrets;
mod subset;

pub use backup::backup;

use crate::context::Context;
use crate::observation::{Freshness, Observation};
use crate::outcome::{ActError, Outcome};
use porpoise_core::names::ClusterNames;
use porpoise_core::plan::Plan;

/// One pass's writes share this.
struct Pass<'a> {
    context: &'a Context,
    observation: &'a Observation,
    names: ClusterNames,
    uid: String,
}

/// Carries out `plan`.
///
/// A failing step does not hold up the others: a quota that refuses a Service must not hold up a failover.
pub async fn on(context: &Context, observation: &Observation, plan: &Plan) -> Outcome {
    let pass = Pass::new(context, observation);
    let mut outcome = Outcome { needs_fresh_record: pass.needs_fresh_record(plan), ..Outcome::default() };
    if !context.leadership.is_held() {
        outcome.failures.push(ActError::HoldLease);
        return outcome;
    }
    if outcome.needs_fresh_record && observation.freshness == Freshness::Watched {
        outcome.look_at_once = true;
        return outcome;
    }
    // A new cluster is guarded before anything is made for it.
    pass.add_finalizer(plan, &mut outcome).await;
    pass.make(plan, &mut outcome).await;
    match &plan.record {
        Some(record) => pass.write_record(record, plan, &mut outcome).await,
        None => pass.command(plan, &mut outcome).await,
    }
    // And let go only when all that was to be done before is done.
    if outcome.failures.is_empty() {
        pass.remove_finalizer(plan, &mut outcome).await;
    }
    outcome
}

impl<'a> Pass<'a> {
    fn new(context: &'a Context, observation: &'a Observation) -> Self {
        let key = crate::facts::key_of(&observation.view.object);
        Self {
            context,
            observation,
            names: ClusterNames::new(&key.name, &key.namespace),
            uid: observation.view.object.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// Orders and deletions must follow from the record as it is now, not as a watch saw it some time ago. So must the
    /// endpoint of writes, if it moves, and a set of members, which says what volumes they get. A new record is guarded by the
    /// resourceVersion it was decided on.
    fn needs_fresh_record(&self, plan: &Plan) -> bool {
        let deletes = plan.deletions.iter().any(|deletion| self.has(deletion));
        deletes
            || self.makes_members(plan)
            || !plan.orders.is_empty()
            || (plan.record.is_none() && self.moves_endpoint(plan))
    }

    /// Objects first: they hold nothing that depends on the record, except the endpoint of writes, which comes later.
    async fn make(&self, plan: &Plan, outcome: &mut Outcome) {
        if plan.secrets {
            outcome.collect_all(self.keep_secrets().await);
        }
        if let Some(claim) = &plan.backups_claim {
            outcome.collect(self.keep_backups_claim(claim).await);
        }
        if let Some(claim) = &plan.restored_claim {
            outcome.collect(self.make_restored_claim(claim).await);
        }
        outcome.collect_all(self.apply_objects(plan).await);
        outcome.collect_all(self.delete(plan).await);
        outcome.collect_all(self.annotate_claims(plan).await);
        outcome.collect_all(self.keep_backups(plan).await);
        outcome.collect_all(self.keep_rehearsal(plan).await);
    }

    /// What follows from a record that stands. The nodes learn of the new endpoint while its member gets ready.
    async fn command(&self, plan: &Plan, outcome: &mut Outcome) {
        let (given, routed) = tokio::join!(self.give_orders(plan), self.apply_route(plan));
        outcome.collect(given);
        outcome.collect(routed);
        self.mark_pods(plan, outcome).await;
        outcome.collect_all(self.grow_claims(plan).await);
        self.tell_archive(plan).await;
    }
}

#[cfg(test)]
mod tests;
