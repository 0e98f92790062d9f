//! The Job that tries an update on a copy (D15).

use super::backup_job::data_job;
use crate::backup::BackupJob;
use crate::validate::Cluster;
use k8s_openapi::api::batch::v1::Job;
use porpoise_crds::{BackupEncryption, MySQLBackup};

/// Fetches `backup` into a volume of its own, which goes with the Pod, and boots it there with the image of `cluster`. It belongs
/// to the backup: without it there is nothing to rehearse on.
pub fn rehearsal_job(
    name: String,
    backup: &MySQLBackup,
    cluster: &Cluster,
    work: &BackupJob,
    encryption: Option<&BackupEncryption>,
) -> Job {
    data_job(name, backup, cluster, &cluster.image, work, encryption)
}
