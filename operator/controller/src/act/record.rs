//! The durable record (ha.md §2): compare-and-swap on the status, by the resourceVersion that was read.

use super::{ActError, Outcome, Pass};
use crate::status::{self, Written};
use porpoise_core::plan::{Plan, Record};
use porpoise_crds::MySQLClusterStatus;

impl Pass<'_> {
    /// Writes the record and the status around it. Nothing else follows in this pass: the next one acts on what stands.
    pub(super) async fn write_record(&self, record: &Record, plan: &Plan, outcome: &mut Outcome) {
        if !self.context.leadership.is_held() {
            return outcome.failures.push(ActError::HoldLease);
        }
        let status = with_record(plan.status.clone(), record);
        match status::replace(&self.context.clients.strict, &self.observation.view.object, status).await {
            Ok(Written::Yes) => {
                tracing::info!(
                    cluster = self.names.cluster(),
                    namespace = self.names.namespace(),
                    term = record.term,
                    primary = record.primary,
                    reason = plan.reason,
                    "recorded"
                );
                outcome.status_written = true;
            }
            Ok(Written::Conflict) => {
                tracing::info!(cluster = self.names.cluster(), "somebody else wrote the record");
            }
            Err(source) => {
                let name = self.names.cluster().to_owned();
                return outcome.failures.push(ActError::WriteRecord { name, source });
            }
        }
        outcome.look_at_once = true;
    }
}

fn with_record(mut status: MySQLClusterStatus, record: &Record) -> MySQLClusterStatus {
    let Record { term, term_owner, quorum, primary, operation } = record.clone();
    status.term = Some(term);
    status.term_owner = term_owner;
    status.quorum = quorum;
    status.primary = primary;
    status.operation = operation;
    status
}
