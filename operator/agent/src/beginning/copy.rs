//! A copy of another cluster's member, by MySQL's own clone (MySQL manual, "Cloning Remote Data").

use super::{BRIEF, BeginError, Scene, blank, boot};
use crate::files;
use crate::logging;
use crate::mysql::{Meaning, copying, statements};
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::staging::Staging;
use porpoise_core::backup::Donor;
use porpoise_core::beginning::DonorKey;
use porpoise_core::names;
use std::path::Path;
use std::time::Duration;

/// mysqld ends by itself after a copy.
const END: Duration = Duration::from_mins(2);

/// Fills the new data from the first donor that can be copied.
pub(super) async fn from_best(
    scene: &Scene<'_>,
    cluster: &str,
    donors: &[Donor],
    key: &DonorKey,
) -> Result<(), BeginError> {
    let authority = scene.settings.run_path.join("donor-ca.crt");
    let writing = |source| BeginError::PrepareDirectory { source: InitializeError::WriteScript { source } };
    files::write_private(&authority, &key.authority).map_err(writing)?;
    let mut last = BeginError::FindDonor;
    for donor in donors {
        (scene.say)(&format!("copying {} of MySQLCluster {cluster}", donor.instance));
        match from(scene, donor, &key.password, &authority).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::warn!(donor = donor.instance, error = logging::chain(&error), "copy failed");
                last = error;
            }
        }
    }
    Err(last)
}

/// A copy that breaks off leaves nothing to go on with: each donor is copied into a blank directory.
async fn from(scene: &Scene<'_>, donor: &Donor, password: &str, authority: &Path) -> Result<(), BeginError> {
    blank(scene).await?;
    let account =
        initialize::own_account(scene.settings).map_err(|source| BeginError::PrepareDirectory { source })?;
    let server = boot(scene, &account).await?;
    match copy(scene, &server, donor, password, authority).await {
        // It ends by itself, since it has no parent that it knows.
        Ok(()) => server.ended(END).await,
        Err(error) => {
            // Nothing of it is used, and it may wait for its donor for ever. The next one uses the same directory and socket.
            if let Err(error) = server.kill().await {
                tracing::warn!(error = logging::chain(&error), "the server on the copy was not killed");
            }
            return Err(error);
        }
    }
    Ok(())
}

async fn copy(
    scene: &Scene<'_>,
    server: &Staging,
    donor: &Donor,
    password: &str,
    authority: &Path,
) -> Result<(), BeginError> {
    let setting_up = |source| BeginError::SetUp { source };
    let mut connection = server.door().open().await.map_err(setting_up)?;
    let port = scene.settings.mysql_port;
    let quoting = |source| BeginError::QuoteValue { what: "the member to copy", source };
    let prepared = [
        statements::set_donor(&donor.host, port).map_err(quoting)?,
        statements::trust_donor(authority).map_err(quoting)?,
    ];
    for statement in prepared {
        connection.run(statement, BRIEF).await.map_err(setting_up)?;
    }
    let user = names::account_user("clone");
    let statement = statements::clone_from(&user, &donor.host, port, password).map_err(quoting)?;
    let patience = scene.settings.copy_patience();
    match copying::run_in_words(&mut connection, server.door(), statement, patience).await {
        Err(failure) if failure.meaning() != Meaning::RestartNeeded => {
            Err(BeginError::CopyMember { donor: donor.instance.clone(), failure })
        }
        _ => Ok(()),
    }
}
