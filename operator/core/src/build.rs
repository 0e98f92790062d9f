//! The owned objects as they should be, one file per kind. Input is validated, so building cannot fail.

mod backup_account;
mod backup_job;
mod backup_store;
mod config_map;
mod disruption_budget;
mod metadata;
mod network_policy;
mod pod;
mod rehearsal_job;
mod service;
mod service_account;
mod slice;
mod stateful_set;
mod volume_snapshot;

pub use backup_account::backup_account;
pub(crate) use backup_job::labels as backup_labels;
pub use backup_job::{JobHome, remove_job, store_job, verify_job};
pub use backup_store::{BackupStore, backups_claim};
pub use config_map::{agent_config, config_map};
pub use disruption_budget::disruption_budget;
pub use metadata::{owner_reference, pod_metadata, selector_labels};
pub use network_policy::network_policy;
pub use pod::{
    INPUTS_ANNOTATION, PodInputs, RESTART_ANNOTATION, REVISION_ANNOTATION, STATIC_INPUTS_ANNOTATION,
    revision, static_hash, template_hash,
};
pub(crate) use pod::{is_exactly, is_made_from};
pub use rehearsal_job::rehearsal_job;
pub use service::{members_service, primary_service, replicas_service};
pub use service_account::service_account;
pub use slice::primary_slice;
pub use stateful_set::stateful_set;
pub use volume_snapshot::{restored_claim, volume_snapshot};

#[cfg(test)]
mod tests;
