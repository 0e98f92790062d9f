//! How far replicas may be behind and still be read from.

use super::Problem;
use super::failover::{duration, within};
use porpoise_crds::ReplicasService;
use std::time::Duration;

/// Lag is measured in whole seconds.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_hours(1);

pub(super) fn problems(service: &ReplicasService) -> Option<Problem> {
    within("spec.services.replicas.maxLag", &service.max_lag, LEAST, MOST, "1s to 60m")
}

/// The bound in whole seconds. Parts of one are dropped: what is asked for is never exceeded.
pub(super) fn max_lag(service: &ReplicasService) -> Duration {
    Duration::from_secs(duration(&service.max_lag).unwrap_or_default().as_secs())
}
