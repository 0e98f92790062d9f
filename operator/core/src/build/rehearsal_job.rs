//! The Job that tries an update on a copy (D15).

use super::backup_job::{JobHome, STORING, job, pod_spec, store_parts, target_parts};
use super::pod::container;
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
    let home = JobHome {
        cluster: Some(cluster),
        operator_image: &cluster.settings.operator_image,
        mysql_image: &cluster.image,
    };
    let mut parts = target_parts(work);
    parts.extend(store_parts(cluster, encryption));
    let pod = pod_spec(backup, &home, work, parts, container::member_resources(cluster));
    job(backup, &home, name, pod, STORING)
}
