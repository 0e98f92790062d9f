//! When a cluster is looked at again.

use futures::future::BoxFuture;
use rand::Rng;
use std::time::Duration;

/// Shortest and longest pause after failures.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// A conflict means that somebody else wrote: look at what, at once, but not in a busy loop.
const AT_ONCE: Duration = Duration::from_millis(20);

/// What a pass wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// What was read was old, or what was decided is now recorded: look at once.
    AtOnce,
    /// The cluster is gone; a watch tells when one of that name comes back.
    Gone,
    /// All is done; look again after this time.
    After(Duration),
    /// Something failed; with what the plan wished for as the longest pause.
    Failed {
        /// Failures in a row, this one included.
        failures: u32,
        /// The plan's own wish.
        at_most: Duration,
    },
}

/// Most passes in a row that follow from each other.
const ROW: usize = 4;

/// What was recorded is acted on at once, not when the queue comes round again.
///
/// # Errors
/// That of the first pass that failed.
pub async fn in_a_row<'a, E>(mut pass: impl FnMut() -> BoxFuture<'a, Result<Next, E>>) -> Result<Next, E> {
    for _ in 1..ROW {
        match pass().await? {
            Next::AtOnce => {}
            next => return Ok(next),
        }
    }
    pass().await
}

/// Turns wishes into pauses. Jitter spreads thousands of clusters; tests switch it off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requeue {
    without_jitter: bool,
}

impl Requeue {
    /// Exact pauses.
    pub fn without_jitter() -> Self {
        Self { without_jitter: true }
    }

    /// The pause before the next pass.
    pub fn pause(self, next: Next) -> Duration {
        match next {
            Next::AtOnce => AT_ONCE,
            Next::Gone => LONGEST,
            Next::After(wish) => self.spread(wish),
            Next::Failed { failures, at_most } => self.spread(backoff(failures).min(at_most)),
        }
    }

    /// Up to a tenth earlier: never later than wished.
    fn spread(self, pause: Duration) -> Duration {
        if self.without_jitter {
            return pause;
        }
        pause.mul_f64(rand::rng().random_range(0.9..=1.0))
    }
}

/// 1 s, doubling, up to 5 min.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn failed(failures: u32, at_most: Duration) -> Next {
        Next::Failed { failures, at_most }
    }

    #[test]
    fn failures_double_from_one_second_to_five_minutes() {
        let pauses =
            [1, 2, 3, 9, 10, 1000].map(|n| Requeue::without_jitter().pause(failed(n, HOUR)).as_secs());
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn a_failure_never_delays_what_the_plan_wished_for() {
        let wish = Duration::from_millis(200);
        assert_eq!(Requeue::without_jitter().pause(failed(20, wish)), wish);
    }

    #[test]
    fn jitter_only_shortens_and_only_a_little() {
        for _ in 0..1000 {
            let pause = Requeue::default().pause(Next::After(Duration::from_secs(10)));
            assert!((Duration::from_secs(9)..=Duration::from_secs(10)).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn a_conflict_is_looked_at_at_once() {
        assert!(Requeue::default().pause(Next::AtOnce) < Duration::from_millis(100));
    }
}
