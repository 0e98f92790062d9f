//! Copying a member into a blank data directory, by MySQL's own clone (MySQL manual, "Cloning Remote Data").

use super::written::Place;
use super::{BackupError, donor};
use crate::logging;
use crate::mysql::{copying, statements};
use crate::settings::Settings;
use crate::supervise::initialize;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::{Purpose, Staging};
use porpoise_core::backup::Donor;
use porpoise_core::names;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const BRIEF: Duration = Duration::from_secs(5);

/// A member that was copied.
pub(super) struct Source<'a> {
    pub(super) donor: &'a Donor,
    /// Where its binlog was before the copy began, if the copy is to be compared with it and that is possible.
    pub(super) before: Option<Place>,
}

/// Fills the data directory from the first donor that can be copied.
pub(super) async fn from_best<'a>(
    settings: &Settings,
    reaper: &Reaper,
    donors: &'a [Donor],
    compare: bool,
) -> Result<Source<'a>, BackupError> {
    let mut last = BackupError::FindDonor;
    for donor in donors {
        tracing::info!(donor = donor.instance, "copy begins");
        let before = if compare { donor::place(settings, donor).await } else { None };
        match from(settings, reaper, donor).await {
            Ok(()) => return Ok(Source { donor, before }),
            Err(error) => {
                tracing::warn!(donor = donor.instance, error = logging::chain(&error), "copy failed");
                last = error;
            }
        }
    }
    Err(last)
}

/// Copies beside the server that asks for it: that one stays as it is, and can be ended at once.
async fn from(settings: &Settings, reaper: &Reaper, donor: &Donor) -> Result<(), BackupError> {
    let preparing = |source| BackupError::PrepareStaging { source };
    let copy = settings.data_path.with_extension("copy");
    initialize::remove(&copy).map_err(preparing)?;
    initialize::wipe(settings).map_err(preparing)?;
    let began = Instant::now();
    initialize::initialize(settings, reaper).await.map_err(preparing)?;
    tracing::info!(took_ms = began.elapsed().as_millis(), "blank data directory made");
    let running = |source| BackupError::RunStaging { source };
    let data = (Purpose::Fill, settings.data_path.as_path());
    let server = Staging::boot(settings, reaper, data, None).await.map_err(running)?;
    let began = Instant::now();
    clone(settings, &server, donor, &copy).await?;
    tracing::info!(donor = donor.instance, took_ms = began.elapsed().as_millis(), "copied");
    server.kill().await.map_err(running)?;
    initialize::replace(settings, &copy).map_err(preparing)
}

async fn clone(settings: &Settings, server: &Staging, donor: &Donor, into: &Path) -> Result<(), BackupError> {
    let copying = |source| BackupError::CopyMember { donor: donor.instance.clone(), source };
    let quoting = |source| BackupError::QuoteDonor { source };
    let whom = statements::set_donor(&donor.host, settings.mysql_port).map_err(quoting)?;
    let password = std::fs::read_to_string(settings.accounts_path.join("clone"))
        .map_err(|source| BackupError::ReadPassword { source })?;
    let user = names::account_user("clone");
    let copy =
        statements::clone_into(&user, &donor.host, settings.mysql_port, &password, into).map_err(quoting)?;
    let mut connection = server.door().open().await.map_err(copying)?;
    connection.run(whom, BRIEF).await.map_err(copying)?;
    tracing::info!(donor = donor.instance, "the donor is asked for its data");
    let copy = copying::run(&mut connection, server.door(), copy, settings.copy_patience());
    copy.await.map_err(copying)
}
