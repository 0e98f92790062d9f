//! The documents cannot rot unseen: files, links and proofs that they name exist.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(below(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found
}

/// Targets of the links of a page, without anchors and addresses elsewhere.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

/// Texts between single backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = below(&root().join("docs"), "md");
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "charts/porpoise/README.md",
        "charts/porpoise-crds/README.md",
        "charts/mysql-cluster/README.md",
    ] {
        pages.push(root().join(page));
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in links(&text) {
            let file = page.parent().unwrap().join(&target);
            assert!(file.exists(), "{}: {target}", page.display());
        }
        for file in text.split("{{#include ").skip(1).filter_map(|rest| rest.split_once("}}")) {
            assert!(page.parent().unwrap().join(file.0).exists(), "{}: {}", page.display(), file.0);
        }
    }
}

#[test]
fn every_page_stands_in_the_summary() {
    let source = root().join("docs/src");
    let listed: BTreeSet<PathBuf> = links(&fs::read_to_string(source.join("SUMMARY.md")).unwrap())
        .iter()
        .map(|target| source.join(target).canonicalize().unwrap())
        .collect();
    for page in below(&source, "md") {
        let page = page.canonicalize().unwrap();
        assert!(page.ends_with("SUMMARY.md") || listed.contains(&page), "{}", page.display());
    }
}

#[test]
fn components_of_the_architecture_page_are_real_files() {
    let text = fs::read_to_string(root().join("docs/src/concepts/architecture.md")).unwrap();
    let table = text.split("## Components").nth(1).unwrap();
    let files: Vec<&str> = quoted(table).into_iter().filter(|name| name.contains(".rs")).collect();
    assert!(files.len() > 15);
    for file in files {
        assert!(root().join(file).exists(), "{file}");
    }
}

#[test]
fn proofs_of_requirements_exist() {
    let sources: String = ["crds", "operator", "e2e"]
        .iter()
        .flat_map(|folder| below(&root().join(folder), "rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let text = fs::read_to_string(root().join("docs/src/requirements.md")).unwrap();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id")).collect();
    assert!(rows.len() > 50);
    for row in rows {
        let proofs = quoted(row);
        assert!(!proofs.is_empty() || row.contains("]("), "{row}");
        for proof in proofs {
            let is_test = sources.contains(&format!("fn {proof}("));
            assert!(is_test || root().join(proof).exists(), "{row}: {proof}");
        }
    }
}

#[test]
fn the_front_page_is_short() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() < 120);
    assert!(text.contains("make demo") && text.contains("make test"));
}
