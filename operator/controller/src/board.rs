//! What the process knows about itself: which watches work, which permissions lack, whether it leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Shared by all parts; read by `/readyz` and `/metrics`.
#[derive(Default)]
pub struct Board {
    notes: Mutex<Notes>,
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Watches without a first complete list yet, by name.
    pub pending: BTreeSet<String>,
    /// Watches that fail, by name, with the reason.
    pub failing: BTreeMap<String, String>,
    /// Custom resource definitions that are not installed.
    pub missing_crds: BTreeSet<String>,
    /// Permissions that the operator lacks, each a sentence.
    pub missing_permissions: BTreeSet<String>,
    /// Whether this process leads.
    pub leading: bool,
}

impl Board {
    /// A copy of everything.
    pub fn notes(&self) -> Notes {
        self.lock().clone()
    }

    /// Changes something.
    pub fn note<A>(&self, change: impl FnOnce(&mut Notes) -> A) -> A {
        change(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Why the process is not ready, in sentences; empty: it is.
    pub fn obstacles(&self) -> Vec<String> {
        let crds = self.missing_crds.iter().map(|name| {
            format!("CustomResourceDefinition {name} is not installed: install the chart porpoise-crds")
        });
        let failing = self.failing.iter().map(|(name, reason)| format!("watch of {name} fails: {reason}"));
        let silent = |name: &&String| !self.failing.contains_key(*name);
        let pending =
            self.pending.iter().filter(silent).map(|name| format!("watch of {name} has no list yet"));
        let permissions = self.missing_permissions.iter().map(|gap| format!("permission is missing: {gap}"));
        crds.chain(failing).chain(pending).chain(permissions).collect()
    }
}
