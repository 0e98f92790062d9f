//! The crate borders of docs/src/concepts/architecture.md are law: a forbidden edge fails here (D1).

#![allow(clippy::expect_used, reason = "a test")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crate, and what must not be among its direct dependencies.
const FORBIDDEN_DIRECT: &[(&str, &[&str])] = &[
    ("porpoise-crds", &["tokio", "hyper", "sqlx", "axum", "porpoise-core", "porpoise-link"]),
    ("porpoise-core", &["tokio", "hyper", "sqlx", "axum", "rand", "kube", "kube-client", "porpoise-link"]),
    ("porpoise-link", &["kube", "sqlx", "porpoise-agent", "porpoise-controller"]),
    ("porpoise-agent", &["kube", "porpoise-controller"]),
    ("porpoise-controller", &["sqlx", "porpoise-agent"]),
];

/// Crate, and what must not be anywhere below it in the crates it is built from.
const FORBIDDEN_BELOW: &[(&str, &[&str])] = &[
    ("porpoise-core", &["tokio", "hyper", "sqlx", "kube-client", "rand", "reqwest"]),
    ("porpoise-agent", &["kube-client"]),
    ("porpoise-controller", &["sqlx"]),
];

/// Never in the tree at all: a second TLS library, or the unmaintained `backoff` (ADR 0001).
const BANNED: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "backoff", "instant"];

struct Tree {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

fn tree() -> Tree {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run cargo metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("read cargo metadata");
    let mut names = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        names.insert(text(&package["id"]), text(&package["name"]));
    }
    let mut edges = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
        edges.insert(text(&node["id"]), normal_dependencies(node));
    }
    Tree { names, edges }
}

fn normal_dependencies(node: &Value) -> BTreeSet<String> {
    let is_normal = |dependency: &&Value| {
        dependency["dep_kinds"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    node["deps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(is_normal)
        .map(|dependency| text(&dependency["pkg"]))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Tree {
    fn id(&self, name: &str) -> &str {
        self.names
            .iter()
            .find(|(_, found)| *found == name)
            .map(|(id, _)| id.as_str())
            .expect("crate of the workspace")
    }

    fn direct(&self, name: &str) -> BTreeSet<&str> {
        self.edges[self.id(name)].iter().map(|id| self.names[id].as_str()).collect()
    }
}

/// All crates below `name`, built alone: `cargo metadata` would show the features that other crates switch on.
fn below(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            name,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("read cargo tree");
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn no_crate_crosses_its_border() {
    let tree = tree();
    for (name, forbidden) in FORBIDDEN_DIRECT {
        let direct = tree.direct(name);
        for edge in *forbidden {
            assert!(!direct.contains(edge), "{name} must not depend on {edge}");
        }
    }
    for (name, forbidden) in FORBIDDEN_BELOW {
        let below = below(name);
        for edge in *forbidden {
            assert!(!below.contains(*edge), "{edge} must not be anywhere below {name}");
        }
    }
}

#[test]
fn the_tree_holds_nothing_banned() {
    let tree = tree();
    let all: BTreeSet<&str> = tree.names.values().map(String::as_str).collect();
    for name in BANNED {
        assert!(!all.contains(name), "{name} is banned: see deny.toml");
    }
}

#[test]
fn the_check_itself_sees_an_edge_that_exists() {
    let tree = tree();
    assert!(tree.direct("porpoise-core").contains("porpoise-crds"));
    assert!(below("porpoise-agent").contains("sqlx"));
}
