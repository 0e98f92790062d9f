//! The settings that mysqld reads: those of the Pod's own template, for all its life.

use super::Supervisor;
use crate::logging;
use std::time::Duration;
use tokio::time::sleep;

/// How long the settings of this Pod's template are waited for: the kubelet looks after its volumes once a minute.
const SETTINGS: Duration = Duration::from_secs(100);
/// Pause between looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Supervisor {
    /// Waits until the volume shows the settings of this Pod's template, and keeps them. When it does not in time, the template
    /// is not the newest any more, and another Pod will have the newest.
    pub(super) async fn keep_settings(&self) -> Result<(), String> {
        loop {
            let kept = self.settings.keep_my_cnf();
            match kept.map_err(|error| format!("has no settings: {}", logging::chain(&error)))? {
                true => return Ok(()),
                false if self.born.elapsed() < SETTINGS => sleep(LOOK_AGAIN).await,
                false => {
                    tracing::warn!("my.cnf is of another template than this Pod");
                    return Ok(());
                }
            }
        }
    }
}
