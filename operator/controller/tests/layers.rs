//! The steps of a pass do not import each other, and the files stay readable.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

const STEPS: [&str; 4] = ["watch", "observe", "act", "report"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The part of a file that is not its test module.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// `watch` also names the type of the queue; who needs it is outside the steps.
#[test]
fn steps_do_not_import_each_other() {
    for step in STEPS {
        for file in sources(&source().join(step)) {
            let text = fs::read_to_string(&file).unwrap();
            for other in STEPS.iter().filter(|other| **other != step) {
                let import = format!("crate::{other}::");
                assert!(!text.contains(&import), "{} imports {other}", file.display());
            }
        }
    }
}

#[test]
fn what_passes_between_steps_knows_no_step() {
    for shared in [
        "cache",
        "facts",
        "kinds",
        "kubernetes",
        "memory",
        "nodes",
        "observation",
        "outcome",
        "board",
        "agents",
        "status",
    ] {
        let text = fs::read_to_string(source().join(format!("{shared}.rs"))).unwrap();
        for step in STEPS {
            assert!(!production(&text).contains(&format!("crate::{step}::")), "{shared} imports {step}");
        }
    }
}

#[test]
fn only_the_watches_use_unstable_parts_of_kube() {
    for file in sources(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        let unstable = text.contains("runtime::watcher") || text.contains("runtime::reflector");
        let in_watch = file.components().any(|part| part.as_os_str() == "watch");
        assert!(!unstable || in_watch, "{} uses watchers", file.display());
    }
}

#[test]
fn files_are_short_and_the_driver_is_a_table_of_contents() {
    for file in sources(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(production(&text).lines().count() < 400, "{} is long", file.display());
    }
    let driver = fs::read_to_string(source().join("reconcile.rs")).unwrap();
    assert!(driver.lines().count() <= 60, "reconcile.rs has {} lines", driver.lines().count());
}
