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
    /// A value that mysqld refuses must not keep it from starting: it is set, or refused, when mysqld runs (C12).
    pub(super) fn set_variables_aside(&self) {
        match self.settings.set_variables_aside() {
            Ok(true) => {
                tracing::warn!(
                    "mysqld did not come up: it starts without the settings that can be set later"
                );
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(error = logging::chain(&error), "my.cnf stays as it is"),
        }
    }

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
