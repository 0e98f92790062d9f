//! Stopping mysqld so that no commit is answered that others do not have (ha.md H1, H2).

use super::{GoalError, Progress, Pursuit, THREADS, rejoin, seal};
use crate::member::Stance;
use crate::mysql::statements;
use crate::supervise::Server;
use std::time::Duration;
use tokio::time::timeout;

/// Stopping the threads may take this long.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn step(pursuit: &Pursuit) -> Result<Progress, GoalError> {
    stop(pursuit).await;
    Ok(Progress::Reached)
}

/// Stops mysqld and keeps it down: clients out, writes closed, SIGTERM; or SIGKILL when commits wait that nobody
/// acknowledges, or when it takes too long.
pub async fn stop(pursuit: &Pursuit) {
    let supervisor = pursuit.supervisor();
    supervisor.want(false);
    let newest = supervisor.newest_run();
    match supervisor.now() {
        Server::Up { run } => fence(pursuit, run).await,
        // Nobody was let in, so nobody can be answered.
        Server::Starting => supervisor.terminate(),
        Server::Down
        | Server::Held { .. }
        | Server::Initializing
        | Server::Stopped
        | Server::Failed { .. } => return,
    }
    let config = &pursuit.member.config;
    let limit = Duration::from_secs(config.shutdown_seconds);
    if timeout(limit, supervisor.ended(newest)).await.is_err() {
        tracing::warn!(?limit, "mysqld takes too long to stop: killing it");
        supervisor.kill();
        let _ = timeout(THREADS, supervisor.ended(newest)).await;
    }
}

async fn fence(pursuit: &Pursuit, run: u64) {
    pursuit.memory().reign = None;
    pursuit.member.stand(run, Stance::Idle);
    match seal::close_writes(pursuit).await {
        Ok(()) => {
            // Only so that the relay log ends with a whole transaction more often; what is missing comes again.
            let _ = pursuit.admin.run(statements::stop_replica(), PATIENCE).await;
            tracing::info!("writes are closed: stopping mysqld");
            if let Err(error) = rejoin::forget_reign(pursuit, run) {
                tracing::warn!(
                    error = crate::logging::chain(&error),
                    "the next start will wait for a moment"
                );
            }
            pursuit.supervisor().terminate();
        }
        Err(reason) => {
            tracing::warn!(reason, "mysqld is killed rather than stopped");
            pursuit.supervisor().kill();
        }
    }
}
