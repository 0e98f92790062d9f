//! Taking over a volume that was made from a snapshot: recovered and emptied of what its former member noted, it becomes that of
//! a new server in a new cluster. Until the last step it is as foreign as before, and the order comes again.

use super::{GoalError, Progress, Pursuit, accounts};
use crate::backup::snapshot::{self, SnapshotError};
use crate::identity;
use crate::logging;
use porpoise_core::member::{Promise, Volume};
use std::sync::Arc;
use std::time::Duration;

/// After a failed try.
const RETRY: Duration = Duration::from_secs(5);
/// After one that fails the same way until somebody changes something.
const RETRY_LATER: Duration = Duration::from_mins(1);

pub(super) async fn step(
    pursuit: &Arc<Pursuit>,
    former: String,
    request: String,
) -> Result<Progress, GoalError> {
    pursuit
        .alone("the taking over of the volume", |worker| async move {
            let result = take(&worker, &former, &request).await;
            if let Err(error) = &result {
                tracing::error!(error = logging::chain(error), "the volume was not taken over");
                worker.member.say(&logging::chain(error), false);
                let hopeless = matches!(error, GoalError::TakeOverVolume { source } if source.is_for_good());
                tokio::time::sleep(if hopeless { RETRY_LATER } else { RETRY }).await;
            }
            result
        })
        .await
}

async fn take(pursuit: &Pursuit, former: &str, request: &str) -> Result<(), GoalError> {
    let (member, settings) = (&pursuit.member, &pursuit.member.settings);
    // mysqld starts as soon as it is done, and the goal may be looked at once more before it is given up.
    if member.has_volume() {
        return Ok(());
    }
    let failed = |source| GoalError::TakeOverVolume { source };
    let server_id = settings.server_id().map_err(|source| failed(SnapshotError::ReadOrdinal { source }))?;
    // The passwords of the snapshot's time are nobody's any more.
    let accounts = accounts::script(settings, &member.config)?;
    member.say("recovering the data of the snapshot", false);
    let settled = snapshot::settle(settings, pursuit.supervisor.reaper(), former, &accounts).await;
    let gtid_set = settled.map_err(failed)?;
    let identity = identity::take_over(settings, &member.config, server_id, request);
    let identity = identity.map_err(|source| failed(SnapshotError::WriteIdentity { source }))?;
    tracing::info!(gtid_set, former, "the volume was taken over");
    member.replaced(request);
    member.settle(Volume::Ours(identity), Promise::default(), Vec::new());
    Ok(())
}
