//! Structured logs on stdout, mysqld's lines among them.

use tracing::{Level, event};

/// Logs JSON lines to stdout; `RUST_LOG` chooses the level.
pub fn start() {
    // The driver would log statements; they are switched off where it connects, and here once more.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sqlx=off"));
    let logger = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).finish();
    // Only fails when there is one already, as in tests.
    let _ = tracing::subscriber::set_global_default(logger);
}

/// How bad a line of mysqld's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// Told and forgotten.
    Note,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// The parts of a line such as `2026-11-21T05:36:15.4Z 0 [System] [MY-015015] [Server] MySQL Server - start.`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLine<'a> {
    /// How bad.
    pub gravity: Gravity,
    /// MySQL's code, such as `MY-015015`; empty if none.
    pub code: &'a str,
    /// The rest.
    pub message: &'a str,
}

/// Reads a line of mysqld's error log; a line of another shape is a note as a whole.
pub fn parse(line: &str) -> ServerLine<'_> {
    let whole = ServerLine { gravity: Gravity::Note, code: "", message: line };
    let Some((word, rest)) = line.split_once(" [").and_then(|(_, tail)| tail.split_once("] [")) else {
        return whole;
    };
    let Some((code, rest)) = rest.split_once("] [") else {
        return whole;
    };
    let message = rest.split_once("] ").map_or(rest, |(_, message)| message);
    let gravity = match word {
        "ERROR" | "Error" => Gravity::Error,
        "Warning" => Gravity::Warning,
        _ => Gravity::Note,
    };
    ServerLine { gravity, code, message }
}

/// Passes a line of mysqld's on.
pub fn relay(line: &str) {
    let ServerLine { gravity, code, message } = parse(line);
    match gravity {
        Gravity::Error => event!(target: "mysqld", Level::ERROR, code, mysqld = message, "mysqld"),
        Gravity::Warning => event!(target: "mysqld", Level::WARN, code, mysqld = message, "mysqld"),
        Gravity::Note => event!(target: "mysqld", Level::INFO, code, mysqld = message, "mysqld"),
    }
}

/// An error and all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_table() {
        let line = "2026-11-21T05:36:15.745468Z 0 [Warning] [MY-011070] [Server] 'binlog_format' is [old].";
        assert_eq!(
            parse(line),
            ServerLine { gravity: Gravity::Warning, code: "MY-011070", message: "'binlog_format' is [old]." }
        );
        for odd in ["", "Segmentation fault [core]", "a [b] c", "[x] [y"] {
            assert_eq!(parse(odd).message, odd);
        }
    }
}
