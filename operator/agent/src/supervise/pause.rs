//! Pauses between starts of mysqld.

use std::time::Duration;

/// Longest pause between tries of a mysqld that does not come up.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause after a mysqld that had come up: a cluster may wait for this very member.
const LONGEST_PAUSE_OF_A_SERVER: Duration = Duration::from_secs(1);

/// After so many failures in a row.
pub(super) fn after(failures: u32, answered: bool) -> Duration {
    let longest = if answered { LONGEST_PAUSE_OF_A_SERVER } else { LONGEST_PAUSE };
    match failures {
        0 | 1 => Duration::ZERO,
        more => Duration::from_millis(500).saturating_mul(1 << (more - 2).min(10)).min(longest),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pauses_grow_to_a_cap() {
        let after = |answered| [0, 1, 2, 3, 4, 8, 40].map(|n| super::after(n, answered).as_millis());
        assert_eq!(after(false), [0, 0, 500, 1_000, 2_000, 30_000, 30_000]);
        assert_eq!(after(true), [0, 0, 500, 1_000, 1_000, 1_000, 1_000]);
    }
}
