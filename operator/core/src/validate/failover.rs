//! What happens when the primary is lost.

use super::Problem;
use porpoise_crds::Failover;
use std::time::Duration;

const LONGEST_DELAY: Duration = Duration::from_mins(10);
const SHORTEST_LAG: Duration = Duration::from_millis(100);
const LONGEST_LAG: Duration = Duration::from_mins(1);

pub(super) fn problems(failover: &Failover) -> Vec<Problem> {
    let delay = within("spec.failover.delay", &failover.delay, Duration::ZERO, LONGEST_DELAY, "0s to 10m");
    let lag = &failover.max_apply_lag;
    let lag = within("spec.failover.maxApplyLag", lag, SHORTEST_LAG, LONGEST_LAG, "100ms to 1m");
    delay.into_iter().chain(lag).collect()
}

pub(super) fn within(
    field: &str,
    text: &str,
    least: Duration,
    most: Duration,
    range: &str,
) -> Option<Problem> {
    let fits = duration(text).is_some_and(|time| time >= least && time <= most);
    let message = format!("{text:?} is not allowed; write a time of {range}, such as 1s");
    (!fits).then(|| Problem::new(field, "InvalidDuration", message))
}

/// `250ms`, `30s` or `5m`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let count: u64 = digits.parse().ok()?;
    match text.strip_prefix(digits)? {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_secs(count.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_table() {
        for (text, wanted) in [
            ("0s", Some(0)),
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("", None),
            ("s", None),
            ("5", None),
            ("1h", None),
            ("-1s", None),
            ("1.5s", None),
            ("1s2", None),
            ("99999999999999999999s", None),
            ("999999999999999999m", None),
        ] {
            assert_eq!(duration(text), wanted.map(Duration::from_millis), "{text:?}");
        }
    }
}
