//! Example manifests, from the typed values.

use crate::{GenerateError, yaml};
use porpoise_crds::MySQLCluster;
use porpoise_crds::examples::{BACKUP_FILE, example_backup, examples};
use serde_norway::Value;

/// The example files by path.
pub(crate) fn files() -> Result<Vec<(String, String)>, GenerateError> {
    let mut files = Vec::new();
    for example in examples() {
        let text = yaml::document(example.file, &brief(&example.cluster))?;
        let path = format!("docs/src/examples/{}.yaml", example.file);
        files.push((path, format!("{}# {}\n{text}", yaml::HEADER, example.shows)));
    }
    let text = yaml::document(BACKUP_FILE, &example_backup())?;
    let path = format!("docs/src/examples/{BACKUP_FILE}.yaml");
    files.push((path, format!("{}# One backup of a cluster, now.\n{text}", yaml::HEADER)));
    Ok(files)
}

/// The object as people write it: without what equals the default.
pub(crate) fn brief(cluster: &MySQLCluster) -> Value {
    let whole = |cluster: &MySQLCluster| serde_norway::to_value(cluster).unwrap_or(Value::Null);
    let mut spec = porpoise_crds::MySQLClusterSpec::default();
    spec.storage.size = cluster.spec.storage.size.clone();
    let mut value = whole(cluster);
    if let (Value::Mapping(object), Value::Mapping(default)) =
        (&mut value, whole(&MySQLCluster::new("", spec)))
        && let (Some(Value::Mapping(spec)), Some(Value::Mapping(default))) =
            (object.get_mut("spec"), default.get("spec"))
    {
        without_defaults(spec, default, &[]);
    }
    value
}

/// Whole amounts stay whole: half a limit is not what the example shows.
const KEPT_WHOLE: [&str; 1] = ["limits"];

fn without_defaults(value: &mut serde_norway::Mapping, default: &serde_norway::Mapping, path: &[&str]) {
    value.retain(|key, entry| {
        let name = key.as_str().unwrap_or_default();
        if path.is_empty() && name == "storage" {
            if let (Value::Mapping(storage), Some(Value::Mapping(default))) = (&mut *entry, default.get(key))
            {
                let size = storage.get("size").cloned();
                without_defaults(storage, default, &["storage"]);
                if let Some(size) = size {
                    storage.insert(Value::from("size"), size);
                }
            }
            return true;
        }
        match (&mut *entry, default.get(key)) {
            (entry, Some(default)) if entry == default => false,
            (Value::Mapping(entry), Some(Value::Mapping(default))) if !KEPT_WHOLE.contains(&name) => {
                without_defaults(entry, default, &[name]);
                !entry.is_empty()
            }
            _ => true,
        }
    });
}
