//! Data whose agent has another password than the Secret now says: a volume that slept through a change, or a copy of a member
//! that does not know the change yet.
//!
//! mysqld is started once more, with a script that gives the agent its account before anybody gets in. Nothing is lost by
//! that: a mysqld that never let the agent in is read-only and serves nobody.

use super::Supervisor;
use super::initialize;
use super::script::Script;
use crate::logging;
use crate::mysql::{Door, Meaning};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Between two tries.
const TRY: Duration = Duration::from_millis(250);
/// So many denials in a row are no accident.
const DENIALS: u32 = 4;

/// Whether the agent stands outside.
#[derive(Default)]
pub(super) struct Lockout {
    is_seen: AtomicBool,
    /// Since mysqld last let the agent in.
    times: AtomicU32,
}

impl Lockout {
    pub(super) fn is_over(&self) {
        self.times.store(0, Ordering::SeqCst);
    }
}

/// Waits until mysqld has denied the agent again and again.
pub(super) async fn seen(door: &Door) {
    let mut denials = 0;
    while denials < DENIALS {
        sleep(TRY).await;
        denials = match door.open().await {
            Err(error) if error.meaning() == Meaning::AccessDenied => denials + 1,
            Ok(_) | Err(_) => 0,
        };
    }
}

impl Supervisor {
    /// Ends a mysqld that denies the agent. The next one begins with a script. When that did not help either, it counts as a
    /// crash, so that the pauses grow.
    pub(super) fn break_in(&self) {
        let times = self.lockout.times.fetch_add(1, Ordering::SeqCst);
        tracing::warn!(times, "mysqld denies the agent: it starts again, with the password of the Secret");
        self.lockout.is_seen.store(true, Ordering::SeqCst);
        self.kill();
        if times > 0 {
            self.is_expected.store(false, Ordering::SeqCst);
        }
    }

    /// The script, if there is need for one.
    pub(super) fn way_in(&self) -> Result<Option<Script>, String> {
        if !self.lockout.is_seen.swap(false, Ordering::SeqCst) {
            return Ok(None);
        }
        let script = initialize::way_in(&self.settings)
            .and_then(|text| Script::write(&self.settings, "way-in.sql", &text));
        script.map(Some).map_err(|error| format!("cannot be given a way in: {}", logging::chain(&error)))
    }
}
