//! What can go wrong with a stored backup, and whether it is worth another try.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong in the vault.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum VaultError {
    /// The target's description is wrong.
    #[error("use the backup target: {reason}")]
    UseTarget {
        /// What to change.
        reason: String,
    },
    /// The credentials Secret lacks something.
    #[error("use the credentials: their Secret needs the entry `{entry}`")]
    UseCredentials {
        /// Its name.
        entry: &'static str,
    },
    /// The key of a service account is none.
    #[error(
        "use the credentials: the entry `serviceAccountKey` of their Secret must be the whole JSON key of a service account ({reason})"
    )]
    UseAccountKey {
        /// What is wrong with it, without its content.
        reason: String,
    },
    /// The certificate authority is none.
    #[error("use the store's certificate authority: `ca.crt` must hold certificates as PEM")]
    UseAuthority,
    /// The folder's name cannot be one.
    #[error("use {folder:?} as a backup's folder: it needs one or more names, separated by single slashes")]
    UseFolder {
        /// The name.
        folder: String,
    },
    /// There is no key of this name.
    #[error("find the encryption key {key_name:?}: add it to the Secret with the keys")]
    FindKey {
        /// Its name.
        key_name: String,
    },
    /// A key is not one.
    #[error("use the encryption key {key_name:?}: it must be 32 bytes as base64 text")]
    UseKey {
        /// Its name.
        key_name: String,
    },
    /// The cipher is of another version.
    #[error("decrypt with {cipher:?}: only {known} is known here, so upgrade the operator")]
    UseCipher {
        /// Its name.
        cipher: String,
        /// The one that is known.
        known: &'static str,
    },
    /// Encryption itself failed.
    #[error("encrypt chunk {chunk}")]
    EncryptChunk {
        /// Its name.
        chunk: String,
    },
    /// The folder holds a whole backup.
    #[error("store a backup in {folder}: one is there already; remove it first or use another name")]
    BackupExists {
        /// The folder.
        folder: String,
    },
    /// There is no manifest.
    #[error("find a backup in {folder}: it has no manifest, so there is none or it was never completed")]
    NoBackup {
        /// The folder.
        folder: String,
    },
    /// A later version wrote it.
    #[error(
        "read the backup in {folder}: its format is {found}, and {known} is the newest known here, so upgrade the operator"
    )]
    NewerFormat {
        /// The folder.
        folder: String,
        /// Format of the backup.
        found: u32,
        /// Format of this version.
        known: u32,
    },
    /// The manifest is not what it should be.
    #[error("understand the manifest in {folder}: {reason}; use another backup")]
    UnderstandManifest {
        /// The folder.
        folder: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was made by the method `Logical`.
    #[error("restore {folder}: it is a dump and holds no files; begin with it by spec.bootstrap.import")]
    HoldsDump {
        /// The folder.
        folder: String,
    },
    /// It was made by the method `Physical`.
    #[error("import {folder}: it holds files and no dump; begin with it by spec.bootstrap.restore")]
    HoldsFiles {
        /// The folder.
        folder: String,
    },
    /// A file of others cannot be read as statements.
    #[error("import {file}: {reason}")]
    UseFile {
        /// Its name in the store.
        file: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file of others became another one while it was read.
    #[error("import {file}: it was written again while it was read; the import begins anew")]
    ChangedFile {
        /// Its name in the store.
        file: String,
    },
    /// The bucket does not exist.
    #[error("use the bucket {bucket:?}: the store has none of this name; create it or correct the target")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// The store does not let us.
    #[error("{doing}: the store denies access; check the credentials and what they permit ({reason})")]
    AccessDenied {
        /// What was being done.
        doing: String,
        /// The store's words.
        reason: String,
    },
    /// The store found fault with the request.
    #[error("{doing}: the store refuses the request; check target and credentials ({reason})")]
    RefuseRequest {
        /// What was being done.
        doing: String,
        /// The store's words.
        reason: String,
    },
    /// The store could not be reached, or failed.
    #[error(
        "{doing}: the store does not answer as it should; check its address and that the network policy lets this Pod reach it ({reason})"
    )]
    ReachStore {
        /// What was being done.
        doing: String,
        /// What happened.
        reason: String,
    },
    /// The Pod that serves a volume claim could not be reached, or failed.
    #[error(
        "{doing}: the volume claim {claim} cannot be used now; see with `kubectl describe pod` why the Pod that serves it, with the \
         suffix -backups-0 or -restore-0, does not work ({reason})"
    )]
    ReachClaim {
        /// What was being done.
        doing: String,
        /// Name of the claim.
        claim: String,
        /// What happened.
        reason: String,
    },
    /// The volume claim is full.
    #[error(
        "{doing}: the volume claim {claim} is full; grow it, keep fewer backups, or choose another target"
    )]
    ClaimFull {
        /// What was being done.
        doing: String,
        /// Name of the claim.
        claim: String,
    },
    /// The store took too long.
    #[error("{doing}: not done within {limit:?}; check the store and the network to it")]
    AwaitStore {
        /// What was being done.
        doing: String,
        /// The limit.
        limit: Duration,
    },
    /// A chunk is not there.
    #[error("fetch chunk {chunk}: it is missing in the store; use another backup")]
    MissingChunk {
        /// Its name.
        chunk: String,
    },
    /// A chunk is not what was stored.
    #[error("check chunk {chunk}: {reason}; the backup is damaged, use another one")]
    DamagedChunk {
        /// Its name.
        chunk: String,
        /// How that shows.
        reason: String,
    },
    /// A chunk is whole, but the key does not open it.
    #[error(
        "decrypt chunk {chunk}: the key {key_name:?} is not the one it was encrypted with, or the chunk belongs elsewhere"
    )]
    DecryptChunk {
        /// Its name.
        chunk: String,
        /// Name of the key.
        key_name: String,
    },
    /// What the chunks hold is no archive of a data directory.
    #[error("unpack the backup: {reason}; use another one")]
    UnpackArchive {
        /// What is wrong with it.
        reason: String,
    },
    /// Reading what is to be stored failed.
    #[error("read {path}")]
    ReadFile {
        /// The file or directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Somebody writes to what is to be stored.
    #[error("read {path}: it was written to meanwhile; stop the server first")]
    ReadStill {
        /// The file.
        path: PathBuf,
    },
    /// Something that an archive cannot hold.
    #[error(
        "store {path}: only files, directories and links within the data directory can be stored; move it away"
    )]
    StoreEntry {
        /// The entry.
        path: PathBuf,
    },
    /// Compression failed.
    #[error("compress the data")]
    Compress {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Writing what was fetched failed.
    #[error("write {path}; check that the volume has room")]
    WriteFile {
        /// The file or directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Where the backup is to be fetched to is something.
    #[error("fetch to {path}: it exists already; remove it first")]
    TargetExists {
        /// The place.
        path: PathBuf,
    },
    /// A step ended without a result: the program is ending, or a bug.
    #[error("await the end of: {step}")]
    AwaitStep {
        /// The step.
        step: &'static str,
    },
}

impl VaultError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }

    /// Whether what is stored was read and is not a whole backup. A key that does not fit says nothing about it.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::NoBackup { .. }
                | Self::UnderstandManifest { .. }
                | Self::MissingChunk { .. }
                | Self::DamagedChunk { .. }
                | Self::UnpackArchive { .. }
        )
    }

    /// Whether trying again cannot help: target, secrets or the backup itself must change first.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::ReachStore { .. }
            | Self::ReachClaim { .. }
            | Self::AwaitStore { .. }
            | Self::ReadFile { .. }
            | Self::ReadStill { .. }
            | Self::WriteFile { .. }
            | Self::Compress { .. }
            | Self::EncryptChunk { .. }
            | Self::ChangedFile { .. }
            | Self::AwaitStep { .. } => false,
            Self::UseTarget { .. }
            | Self::UseCredentials { .. }
            | Self::UseAccountKey { .. }
            | Self::UseAuthority
            | Self::UseFolder { .. }
            | Self::FindKey { .. }
            | Self::UseKey { .. }
            | Self::UseCipher { .. }
            | Self::BackupExists { .. }
            | Self::NoBackup { .. }
            | Self::NewerFormat { .. }
            | Self::UnderstandManifest { .. }
            | Self::HoldsDump { .. }
            | Self::HoldsFiles { .. }
            | Self::UseFile { .. }
            | Self::NoSuchBucket { .. }
            | Self::ClaimFull { .. }
            | Self::AccessDenied { .. }
            | Self::RefuseRequest { .. }
            | Self::MissingChunk { .. }
            | Self::DamagedChunk { .. }
            | Self::DecryptChunk { .. }
            | Self::UnpackArchive { .. }
            | Self::StoreEntry { .. }
            | Self::TargetExists { .. } => true,
        }
    }
}
