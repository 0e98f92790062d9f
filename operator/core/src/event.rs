//! The catalogue of Events.

/// An Event about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `PascalCase` reason, from the catalogue.
    pub reason: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
    /// The sentence.
    pub note: String,
}

/// How serious an Event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Part of ordinary life.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// One sort of Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// `PascalCase` reason.
    pub reason: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// The sentence, with places such as `{instance}`.
    pub text: &'static str,
}

/// Longest note that Kubernetes stores, in bytes.
pub const LONGEST_NOTE: usize = 1024;

impl EventKind {
    /// An Event of this kind; each `(place, value)` fills `{place}` in the text.
    pub fn event(&self, values: &[(&str, &str)]) -> Event {
        let mut note = String::with_capacity(self.text.len());
        let mut rest = self.text;
        while let Some((before, (place, after))) =
            rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
        {
            note.push_str(before);
            note.push_str(values.iter().find(|(name, _)| *name == place).map_or("?", |(_, value)| value));
            rest = after;
        }
        note.push_str(rest);
        Event {
            reason: self.reason,
            warning: self.severity == Severity::Warning,
            note: shorten(&note, LONGEST_NOTE).to_owned(),
        }
    }
}

/// Cuts to at most `limit` bytes without splitting a character.
pub fn shorten(note: &str, limit: usize) -> &str {
    &note[..note.floor_char_boundary(limit)]
}

macro_rules! catalogue {
    ($($name:ident, $severity:ident, $reason:literal, $text:literal;)*) => {
        $(
            #[doc = concat!("`", $reason, "`: ", $text)]
            pub const $name: EventKind =
                EventKind { reason: $reason, severity: Severity::$severity, text: $text };
        )*
        /// Every Event that the operator emits.
        pub const CATALOGUE: &[EventKind] = &[$($name),*];
    };
}

