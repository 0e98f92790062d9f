//! Backups of the method `Logical`: stored as they are dumped, then read back and loaded into a blank server. What loads there,
//! with every table in order and the same as at the donor, is verified.

use super::check::Found;
use super::copy::Source;
use super::dump::{self, Dumped};
use super::{BackupError, Wish, brief, donor, earlier, examine};
use crate::load;
use crate::logging;
use crate::mysql::statements;
use crate::settings::Settings;
use crate::supervise::initialize;
use crate::supervise::reap::Reaper;
use crate::supervise::script::Script;
use crate::supervise::staging::{Purpose, Staging};
use crate::vault::{Uploaded, Vault, VaultError, pass, stream};
use porpoise_core::backup::{Compared, Donor, DumpScope, Manifest, Summary};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// Dumps the first donor that can be dumped, and stores it.
pub(super) async fn store(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    wish: &Wish<'_>,
    scope: &DumpScope,
) -> Result<Summary, BackupError> {
    if let Some(summary) = earlier(vault, wish).await? {
        return Ok(summary);
    }
    let (uploaded, dumped, source) = from_best(settings, reaper, vault, wish, scope).await?;
    let mut summary = Summary {
        version: dumped.version,
        donor: source.donor.instance.clone(),
        gtid_set: Some(dumped.gtid_set),
        ..Summary::default()
    };
    if wish.verify {
        let (next, coming) = pass();
        let reading = async { uploaded.read_back(next).await.map_err(storing) };
        let trying = try_out(settings, reaper, coming, Some(&source));
        let ((), (found, compared)) = tokio::try_join!(reading, trying)?;
        (summary.tables, summary.compared, summary.verified) = (found.tables, compared, true);
    }
    uploaded.complete(&summary).await.map(|manifest| brief(manifest.summary)).map_err(storing)
}

fn storing(source: VaultError) -> BackupError {
    BackupError::StoreCopy { source }
}

async fn from_best<'a>(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    wish: &Wish<'a>,
    scope: &DumpScope,
) -> Result<(Uploaded, Dumped, Source<'a>), BackupError> {
    let mut last = BackupError::FindDonor;
    for donor in wish.donors {
        tracing::info!(donor = donor.instance, "dump begins");
        let compare = wish.verify && wish.compare;
        let before = if compare { donor::place(settings, donor).await } else { None };
        let mut dumped = from(settings, reaper, vault, wish, (donor, scope)).await;
        // An event that ran for the last time, a table that was dropped: no reason to wait for another Pod, nor to leave the
        // member.
        if dumped.as_ref().is_err_and(is_of_the_moment) {
            tracing::info!(donor = donor.instance, "dump begins again");
            dumped = from(settings, reaper, vault, wish, (donor, scope)).await;
        }
        match dumped {
            Ok((uploaded, dumped)) => return Ok((uploaded, dumped, Source { donor, before })),
            Err(error) if error.is_for_good() && !is_of_one_member(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(donor = donor.instance, error = logging::chain(&error), "dump failed");
                // What a member lacks is missing for good only if all of them said so.
                if !error.is_for_good() || matches!(last, BackupError::FindDonor) {
                    last = error;
                }
            }
        }
    }
    Err(last)
}

fn is_of_the_moment(error: &BackupError) -> bool {
    matches!(error, BackupError::DumpMember { source } if source.is_of_the_moment())
}

fn is_of_one_member(error: &BackupError) -> bool {
    matches!(error, BackupError::DumpMember { source } if source.is_of_one_member())
}

/// The text goes to the store as it comes: nothing of it is kept here.
async fn from(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    wish: &Wish<'_>,
    (donor, scope): (&Donor, &DumpScope),
) -> Result<(Uploaded, Dumped), BackupError> {
    let began = Instant::now();
    let (into, coming) = stream();
    let key_name = wish.key_name.map(String::as_str);
    let receiving =
        async { vault.receive(&wish.location.path, coming, wish.about, key_name).await.map_err(storing) };
    let scene = dump::Scene { settings, reaper, donor };
    let dumping = async {
        let dumped = dump::pour(&scene, scope, into).await;
        dumped.map_err(|source| BackupError::DumpMember { source })
    };
    let (uploaded, dumped) = tokio::try_join!(receiving, dumping)?;
    let took_ms = began.elapsed().as_millis();
    tracing::info!(donor = donor.instance, bytes = dumped.bytes, took_ms, "dumped");
    Ok((uploaded.holding(dumped.bytes), dumped))
}

/// Loads a dump that was stored before. Gives the number of tables that are in order.
pub(super) async fn verify(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    manifest: &Manifest,
    path: &str,
) -> Result<u64, BackupError> {
    let (next, coming) = pass();
    let reading = async {
        let sent = vault.send_on(manifest, path, next).await;
        sent.map_err(|source| BackupError::ReadDump { source })
    };
    let ((), (found, _)) = tokio::try_join!(reading, try_out(settings, reaper, coming, None))?;
    tracing::info!(tables = found.tables, "the dump is in order");
    Ok(found.tables)
}

/// Loads what comes into a blank server of this Pod, checks every table, and compares it with the member that was dumped.
async fn try_out(
    settings: &Settings,
    reaper: &Reaper,
    coming: Receiver<Vec<u8>>,
    source: Option<&Source<'_>>,
) -> Result<(Found, Option<Compared>), BackupError> {
    let asking = |source| BackupError::AskCopy { source };
    let server = blank(settings, reaper).await?;
    let mut agent = server.door().open().await.map_err(asking)?;
    let loaded = load::into(settings, reaper, (&server, None), &mut agent, coming).await;
    loaded.map_err(|source| BackupError::LoadDump { source })?;
    let source = source.map(|source| (source, statements::columns_of_dumped_tables()));
    examine(settings, (server, agent), source).await
}

/// A server that root gets into with the agent's password.
async fn blank(settings: &Settings, reaper: &Reaper) -> Result<Staging, BackupError> {
    let preparing = |source| BackupError::PrepareStaging { source };
    initialize::wipe(settings).map_err(preparing)?;
    initialize::initialize(settings, reaper).await.map_err(preparing)?;
    let text = initialize::open_root(settings).map_err(preparing)?;
    let script = Script::write(settings, "load.sql", &text).map_err(preparing)?;
    let data = (Purpose::Fill, settings.data_path.as_path());
    let server = Staging::boot(settings, reaper, data, Some(script.path())).await;
    script.remove().map_err(preparing)?;
    server.map_err(|source| BackupError::RunStaging { source })
}
