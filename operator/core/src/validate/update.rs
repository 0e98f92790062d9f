//! How changes that need a restart reach the members.

use super::Problem;
use super::failover::within;
use porpoise_crds::Update;
use std::time::Duration;

const LONGEST_SOAK: Duration = Duration::from_hours(24);

pub(super) fn problems(update: &Update) -> Vec<Problem> {
    let soak = within("spec.update.soak", &update.soak, Duration::ZERO, LONGEST_SOAK, "0s to 1440m");
    soak.into_iter().collect()
}
