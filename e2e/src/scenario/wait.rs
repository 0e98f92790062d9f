//! Waiting for a condition with a deadline, never for time to pass.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// One look at a condition.
pub enum Seen<T> {
    /// It holds.
    Done(T),
    /// It does not hold yet; this was seen.
    Not(String),
}

const PAUSE: Duration = Duration::from_millis(200);

/// Looks until the condition holds.
///
/// # Errors
/// After `limit`, with what was seen last.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Seen<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        let last = match look().await {
            Ok(Seen::Done(value)) => return Ok(value),
            Ok(Seen::Not(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if begin.elapsed() > limit {
            bail!("waited {limit:?} until {what}; last seen: {last}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
