//! Sessions of clients: which there are, what they are in the middle of, and their end.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};

/// Sessions of clients. The agent's own, the server's threads and replicas are left out: one that is just connecting would
/// try again only after a second.
pub fn client_sessions(agent: &str, replication: &str) -> Result<Statement, QuoteError> {
    Ok(Statement::new(
        "client_sessions",
        format!(
            "SELECT PROCESSLIST_ID AS id FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' \
             AND PROCESSLIST_ID IS NOT NULL AND PROCESSLIST_USER IS NOT NULL \
             AND PROCESSLIST_USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user', {}, {}) \
             AND COALESCE(PROCESSLIST_COMMAND, '') NOT LIKE 'Binlog Dump%'",
            quote::literal(agent)?,
            quote::literal(replication)?
        ),
    ))
}

/// Transactions of clients that have written and have been open for over a second, the oldest first; no more than a
/// hundred. What is prepared for `XA COMMIT` stays where it is when its session ends.
pub fn long_transactions(agent: &str) -> Result<Statement, QuoteError> {
    Ok(Statement::new(
        "long_transactions",
        format!(
            "SELECT x.trx_mysql_thread_id AS id, e.TIMER_WAIT DIV 1000000000000 AS age \
             FROM information_schema.INNODB_TRX AS x \
             JOIN performance_schema.threads AS t ON t.PROCESSLIST_ID = x.trx_mysql_thread_id \
             JOIN performance_schema.events_transactions_current AS e ON e.THREAD_ID = t.THREAD_ID \
             WHERE x.trx_rows_modified > 0 AND e.STATE = 'ACTIVE' AND e.TIMER_WAIT > 1000000000000 \
             AND t.PROCESSLIST_USER NOT IN ('system user', {}) AND COALESCE(e.XA_STATE, '') <> 'PREPARED' \
             ORDER BY e.TIMER_WAIT DESC LIMIT 100",
            quote::literal(agent)?
        ),
    ))
}

/// How many clients run a statement or have a transaction open. The operator's own accounts do not count: a clone or a
/// backup may take hours, and whoever wants it comes again.
pub fn busy_clients(own: &[String]) -> Result<Statement, QuoteError> {
    let own: Vec<String> = own
        .iter()
        .map(|user| quote::literal(user).map(|quoted| quoted.to_string()))
        .collect::<Result<_, _>>()?;
    Ok(Statement::new(
        "busy_clients",
        format!(
            "SELECT COUNT(*) AS busy FROM performance_schema.threads AS t WHERE t.TYPE = 'FOREGROUND' \
             AND t.PROCESSLIST_USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user', {}) \
             AND (COALESCE(t.PROCESSLIST_COMMAND, 'Sleep') <> 'Sleep' OR t.PROCESSLIST_ID IN \
             (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx))",
            own.join(", ")
        ),
    ))
}

/// Ends a session.
pub fn kill(id: i64) -> Statement {
    Statement::new("kill", format!("KILL {id}"))
}
