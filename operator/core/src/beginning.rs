//! What a new cluster begins with, if neither empty nor from a backup: statements, a dump, or a copy of another cluster.

mod donor;
mod script;

pub use donor::{DonorNeeds, donor_needs, from_cluster};
pub use script::{FoundEntries, from_script, reference};

use crate::backup::{Donor, RestoreSource};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the message of a member begins whose first data cannot be made.
pub const CANNOT_BEGIN: &str = "cannot begin as spec.bootstrap asks";

/// Where a blank member takes its first data from, with everything it takes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum Origin {
    /// Statements, run in turn.
    #[serde(rename_all = "camelCase")]
    Script {
        /// The texts, in order.
        parts: Vec<ScriptPart>,
    },
    /// A copy of one of another cluster's members.
    #[serde(rename_all = "camelCase")]
    Cluster {
        /// Its name.
        cluster: String,
        /// Members to copy from, best first.
        donors: Vec<Donor>,
        /// What lets in.
        key: DonorKey,
    },
    /// A dump that was stored as a backup.
    #[serde(rename_all = "camelCase")]
    Dump {
        /// Where it is, and what it takes to read it.
        source: Box<RestoreSource>,
    },
    /// Statements in a file that others stored.
    #[serde(rename_all = "camelCase")]
    File {
        /// Where it is, and what it takes to read it.
        source: Box<RestoreSource>,
        /// Where those go that name no database. Absent: to the application's.
        database: Option<String>,
    },
}

/// Some statements and where they stand.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScriptPart {
    /// Where they stand, such as `spec.bootstrap.initSql[2]`.
    pub name: String,
    /// The statements.
    pub text: String,
    /// They come from a Secret: nothing that may quote them is shown.
    pub secret: bool,
}

/// What it takes to copy a member of another cluster. Never written anywhere, and printed as dots.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DonorKey {
    /// Password of the account `clone`.
    pub password: String,
    /// Certificate authority of that cluster's servers, PEM.
    pub authority: String,
}

impl fmt::Debug for ScriptPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ScriptPart({}, {} bytes)", self.name, self.text.len())
    }
}

impl fmt::Debug for DonorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DonorKey(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let key = DonorKey { password: "s3cr3t".to_owned(), authority: "s3cr3t".to_owned() };
        let part = ScriptPart { name: "a".to_owned(), text: "s3cr3t".to_owned(), secret: true };
        let origins = [
            Origin::Cluster { cluster: "shop".to_owned(), donors: Vec::new(), key },
            Origin::Script { parts: vec![part] },
        ];
        assert!(!format!("{origins:?}").contains("s3cr3t"));
    }
}
