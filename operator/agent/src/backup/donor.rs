//! A member that a backup is made of, asked as the account `backup`.

use super::written::{self, Place};
use crate::logging;
use crate::mysql::{Door, SqlError};
use crate::settings::Settings;
use crate::vault::look_up;
use porpoise_core::backup::Donor;
use porpoise_core::names;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;

const BRIEF: Duration = Duration::from_mins(1);

/// Where the donor's binlog is. Nothing if it does not tell: then the copy is not compared.
pub(super) async fn place(settings: &Settings, donor: &Donor) -> Option<Place> {
    let asking = async {
        let mut there = door(settings, donor).await?.open().await?;
        let place = written::place(&mut there).await?;
        there.close().await;
        Ok::<_, SqlError>(place)
    };
    match timeout(BRIEF, asking).await {
        Ok(Ok(Some(place))) => return Some(place),
        Ok(Ok(None)) => tracing::warn!(donor = donor.instance, "not compared: the donor has no binlog"),
        Ok(Err(error)) => {
            let error = logging::chain(&error);
            tracing::warn!(donor = donor.instance, error, "not compared: the donor does not tell its place");
        }
        Err(_) => tracing::warn!(donor = donor.instance, "not compared: the donor does not answer"),
    }
    None
}

/// The way to a member, as the account `backup`.
pub(super) async fn door(settings: &Settings, donor: &Donor) -> Result<Door, SqlError> {
    let password = settings.accounts_path.join("backup");
    let place = (address(donor).await?, settings.mysql_port);
    Ok(Door::remote(place, &settings.server_authority(), &password, &names::account_user("backup")))
}

/// Where a member is.
pub(super) async fn address(donor: &Donor) -> Result<IpAddr, SqlError> {
    let lost = |reason: String| SqlError::Connect { reason, number: None };
    let found = timeout(BRIEF, look_up(&donor.host)).await;
    let found = found.map_err(|_| lost(format!("look up {}: no answer", donor.host)))?;
    let found = found.map_err(|error| lost(error.to_string()))?;
    found.first().copied().ok_or_else(|| lost(format!("look up {}: it has no address", donor.host)))
}
