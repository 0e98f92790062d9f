//! Scheduled events.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};
use porpoise_core::names::PRIVATE_SCHEMA;

/// Events that run on this server.
pub fn running_events() -> Statement {
    Statement::new(
        "running_events",
        "SELECT EVENT_SCHEMA AS event_schema, EVENT_NAME AS event_name FROM information_schema.EVENTS \
         WHERE STATUS = 'ENABLED'",
    )
}

/// Events that this server took over as a replica, and does not run.
pub fn sleeping_events() -> Statement {
    Statement::new(
        "sleeping_events",
        "SELECT EVENT_SCHEMA AS event_schema, EVENT_NAME AS event_name, DEFINER AS definer, SQL_MODE AS mode \
         FROM information_schema.EVENTS WHERE STATUS IN ('REPLICA_SIDE_DISABLED', 'SLAVESIDE_DISABLED')",
    )
}

/// The list of events that run on the primary, as it was stored last.
pub fn stored_events() -> Statement {
    Statement::new("stored_events", format!("SELECT enabled FROM {PRIVATE_SCHEMA}.events_state WHERE id = 1"))
}

/// Stores the list.
pub fn store_events(list: &str) -> Result<Statement, QuoteError> {
    let list = quote::literal(list)?;
    Ok(Statement::new(
        "store_events",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.events_state (id, enabled, at) VALUES (1, {list}, NOW(6)) \
             ON DUPLICATE KEY UPDATE enabled = {list}, at = NOW(6)"
        ),
    ))
}

/// Takes on a `sql_mode` for this session.
pub fn use_mode(mode: &str) -> Result<Statement, QuoteError> {
    let mode = quote::literal(mode)?;
    Ok(Statement::new("use_mode", format!("SET SESSION sql_mode = {mode}")))
}

/// Lets an event run, with the definer that it has.
pub fn enable_event(schema: &str, name: &str, (user, host): (&str, &str)) -> Result<Statement, QuoteError> {
    // As identifiers, whose quotes mean the same in every mode.
    let definer = format!("{}@{}", quote::identifier(user)?, quote::identifier(host)?);
    let (schema, name) = (quote::identifier(schema)?, quote::identifier(name)?);
    Ok(Statement::new("enable_event", format!("ALTER DEFINER = {definer} EVENT {schema}.{name} ENABLE")))
}

/// Lines for MySQL's own client that let an event run if it is there. One whose time is over by then was never made, or is gone,
/// and no statement asks for that: a routine does, which goes again. `ALTER EVENT` cannot be prepared.
pub fn script_enabling_event(
    schema: &str,
    name: &str,
    mode: &str,
    definer: (&str, &str),
) -> Result<String, QuoteError> {
    let routine = format!("{}.porpoise_enables_an_event", quote::identifier(schema)?);
    let (mode, enable) = (use_mode(mode)?.sql, enable_event(schema, name, definer)?.sql);
    // It does not exist, or its time is over.
    let over = "1539, 1544, 1588, 1589";
    Ok(format!(
        "{mode};\nDELIMITER ;;\nCREATE PROCEDURE {routine}() BEGIN DECLARE CONTINUE HANDLER FOR {over} BEGIN END; {enable}; END;;\n\
         DELIMITER ;\nCALL {routine}();\nDROP PROCEDURE {routine};\n"
    ))
}
