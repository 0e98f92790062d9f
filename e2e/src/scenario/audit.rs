//! The API server's audit log: who wrote what.

use super::wait::{Seen, until};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A log of one JSON event a line.
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    /// The log in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the log ends now, in bytes.
    pub fn position(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.path).context("read the audit log")?.len())
    }

    /// Completed writes of `user` after `position` to Leases and to anything in `namespace`, counted by resource. What
    /// other scenarios left behind is still being taken away elsewhere.
    pub fn writes_since(&self, position: u64, user: &str, namespace: &str) -> Result<BTreeMap<String, u64>> {
        let mut file = std::fs::File::open(&self.path).context("open the audit log")?;
        file.seek(SeekFrom::Start(position))?;
        let mut counts = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            let writes = matches!(
                event["verb"].as_str(),
                Some("create" | "update" | "patch" | "delete" | "deletecollection")
            );
            if writes && event["user"]["username"] == user && event["stage"] == "ResponseComplete" {
                let resource = event["objectRef"]["resource"].as_str().unwrap_or("?").to_owned();
                if resource == "leases" || event["objectRef"]["namespace"] == namespace {
                    *counts.entry(resource).or_insert(0) += 1;
                }
            }
        }
        Ok(counts)
    }

    /// Waits until `user` has written nothing but Leases for `quiet`.
    pub async fn until_quiet(&self, user: &str, namespace: &str, quiet: Duration) -> Result<()> {
        let mut begin = (self.position()?, Instant::now());
        until("the operator has nothing left to write", quiet * 12, async || {
            let mut writes = self.writes_since(begin.0, user, namespace)?;
            writes.remove("leases");
            if !writes.is_empty() {
                begin = (self.position()?, Instant::now());
                return Ok(Seen::Not(format!("{writes:?}")));
            }
            if begin.1.elapsed() > quiet {
                Ok(Seen::Done(()))
            } else {
                Ok(Seen::Not("not quiet for long enough".to_owned()))
            }
        })
        .await
    }
}
