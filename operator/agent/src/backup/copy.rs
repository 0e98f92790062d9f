//! Copying a member into a blank data directory, by MySQL's own clone (MySQL manual, "Cloning Remote Data").

use super::BackupError;
use crate::logging;
use crate::mysql::{Meaning, copying, statements};
use crate::settings::Settings;
use crate::supervise::initialize;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::Staging;
use porpoise_core::backup::Donor;
use porpoise_core::names;
use std::time::Duration;

/// mysqld ends by itself after a copy.
const END: Duration = Duration::from_mins(2);
const BRIEF: Duration = Duration::from_secs(5);

/// Fills the data directory from the first donor that can be copied. Gives its name.
pub(super) async fn from_best(
    settings: &Settings,
    reaper: &Reaper,
    donors: &[Donor],
) -> Result<String, BackupError> {
    let mut last = BackupError::FindDonor;
    for donor in donors {
        tracing::info!(donor = donor.instance, "copy begins");
        match from(settings, reaper, donor).await {
            Ok(()) => return Ok(donor.instance.clone()),
            Err(error) => {
                tracing::warn!(donor = donor.instance, error = logging::chain(&error), "copy failed");
                last = error;
            }
        }
    }
    Err(last)
}

async fn from(settings: &Settings, reaper: &Reaper, donor: &Donor) -> Result<(), BackupError> {
    let preparing = |source| BackupError::PrepareStaging { source };
    initialize::wipe(settings).map_err(preparing)?;
    initialize::initialize(settings, reaper).await.map_err(preparing)?;
    let server = Staging::boot(settings, reaper, &settings.data_path, None).await;
    let server = server.map_err(|source| BackupError::RunStaging { source })?;
    let copying = |source| BackupError::CopyMember { donor: donor.instance.clone(), source };
    let mut connection = server.door().open().await.map_err(copying)?;
    let quoting = |source| BackupError::QuoteDonor { source };
    let whom = statements::set_donor(&donor.host, settings.mysql_port).map_err(quoting)?;
    connection.run(whom, BRIEF).await.map_err(copying)?;
    let password = std::fs::read_to_string(settings.accounts_path.join("clone"))
        .map_err(|source| BackupError::ReadPassword { source })?;
    let user = names::account_user("clone");
    let copy = statements::clone_from(&user, &donor.host, settings.mysql_port, &password).map_err(quoting)?;
    tracing::info!(donor = donor.instance, "the donor is asked for its data");
    match copying::run(&mut connection, server.door(), copy, settings.copy_patience()).await {
        Ok(()) => {}
        // It ends, since it has no parent that it knows.
        Err(error) if error.meaning() == Meaning::RestartNeeded => {}
        Err(error) => return Err(copying(error)),
    }
    server.ended(END).await;
    Ok(())
}
