//! Which transactions of clients a change of the primary would break off: a planned one waits for them (ha.md §4a).
//!
//! Only those that have written something and have been open for over a second: others end by themselves before anybody
//! notices, or can be begun again. One that is prepared for `XA COMMIT` outlives the change.

use crate::member::{Member, Stance};
use crate::mysql::quote::QuoteError;
use crate::mysql::{Session, SqlError, statements};
use porpoise_core::names;
use porpoise_core::protocol::LongTransactions;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// Bound of a look.
const LIMIT: Duration = Duration::from_secs(1);

/// Why nobody knows which there are.
#[derive(Debug, thiserror::Error)]
enum ListError {
    /// The agent's own name cannot be written in SQL.
    #[error("name the agent's account")]
    NameAccount(#[from] QuoteError),
    /// mysqld gave no answer.
    #[error("list the transactions of clients")]
    ListTransactions(#[from] SqlError),
}

/// Looks for ever while the member is a primary.
pub async fn keep_listing(member: &Member, session: &Session) {
    let mut since: Option<Instant> = None;
    loop {
        sleep(PERIOD).await;
        if !matches!(member.stance(), Stance::Primary { admitting: true, .. }) {
            since = None;
            member.tell_long_transactions(None);
            continue;
        }
        // One that cannot be asked is not waited for: it has other troubles.
        let found = list(session).await.unwrap_or_else(|error| {
            tracing::debug!(error = crate::logging::chain(&error), "long transactions are unknown");
            None
        });
        let start = since.unwrap_or_else(Instant::now);
        since = found.as_ref().map(|_| start);
        let lasting_seconds = start.elapsed().as_secs();
        member.tell_long_transactions(found.map(|found| LongTransactions { lasting_seconds, ..found }));
    }
}

async fn list(session: &Session) -> Result<Option<LongTransactions>, ListError> {
    let rows = session.rows(statements::long_transactions(&names::account_user("agent"))?, LIMIT).await?;
    let Some(oldest) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(LongTransactions {
        count: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        session: oldest.number("id")?.unwrap_or(0).unsigned_abs(),
        age_seconds: oldest.number("age")?.unwrap_or(0).unsigned_abs(),
        lasting_seconds: 0,
    }))
}
