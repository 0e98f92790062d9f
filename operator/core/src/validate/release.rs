//! How many members, of which MySQL release, from which image.

use super::{Problem, Settings, Stored};
use porpoise_crds::{MySQLClusterSpec, VERSIONS};

pub(super) fn problems(spec: &MySQLClusterSpec, stored: &Stored) -> Vec<Problem> {
    [instances(spec), version(spec, stored), image_text(spec)].into_iter().flatten().collect()
}

fn instances(spec: &MySQLClusterSpec) -> Option<Problem> {
    let wanted = spec.instances;
    let message =
        format!("{wanted} is out of bounds; choose 1 to 9 (an odd number survives most for its cost)");
    (!(1..=9).contains(&wanted)).then(|| Problem::new("spec.instances", "InvalidInstances", message))
}

fn version(spec: &MySQLClusterSpec, stored: &Stored) -> Option<Problem> {
    let wanted = spec.version.as_str();
    if !VERSIONS.contains(&wanted) {
        let known = VERSIONS.join(" or ");
        let message = format!("{wanted:?} is no release series that Porpoise knows; choose {known}");
        return Some(Problem::new("spec.version", "UnknownVersion", message));
    }
    let (major, minor) = stored.series.filter(|now| series_of(wanted) < Some(*now))?;
    let message = format!(
        "the data is of MySQL {major}.{minor}, and MySQL cannot go back to {wanted}; set {major}.{minor}, or restore a \
         backup into a new cluster"
    );
    Some(Problem::new("spec.version", "Downgrade", message))
}

fn image_text(spec: &MySQLClusterSpec) -> Option<Problem> {
    let image = spec.image.as_deref()?;
    let fits = !image.is_empty() && image.chars().all(|c| c.is_ascii_graphic());
    let message = format!("{image:?} is no image; write it as REGISTRY/NAME:TAG, or remove it");
    (!fits).then(|| Problem::new("spec.image", "InvalidImage", message))
}

/// The image that runs mysqld.
pub(super) fn image(spec: &MySQLClusterSpec, settings: &Settings) -> String {
    spec.image.clone().unwrap_or_else(|| settings.mysql_image.replace("{version}", &spec.version))
}

/// Series in a version text such as `9.7`, `9.7.4` or `9.7.4-log`.
pub(super) fn series_of(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether an image may be another one tomorrow: no digest, and no tag or the tag `latest` (D7).
pub(super) fn is_floating(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    !image.contains('@') && tag.is_none_or(|tag| tag == "latest" || tag.is_empty())
}
