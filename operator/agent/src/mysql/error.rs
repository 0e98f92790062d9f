//! Errors of the driver in our own words. The server's messages can quote SQL, so only its numbers are shown, except for
//! replication errors, which are read from tables and not from here.

use sqlx::mysql::MySqlDatabaseError;
use std::time::Duration;

/// What a server's error number means to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The user or its password is not accepted.
    AccessDenied,
    /// The password is the right one, but the account may not come in now: clients are kept out, it is locked, its
    /// password is too old, or it has too many connections.
    TurnedAway,
    /// The present password cannot be kept beside a new one: it is empty, or for another way to log in.
    CannotRetain,
    /// A table or schema is not there.
    Missing,
    /// The channel already does, or does not do, what was asked.
    ChannelState,
    /// A clone finished; the server wants to be started again.
    RestartNeeded,
    /// Anything else.
    Other,
}

/// What can go wrong with a statement.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum SqlError {
    /// No connection.
    #[error("connect to mysqld: {reason}")]
    Connect {
        /// What was seen.
        reason: String,
        /// MySQL's number, if the server refused.
        number: Option<u16>,
    },
    /// The server refused the statement.
    #[error("{step}: MySQL error {number}")]
    Refused {
        /// Name of the statement.
        step: &'static str,
        /// MySQL's number.
        number: u16,
    },
    /// The connection broke; what the server did is unknown.
    #[error("{step}: connection lost: {reason}")]
    Lost {
        /// Name of the statement.
        step: &'static str,
        /// What was seen.
        reason: String,
    },
    /// It took too long; what the server did is unknown.
    #[error("{step}: no answer within {limit:?}")]
    TimedOut {
        /// Name of the statement.
        step: &'static str,
        /// The bound.
        limit: Duration,
    },
    /// Nothing arrived any more, though the donor did not refuse.
    #[error(
        "{step}: nothing arrived from the donor for {patience:?}: it is frozen or cut off; look at its Pod and at the network"
    )]
    Stalled {
        /// Name of the statement.
        step: &'static str,
        /// For how long.
        patience: Duration,
    },
    /// A value in a row is not what was expected.
    #[error("{step}: column {column} is unusable")]
    ReadColumn {
        /// Name of the statement.
        step: &'static str,
        /// The column.
        column: &'static str,
    },
}

impl SqlError {
    /// Translates the driver's error.
    pub(super) fn of(step: &'static str, error: &sqlx::Error) -> Self {
        match number(error) {
            Some(number) => Self::Refused { step, number },
            None => Self::Lost { step, reason: kind(error) },
        }
    }

    /// Translates the driver's error while connecting.
    pub(super) fn connecting(error: &sqlx::Error) -> Self {
        let number = number(error);
        let reason = match number {
            Some(number) => format!("MySQL error {number}"),
            None => kind(error),
        };
        Self::Connect { reason, number }
    }

    /// What the server meant.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Refused { number, .. } | Self::Connect { number: Some(number), .. } => meaning(*number),
            Self::Connect { number: None, .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Stalled { .. }
            | Self::ReadColumn { .. } => Meaning::Other,
        }
    }

    /// Whether the connection can be used again.
    pub fn keeps_connection(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::ReadColumn { .. })
    }

    /// Stable word for metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// What the server means by a number.
pub(super) fn meaning(number: u16) -> Meaning {
    match number {
        1045 => Meaning::AccessDenied,
        1203 | 1226 | 1820 | 1862 | 3032 | 3118 | 3955 => Meaning::TurnedAway,
        3878 | 3894 | 3895 => Meaning::CannotRetain,
        1049 | 1146 => Meaning::Missing,
        3081 | 3083 | 3084 | 3085 | 1617 | 3074 => Meaning::ChannelState,
        3707 => Meaning::RestartNeeded,
        _ => Meaning::Other,
    }
}

pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    Some(database.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

pub(super) fn kind(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.kind().to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::Protocol(_) => "protocol".into(),
        _ => "driver".into(),
    }
}
