//! One monotonic clock for all that is noted, and its meeting points with the servers' wall clocks.

use std::time::{Duration, Instant, SystemTime};

/// When something happened: since the ledger was opened.
pub type At = Duration;

/// The clock of one ledger.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> At {
        self.origin.elapsed()
    }
}

/// Readings of both clocks at the same moments: a wall clock may be slewed by milliseconds within a long campaign. Only
/// good where the servers' wall clock is this machine's, as on the rig.
#[derive(Clone, Debug, Default)]
pub(super) struct Meetings(Vec<(SystemTime, At)>);

impl Meetings {
    /// Reads both clocks.
    pub(super) fn note(&mut self, clock: Clock) {
        self.0.push((SystemTime::now(), clock.now()));
    }

    /// The time of a wall clock's reading in microseconds since 1970, by the last meeting before it; zero when there is none.
    pub(super) fn at(&self, micros: u64) -> At {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let last = self.0.iter().rev().find(|(met, _)| *met <= wall);
        last.map_or(At::ZERO, |(met, at)| *at + wall.duration_since(*met).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_meeting_before_counts() {
        let wall = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let meetings = Meetings(vec![(wall(100), At::ZERO), (wall(200), At::from_millis(99_500))]);
        assert_eq!(meetings.at(99_000_000), At::ZERO);
        assert_eq!(meetings.at(150_000_000), At::from_secs(50));
        assert_eq!(meetings.at(201_000_000), At::from_millis(100_500));
    }
}
