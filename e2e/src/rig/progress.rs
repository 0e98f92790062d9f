//! What the rig tells a person who waits.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const REMINDER: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Does `work`, says how long it took, and reminds every half minute that it still goes on.
///
/// # Errors
/// The work's own error, under the step's name.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let (done, waiting) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(REMINDER) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("  {what} ... {:.0} s", begun.elapsed().as_secs_f64());
            }
        });
        let result = work();
        drop(done);
        result
    });
    if result.is_ok() {
        eprintln!("  {what}: {:.1} s", begun.elapsed().as_secs_f64());
    }
    result.with_context(|| what.to_owned())
}

/// Looks until `seen` gives a value.
///
/// # Errors
/// When `limit` passes first: with what was seen last.
pub fn wait_for<T>(what: &str, limit: Duration, mut seen: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match seen() {
            Ok(value) => return Ok(value),
            Err(last) if begun.elapsed() > limit => {
                return Err(last).with_context(|| format!("{what}: not within {} s", limit.as_secs()));
            }
            Err(_) => thread::sleep(LOOK_AGAIN),
        }
    }
}

/// `Ok` when `condition` holds, else an error with what was seen instead.
///
/// # Errors
/// When the condition does not hold.
pub fn expect(condition: bool, seen: impl FnOnce() -> String) -> Result<()> {
    if !condition {
        bail!(seen());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_fails_says_what_was_seen_last() {
        let failure =
            wait_for("door open", Duration::ZERO, || expect(false, || "door shut".into())).unwrap_err();
        assert_eq!(format!("{failure:#}"), "door open: not within 0 s: door shut");
    }
}
