//! Before the kubelet's signal: the primary is moved away, and clients' statements end (ha.md §4h, C7).

use crate::logging;
use crate::member::{Member, Stance};
use crate::mysql::{Door, Session, statements};
use porpoise_core::names;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// A little less than the hook may take, so that it is told how it went.
const LIMIT: Duration = Duration::from_secs(names::PRESTOP_SECONDS.unsigned_abs() - 1);
/// The Pod leaves its Services when it is deleted, and kube-proxy passes that on within a second (ha.md H19). Until then
/// new clients come.
const ROUTES: Duration = Duration::from_millis(1200);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(50);
/// Bound of a look at the clients.
const LOOK: Duration = Duration::from_secs(1);

/// Empties a member of its clients.
#[derive(Clone)]
pub struct Drain {
    session: Session,
}

impl Drain {
    /// Connects when it is needed.
    pub fn new(door: Door) -> Self {
        Self { session: Session::start(door) }
    }

    /// Says how it went.
    ///
    /// A replica is not ready from now on, and its clients may finish what they run. A primary goes on until the operator,
    /// which sees the Pod's end coming, has moved it away; with no operator the fenced shutdown follows after a while.
    pub async fn until_quiet(&self, member: &Member) -> &'static str {
        member.drain();
        let start = Instant::now();
        if timeout_at(start + LIMIT, moved_away(member)).await.is_err() {
            return "still the primary";
        }
        sleep_until(start + ROUTES).await;
        match timeout_at(start + LIMIT, self.idle()).await {
            Ok(()) => "drained",
            Err(_) => "clients are still busy",
        }
    }

    /// Waits until no client runs a statement or has a transaction open. Where mysqld does not answer, nobody does.
    async fn idle(&self) {
        while self.is_busy().await {
            sleep(PERIOD).await;
        }
    }

    async fn is_busy(&self) -> bool {
        let own = names::ACCOUNTS.map(names::account_user);
        let Ok(statement) = statements::busy_clients(&own) else { return false };
        match self.session.rows(statement, LOOK).await {
            Ok(rows) => rows.first().is_some_and(|row| row.flag("busy").unwrap_or_default()),
            Err(error) => {
                tracing::info!(error = logging::chain(&error), "nobody knows which clients are busy");
                false
            }
        }
    }
}

async fn moved_away(member: &Member) {
    while matches!(member.stance(), Stance::Primary { .. }) {
        sleep(PERIOD).await;
    }
}
