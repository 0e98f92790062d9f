//! The Job's Pod: reads what it is for, does it, and leaves a report that the operator reads.

use super::{BackupError, carry_out};
use crate::logging;
use crate::settings::Settings;
use crate::supervise::reap::Reaper;
use porpoise_core::backup::{
    AUTHORITY_PATH, BackupJob, CREDENTIALS_PATH, JOB_VARIABLE, JobReport, KEYS_PATH, REPORT_PATH,
    TargetSecrets,
};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Bytes of a reason that are told: Kubernetes takes 4 KiB of a report, in which quotes take two each.
const LONGEST_REASON: usize = 1_500;

/// What the Job's Pod is told by its environment.
#[derive(clap::Args, Clone, Debug)]
pub struct JobSettings {
    /// Paths and ports, as those of a member.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do, as JSON.
    #[arg(long, env = JOB_VARIABLE)]
    pub job: String,
    /// Credentials of the target, one file each.
    #[arg(long, default_value = CREDENTIALS_PATH)]
    pub credentials_path: PathBuf,
    /// `ca.crt` of the target.
    #[arg(long, default_value = AUTHORITY_PATH)]
    pub authority_path: PathBuf,
    /// Encryption keys, one file each.
    #[arg(long, default_value = KEYS_PATH)]
    pub keys_path: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = REPORT_PATH)]
    pub report_path: PathBuf,
}

/// Does the job, and leaves the report.
pub async fn run(settings: JobSettings) -> Result<String, BackupError> {
    let outcome = Box::pin(work(&settings)).await;
    let report = report(&outcome);
    let text = serde_json::to_string(&report).unwrap_or_default();
    if let Err(error) = fs::write(&settings.report_path, &text) {
        tracing::warn!(%error, "the report cannot be left");
    }
    outcome.map(|_| text)
}

fn report(outcome: &Result<JobReport, BackupError>) -> JobReport {
    match outcome {
        Ok(report) => report.clone(),
        Err(error) if error.is_damage() => JobReport::Damaged { reason: reason(error) },
        Err(error) => JobReport::Failed { reason: reason(error), for_good: error.is_for_good() },
    }
}

/// A longer report would be cut off in the middle, and nobody could read it.
fn reason(error: &BackupError) -> String {
    let mut reason = logging::chain(error);
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
    reason
}

async fn work(settings: &JobSettings) -> Result<JobReport, BackupError> {
    let signals = |source| BackupError::HandleSignals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let reaper = Reaper::start().map_err(signals)?;
    let job: BackupJob =
        serde_json::from_str(&settings.job).map_err(|source| BackupError::ReadJob { source })?;
    let secrets = secrets(settings)?;
    tokio::select! {
        outcome = carry_out(&settings.settings, &reaper, &job, &secrets) => outcome,
        // What runs is dropped, and mysqld with it.
        _ = terminate.recv() => Err(BackupError::BeStopped),
    }
}

fn secrets(settings: &JobSettings) -> Result<TargetSecrets, BackupError> {
    Ok(TargetSecrets {
        credentials: entries(&settings.credentials_path)?,
        authority: entries(&settings.authority_path)?.remove("ca.crt"),
        keys: entries(&settings.keys_path)?,
    })
}

/// Files of a mounted Secret; none if there is none. Kubernetes keeps its own links beside them, with two dots.
fn entries(folder: &Path) -> Result<BTreeMap<String, String>, BackupError> {
    let reading = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::ReadSecret { path, source }
    };
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        listed => listed.map_err(reading(folder))?,
    };
    let mut entries = BTreeMap::new();
    for entry in listed {
        let entry = entry.map_err(reading(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") {
            let text = fs::read_to_string(entry.path()).map_err(reading(&entry.path()))?;
            entries.insert(name, text.trim_end_matches('\n').to_owned());
        }
    }
    Ok(entries)
}
