//! Everything that follows from the API types and the table of permissions.
//!
//! Generated files are committed; `crdgen check` fails when one of them is stale, so they cannot drift.

mod bundle;
mod csv;
mod events;
mod examples;
mod install;
mod rbac;
mod reference;
mod yaml;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use rbac::{Grant, grants};

/// What can go wrong while files are generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A typed value has no YAML form.
    #[error("render {what}: {source}")]
    RenderYaml {
        /// What was rendered.
        what: String,
        /// The cause.
        source: serde_norway::Error,
    },
    /// A generated file cannot be written.
    #[error("write {path}: {source}")]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// Version of charts, images and bundle, without the leading `v`.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// Namespace of the operator, unless people choose another.
pub const NAMESPACE: &str = "porpoise-system";
/// Image of the operator, without registry and tag.
pub const IMAGE: &str = "porpoise";

/// Root of the repository that Cargo runs this from; without Cargo, of the one it was built from. Checkouts share a folder
/// of builds, so that the two may differ.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../..")
}

/// Every generated file by its path from the root.
pub fn files() -> Result<BTreeMap<PathBuf, String>, GenerateError> {
    let mut files = BTreeMap::new();
    let mut add = |path: &str, content: String| {
        files.insert(PathBuf::from(path), content);
    };
    let definitions = definitions()?;
    for definition in &definitions {
        let path = format!("charts/porpoise-crds/templates/{}.yaml", definition.plural);
        add(&path, yaml::chart_definition(&definition.yaml));
    }
    add("charts/porpoise/files/rules.yaml", rbac::chart_rules()?);
    let all: Vec<String> = definitions.iter().map(|definition| definition.yaml.clone()).collect();
    add("charts/install/crds.yaml", yaml::stream(&all));
    add("charts/install/operator.yaml", install::manifest()?);
    add("charts/install/kustomization.yaml", install::kustomization());
    add("docs/src/reference/mysqlcluster.md", reference::cluster_page());
    add("docs/src/reference/mysqlbackup.md", reference::backup_page());
    add("docs/src/reference/permissions.md", rbac::page());
    add("docs/src/reference/events.md", events::page());
    add("docs/src/reference/reserved-settings.md", reference::reserved_settings());
    for (path, content) in examples::files()? {
        add(&path, content);
    }
    for (path, content) in bundle::files(&definitions)? {
        add(&path, content);
    }
    Ok(files)
}

/// A definition as it is written into files.
pub(crate) struct Definition {
    /// Plural of the kind.
    pub(crate) plural: String,
    /// The definition.
    pub(crate) yaml: String,
}

fn definitions() -> Result<Vec<Definition>, GenerateError> {
    let definition = |definition: CustomResourceDefinition| {
        let plural = definition.spec.names.plural.clone();
        let yaml = yaml::document(&format!("the definition of {plural}"), &definition)?;
        Ok(Definition { plural, yaml })
    };
    porpoise_crds::definitions().into_iter().map(definition).collect()
}

/// Writes what is stale below `root` and returns its paths.
pub fn write(root: &Path) -> Result<Vec<PathBuf>, GenerateError> {
    let files = files()?;
    let mut written = Vec::new();
    for (path, content) in files {
        let target = root.join(&path);
        if fs::read_to_string(&target).is_ok_and(|found| found == content) {
            continue;
        }
        let result =
            target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&target, content));
        match result {
            Ok(()) => written.push(path),
            Err(source) => return Err(GenerateError::WriteFile { path: target, source }),
        }
    }
    Ok(written)
}

/// The paths of stale or missing files below `root`.
pub fn check(root: &Path) -> Result<Vec<PathBuf>, GenerateError> {
    let stale = |(path, content): (PathBuf, String)| match fs::read_to_string(root.join(&path)) {
        Ok(found) if found == content => None,
        _ => Some(path),
    };
    Ok(files()?.into_iter().filter_map(stale).collect())
}
