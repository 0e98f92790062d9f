//! The lag governor (ha.md §5, ADR 0014): a primary whose replicas fall behind delays its commits, in steps, so that a
//! failover never has much left to apply.
//!
//! The lag is how long a transaction waited on a replica before it began to be applied. One that takes long itself, such
//! as a change of a large table, makes no lag by this measure: no delay on the primary would shorten it.
//!
//! The delay is `binlog_group_commit_sync_delay` (MySQL manual, "Binary Logging Options and Variables"): commits are held
//! back for so long and are then written together.

use crate::logging;
use crate::member::{Member, Stance};
use crate::mysql::{Door, Session, SqlError, statements};
use porpoise_core::names;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at the replicas.
const PERIOD: Duration = Duration::from_millis(250);
/// Between two looks at who the replicas are and what lag is allowed.
const ROSTER: Duration = Duration::from_secs(5);
/// A replica that needs longer to answer says nothing this time.
const ANSWER: Duration = Duration::from_millis(200);
/// Bound of a statement on the own server.
const LIMIT: Duration = Duration::from_secs(1);
/// The first step.
const LEAST: Duration = Duration::from_micros(250);
/// No commit is held back longer.
const MOST: Duration = Duration::from_millis(100);

/// The next delay. Doubled while the lag is too large, halved when it is well below, else kept.
fn next(delay: Duration, lag: Duration, bound: Duration) -> Duration {
    if lag > bound {
        (delay * 2).clamp(LEAST, MOST)
    } else if lag < bound / 2 && delay <= LEAST {
        Duration::ZERO
    } else if lag < bound / 2 {
        delay / 2
    } else {
        delay
    }
}

/// The replicas that are connected and what they may be behind.
#[derive(Default)]
struct Charge {
    replicas: BTreeMap<IpAddr, Session>,
    bound: Duration,
    at: Option<Instant>,
}

/// Governs for ever while the member is a primary.
pub async fn keep_governing(member: &Member, session: &Session) {
    let mut charge = Charge::default();
    let mut delay = Duration::ZERO;
    loop {
        sleep(PERIOD).await;
        let reigns = matches!(member.stance(), Stance::Primary { admitting: true, .. });
        let wanted = if reigns {
            charge.renew(member, session).await;
            let lag = charge.lag().await;
            next(delay, lag, charge.bound)
        } else {
            charge = Charge::default();
            Duration::ZERO
        };
        if wanted != delay && session.run(statements::set_commit_delay(wanted), LIMIT).await.is_ok() {
            tell(delay, wanted, charge.bound);
            member.delay_commits(wanted);
            delay = wanted;
        }
    }
}

fn tell(before: Duration, now: Duration, bound: Duration) {
    let bound_ms = bound.as_millis();
    if before.is_zero() {
        tracing::warn!(bound_ms, "replicas fall behind: commits are delayed");
    } else if now.is_zero() {
        tracing::info!("replicas keep up: commits are delayed no longer");
    } else if now == MOST {
        tracing::warn!(
            bound_ms,
            delay_ms = MOST.as_millis(),
            "replicas are still behind at the longest delay"
        );
    }
}

impl Charge {
    /// Finds out who is connected, now and then. A replica that is gone is let go with its connection.
    async fn renew(&mut self, member: &Member, session: &Session) {
        if self.at.is_some_and(|at| at.elapsed() < ROSTER) {
            return;
        }
        let Ok(connected) = connected(session).await else { return };
        self.at = Some(Instant::now());
        self.bound = Duration::from_millis(member.newest_config().max_apply_lag_milliseconds);
        self.replicas.retain(|address, _| connected.contains(address));
        for address in connected {
            self.replicas.entry(address).or_insert_with(|| Session::start(door(member, address)));
        }
    }

    /// The longest that a transaction waited on any replica that answers.
    async fn lag(&self) -> Duration {
        let mut answers = JoinSet::new();
        for session in self.replicas.values() {
            let session = session.clone();
            answers.spawn(async move { timeout(ANSWER, waited(&session)).await });
        }
        let mut longest = Duration::ZERO;
        while let Some(answer) = answers.join_next().await {
            match answer {
                Ok(Ok(Ok(waited))) => longest = longest.max(waited),
                Ok(Ok(Err(error))) => {
                    tracing::debug!(error = logging::chain(&error), "a replica tells no lag");
                }
                Ok(Err(_)) | Err(_) => tracing::debug!("a replica is late to tell its lag"),
            }
        }
        longest
    }
}

fn door(member: &Member, address: IpAddr) -> Door {
    let settings = &member.settings;
    Door::remote(
        (address, settings.mysql_port),
        &settings.server_authority(),
        &settings.accounts_path.join("monitor"),
        &names::account_user("monitor"),
    )
}

async fn connected(session: &Session) -> Result<Vec<IpAddr>, SqlError> {
    let mut connected = Vec::new();
    for row in session.rows(statements::replicas(), LIMIT).await? {
        connected.extend(row.text("address")?.and_then(|address| address.parse::<IpAddr>().ok()));
    }
    Ok(connected)
}

/// How long the transactions that a replica applies now had waited there when it began with them. When they were
/// committed is this server's time, since when they are applied the replica's: no two clocks are compared.
async fn waited(session: &Session) -> Result<Duration, SqlError> {
    let mut longest = Duration::ZERO;
    for row in session.rows(statements::applying(), LIMIT).await? {
        let committed = Duration::from_micros(row.number("committed")?.unwrap_or(0).unsigned_abs());
        let applied_for = Duration::from_micros(row.number("applied_for")?.unwrap_or(0).unsigned_abs());
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(committed);
        longest = longest.max(age.saturating_sub(applied_for));
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_in_steps_and_goes_again() {
        let bound = Duration::from_secs(1);
        let micros = Duration::from_micros;
        for (delay, lag_ms, wanted) in [
            (0, 0, 0),
            (0, 1000, 0),
            (0, 1001, 250),
            (250, 5000, 500),
            (64_000, 1001, 100_000),
            (100_000, 60_000, 100_000),
            (100_000, 700, 100_000),
            (100_000, 499, 50_000),
            (500, 0, 250),
            (250, 0, 0),
        ] {
            assert_eq!(
                next(micros(delay), Duration::from_millis(lag_ms), bound),
                micros(wanted),
                "{delay} {lag_ms}"
            );
        }
    }
}