catalogue! {
    CLUSTER_CREATED, Normal, "ClusterCreated", "started to set up {instances} instance(s) of MySQL {version}";
    CLUSTER_READY, Normal, "ClusterReady", "all {instances} instance(s) serve";
    CLUSTER_DEGRADED, Warning, "ClusterDegraded", "{message}";
    SPEC_INVALID, Warning, "SpecInvalid", "{problems}; the running database stays as it was";
    SPEC_WARNING, Warning, "SpecWarning", "{message}";
    RESTORE_STARTED, Normal, "RestoreStarted", "request {request}: the members stop and get new volumes, {claims}; the old ones stay as they are";
    RESTORE_WAITING, Warning, "RestoreWaiting", "request {request} waits: {message}; nothing was touched";
    RESTORE_FINISHED, Normal, "RestoreFinished", "request {request}: the restored data is open on {instance}; the volumes {former} still hold the data before it";
    RESTORE_WITHDRAWN, Normal, "RestoreWithdrawn", "request {request} was withdrawn: the cluster has the data it had";
    BOOTSTRAP_STARTED, Normal, "BootstrapStarted", "{instance} {what}";
    BOOTSTRAP_FAILED, Warning, "BootstrapFailed", "{instance}: {reason}; nothing of it is kept, and it is tried again";
    TERM_RAISED, Normal, "TermRaised", "term {term} begins: {reason}";
    FAILOVER_STARTED, Warning, "FailoverStarted", "primary {from} is lost ({reason}); sealing the members for term {term}";
    STATUS_OUTDATED, Warning, "StatusOutdated", "{reason}, perhaps restored from a backup of etcd; what the members know is taken over in term {term}";
    FAILOVER_HELD, Warning, "FailoverHeld", "primary {from} is lost, but only {sealed} of {needed} members can be sealed";
    PRIMARY_ELECTED, Normal, "PrimaryElected", "{instance} becomes the primary of term {term}";
    PRIMARY_WRITABLE, Normal, "PrimaryWritable", "{instance} accepts writes in term {term}";
    MEMBER_JOINED, Normal, "MemberJoined", "{instance} is a member of the quorum";
    MEMBER_REMOVED, Normal, "MemberRemoved", "{instance} left the quorum: {reason}";
    MEMBER_CLONING, Normal, "MemberCloning", "{instance} copies its data from {donor}: {reason}";
    MEMBER_LOST, Warning, "MemberLost", "{instance} does not answer: {reason}";
    MEMBER_FAILED, Warning, "MemberFailed", "{instance}: {reason}";
    CLAIM_CHANGED, Normal, "ClaimChanged", "every write is now acknowledged by {k} of the replicas {members}";
    FOREIGN_VOLUME, Warning, "ForeignVolume", "the volume of {instance} belongs to {owner} (UID {uid}); nothing on it was touched. Delete claim {claim} if its data may go";
    VOLUME_ADOPTED, Normal, "VolumeAdopted", "{instance} takes over the volume that the former cluster {former} left";
    VOLUMES_GROWING, Normal, "VolumesGrowing", "volumes grow to {size}";
    POD_REFUSED, Warning, "PodRefused", "{about}: {message}";
    QUOTA_EXCEEDED, Warning, "QuotaExceeded", "{about}: {message}";
    POD_UNSCHEDULABLE, Warning, "Unschedulable", "{about}: {message}";
    IMAGE_UNAVAILABLE, Warning, "ImageUnavailable", "{about}: {message}";
    CRASH_LOOPING, Warning, "CrashLooping", "{about}: {message}";
    VOLUME_UNAVAILABLE, Warning, "VolumeUnavailable", "{about}: {message}";
    DRIFT_REPAIRED, Normal, "DriftRepaired", "{object} had been changed by hand and was set back: {fields}";
    ROLLOUT_STARTED, Normal, "RolloutStarted", "members restart one by one: {reason}";
    ROLLOUT_FINISHED, Normal, "RolloutFinished", "every member runs the wanted template";
    ROLLOUT_STOPPED, Warning, "RolloutStopped", "{message}";
    MEMBER_RESTARTING, Normal, "MemberRestarting", "{instance} restarts to take up the wanted template";
    SCALING_STARTED, Normal, "ScalingStarted", "from {from} to {to} instance(s)";
    HIBERNATED, Normal, "Hibernated", "all Pods are stopped; the volumes are kept";
    RESUMED, Normal, "Resumed", "the Pods start again";
    PAUSED, Normal, "Paused", "reconciling is stopped by spec.paused; the members go on with their fences";
    CERTIFICATES_RENEWED, Normal, "CertificatesRenewed", "the certificates were renewed; they end at {until}";
    PASSWORDS_CHANGING, Normal, "PasswordsChanging", "{accounts} got new passwords; the former ones are accepted beside them for an hour";
    PASSWORDS_CHANGED, Normal, "PasswordsChanged", "no former password is accepted any more";
    PASSWORD_REFUSED, Warning, "PasswordRefused", "{instance}: {reason}";
    DELETION_STARTED, Normal, "DeletionStarted", "deletion begins; volumes: {policy}";
    UPDATE_BACKUP_STARTED, Normal, "UpdateBackupStarted", "{backup} is made before members get image {image}";
    UPDATE_REHEARSAL_STARTED, Normal, "UpdateRehearsalStarted", "Job {job} tries image {image} on a copy of the data, from {backup}";
    UPDATE_REHEARSED, Normal, "UpdateRehearsed", "MySQL {version} of image {image} runs on a copy of the data, from {backup}, and found {tables} table(s) in order; now the members get it";
    UPDATE_HELD, Warning, "UpdateHeld", "{message}";
    UPDATE_WITHOUT_BACKUP, Warning, "UpdateWithoutBackup", "members go from image {from} to {to} without a backup, since there is no spec.backup";
    FINAL_BACKUP_STARTED, Normal, "FinalBackupStarted", "{backup} is made before the volumes are deleted; the members run on until it is verified, for 10 minutes at most";
    FINAL_BACKUP_FAILED, Warning, "FinalBackupFailed", "{reason}; so the volumes are kept. Delete their claims by hand if the data may go";
    VOLUMES_RETAINED, Normal, "VolumesRetained", "volume claims are kept: {claims}. A new cluster of this name takes them over";
    VOLUMES_DELETED, Normal, "VolumesDeleted", "volume claims are deleted with their data: {claims}";
    CLEANUP_SKIPPED, Warning, "CleanupSkipped", "let go without cleanup, by annotation; objects and volumes may be left behind";
    BACKUP_WAITING, Normal, "BackupWaiting", "{message}";
    BACKUP_STARTED, Normal, "BackupStarted", "Job {job} copies one of {donors}, checks the copy and stores it in {path}";
    SNAPSHOT_STARTED, Normal, "SnapshotStarted", "VolumeSnapshot {snapshot} of the volume of {instance} is taken";
    BACKUP_SUCCEEDED, Normal, "BackupSucceeded", "{bytes} bytes are in {path}, taken from {donor}; a server {how} and found {tables} table(s) in order";
    BACKUP_STORED, Normal, "BackupStored", "{bytes} bytes are in {path}, taken from {donor}; its tables were not read, so it counts as not verified";
    BACKUP_FAILED, Warning, "BackupFailed", "{reason}";
    VERIFICATION_STARTED, Normal, "VerificationStarted", "Job {job} fetches {path}, boots it and checks every table";
    BACKUP_VERIFIED, Normal, "BackupVerified", "a server booted from {path} and found {tables} table(s) in order";
    BACKUP_DAMAGED, Warning, "BackupDamaged", "{path} cannot be restored: {reason}. Make another MySQLBackup, and find out who changes objects of the store";
    VERIFICATION_FAILED, Warning, "VerificationFailed", "{path} could not be verified: {reason}. It is tried again at the next time of spec.backup.verify.schedule";
    BACKUP_REMOVED, Normal, "BackupRemoved", "nothing is left in {path}";
    BACKUP_LEFT, Warning, "BackupLeft", "let go, but {path} of {target} may still hold what was stored: {reason}. Remove that folder by hand";
    BACKUP_RETIRED, Normal, "BackupRetired", "{backup} is deleted: {reason}";
    ARCHIVE_FAILING, Warning, "ArchiveFailing", "{message}";
    ARCHIVE_RECOVERED, Normal, "ArchiveRecovered", "the binlog is archived again, without a gap unless BackupReady says so; it had not been since {since}";
    ARCHIVE_BROKEN, Warning, "ArchiveBroken", "{message}";
    STEP_FAILED, Warning, "StepFailed", "{message}";
    INTERNAL_ERROR, Warning, "InternalError", "{message}";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn reasons_are_unique_short_and_pascal_case() {
        let reasons: BTreeSet<&str> = CATALOGUE.iter().map(|kind| kind.reason).collect();
        assert_eq!(reasons.len(), CATALOGUE.len());
        for reason in reasons {
            assert!(reason.len() <= 128, "{reason}");
            assert!(reason.starts_with(|first: char| first.is_ascii_uppercase()), "{reason}");
            assert!(reason.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{reason}");
        }
    }

    #[test]
    fn texts_have_room_and_closed_places() {
        for kind in CATALOGUE {
            assert!(kind.text.len() <= LONGEST_NOTE / 2, "{}", kind.reason);
            assert_eq!(kind.text.matches('{').count(), kind.text.matches('}').count(), "{}", kind.reason);
            assert!(!kind.text.ends_with('.'), "{}", kind.reason);
        }
    }

    /// Kubernetes' words about a Pod are told under the reason that the condition has.
    #[test]
    fn every_trouble_has_an_event() {
        use crate::view::TroubleKind::*;
        for kind in
            [QuotaExceeded, PodRefused, Unschedulable, ImageUnavailable, CrashLooping, VolumeUnavailable]
        {
            let reason: &'static str = kind.into();
            assert!(CATALOGUE.iter().any(|entry| entry.reason == reason), "{reason}");
        }
    }

    #[test]
    fn places_are_filled() {
        let event = PRIMARY_ELECTED.event(&[("term", "7"), ("instance", "shop-1")]);
        let want = Event {
            reason: "PrimaryElected",
            warning: false,
            note: "shop-1 becomes the primary of term 7".to_owned(),
        };
        assert_eq!(event, want);
        assert_eq!(MEMBER_LOST.event(&[("reason", "{instance}")]).note, "? does not answer: {instance}");
        assert!(MEMBER_LOST.event(&[]).warning);
    }

    proptest! {
        #[test]
        fn notes_fit_whatever_is_put_in(value in "\\PC{0,1500}") {
            let note = SPEC_INVALID.event(&[("problems", &value)]).note;
            prop_assert!(note.len() <= LONGEST_NOTE);
        }

        #[test]
        fn shortened_text_is_a_beginning(text in "\\PC{0,50}", limit in 0_usize..60) {
            let short = shorten(&text, limit);
            prop_assert!(text.starts_with(short));
            prop_assert!(short.len() <= limit);
            prop_assert!(short.len() + 4 > limit.min(text.len()));
        }
    }
}
