//! A bound on the bandwidth: what is sent waits for its turn before it begins, so that no request gets slower by it.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Everybody who has a clone shares the bound. Without one nobody waits.
#[derive(Clone, Default)]
pub(super) struct Pace {
    bound: Option<(NonZeroU64, Arc<Mutex<Option<Instant>>>)>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bound: bytes_per_second.map(|rate| (rate, Arc::default())) }
    }

    /// Waits until `bytes` may begin. They then take up the time that they last at this rate.
    pub(super) async fn wait(&self, bytes: u64) {
        let Some((rate, free_from)) = &self.bound else { return };
        let begin = {
            let mut free_from = free_from.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begin = free_from.map_or(now, |free_from| free_from.max(now));
            *free_from = Some(begin + lasting(bytes, *rate));
            begin
        };
        sleep_until(begin).await;
    }
}

fn lasting(bytes: u64, rate: NonZeroU64) -> Duration {
    let milliseconds = u128::from(bytes) * 1000 / u128::from(rate.get());
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    #[tokio::test(start_paused = true)]
    async fn those_who_come_together_keep_the_rate_together() {
        let pace = Pace::new(NonZeroU64::new(16 << 20));
        let begun = Instant::now();
        join_all((0..4).map(|_| pace.wait(8 << 20))).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_nobody_used_is_not_saved_up() {
        let pace = Pace::new(NonZeroU64::new(1000));
        pace.wait(1000).await;
        tokio::time::advance(Duration::from_mins(1)).await;
        let begun = Instant::now();
        pace.wait(1000).await;
        pace.wait(1000).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nobody_waits() {
        let begun = Instant::now();
        Pace::default().wait(u64::MAX).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
