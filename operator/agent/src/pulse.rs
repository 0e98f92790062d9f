//! Whether a replica still hears its source (ADR 0011).
//!
//! MySQL's own heartbeat is the sign: the source sends one every quarter of a second when it has nothing else to send
//! (MySQL manual, `SOURCE_HEARTBEAT_PERIOD`). So it shows that the very stream is alive on which acknowledgements depend,
//! and a stopped mysqld, a cut network and a lost node look the same.

use crate::member::{Member, Stance};
use crate::mysql::{Session, SqlError, statements};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Without any sign for this long the source is not heard: four heartbeats.
pub const SILENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(200);
/// Bound of a look.
const LIMIT: Duration = Duration::from_secs(1);

/// Signs seen so far.
#[derive(Clone, Debug)]
pub struct Pulse {
    sign: String,
    at: Instant,
}

impl Pulse {
    /// What was seen now. The same sign as before is no news.
    fn see(previous: Option<Self>, sign: String) -> Self {
        match previous {
            Some(pulse) if pulse.sign == sign => pulse,
            _ => Self { sign, at: Instant::now() },
        }
    }

    /// Whether there was a sign within the last second.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < SILENCE
    }
}

/// Listens for ever while the member is a replica.
pub async fn keep_listening(member: &Member, session: &Session) {
    let mut pulse: Option<Pulse> = None;
    loop {
        sleep(PERIOD).await;
        if !matches!(member.stance(), Stance::Replica { .. }) {
            pulse = None;
            member.hear(None);
            continue;
        }
        // A replica that cannot be asked says nothing about its source.
        if let Ok(Some(sign)) = sign(session).await {
            pulse = Some(Pulse::see(pulse, sign));
            member.hear(pulse.clone());
        }
    }
}

async fn sign(session: &Session) -> Result<Option<String>, SqlError> {
    let rows = session.rows(statements::pulse(), LIMIT).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let heartbeats = row.number("heartbeats")?.unwrap_or(0);
    let queued = row.text("queued")?.unwrap_or_default();
    let queueing = row.text("queueing")?.unwrap_or_default();
    let position = if queueing.is_empty() { String::new() } else { position(session).await? };
    Ok(Some(format!("{heartbeats} {queued} {queueing} {position}")))
}

async fn position(session: &Session) -> Result<String, SqlError> {
    let rows = session.rows(statements::receiver_position(), LIMIT).await?;
    let Some(row) = rows.first() else {
        return Ok(String::new());
    };
    let file = row.text("Source_Log_File")?.unwrap_or_default();
    let offset = row.number("Read_Source_Log_Pos")?.unwrap_or(0);
    Ok(format!("{file}:{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_sign_grows_old() {
        let first = Pulse::see(None, "1".into());
        tokio::time::advance(SILENCE / 2).await;
        let same = Pulse::see(Some(first), "1".into());
        assert!(same.is_fresh());
        tokio::time::advance(SILENCE / 2).await;
        assert!(!same.is_fresh());
        assert!(Pulse::see(Some(same), "2".into()).is_fresh());
    }
}
