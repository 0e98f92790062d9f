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
    let (reason, message) = no_way(stored.series?, series_of(wanted)?)?;
    Some(Problem::new("spec.version", reason, message))
}

/// Series that every way to a newer one goes through, oldest first: long-term support, and 8.0 before there was such a thing.
const STATIONS: [(u32, u32); 3] = [(8, 0), (8, 4), (9, 7)];

/// Why data of one release series cannot be opened by another: a reason for conditions, and a sentence. Any series leads to the
/// next station and to all before it, none beyond it, and none back. Of what comes after the last station nothing is known yet.
///
/// Source: MySQL 9.7 Reference Manual, "Upgrade Paths", and "MySQL Releases: Innovation and LTS".
pub(crate) fn no_way(from: (u32, u32), to: (u32, u32)) -> Option<(&'static str, String)> {
    let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    let (now, wanted) = (text(from), text(to));
    if to < from {
        let message = format!(
            "the data is of MySQL {now}, and MySQL cannot go back to {wanted}; set {now}, or restore a backup into a new \
             cluster"
        );
        return Some(("Downgrade", message));
    }
    let next = STATIONS.into_iter().find(|station| *station > from)?;
    let station = text(next);
    let message =
        || format!("the data is of MySQL {now}; update it to {station} first, and from there to {wanted}");
    (to > next).then(|| ("UpdatePath", message()))
}

/// Release series of an image, if its tag tells a known one, such as `mysql:9.7.4`. People number their own images too.
pub(crate) fn series_of_image(image: &str) -> Option<(u32, u32)> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let series = series_of(name.split_once(':')?.1)?;
    STATIONS.contains(&series).then_some(series)
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
pub(crate) fn series_of(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether an image may be another one tomorrow: no digest, and no tag or the tag `latest` (D7).
pub(super) fn is_floating(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    !image.contains('@') && tag.is_none_or(|tag| tag == "latest" || tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d40_data_goes_forward_only() {
        for (from, to, want) in [
            ((8, 4), (9, 7), None),
            ((9, 7), (9, 7), None),
            ((9, 7), (8, 4), Some("Downgrade")),
            ((8, 4), (8, 0), Some("Downgrade")),
            ((9, 3), (9, 1), Some("Downgrade")),
            // Innovation releases lie between two stations.
            ((8, 4), (9, 3), None),
            ((9, 3), (9, 5), None),
            ((9, 3), (9, 7), None),
            ((8, 0), (8, 3), None),
            ((8, 0), (8, 4), None),
            ((8, 0), (9, 7), Some("UpdatePath")),
            ((8, 3), (9, 0), Some("UpdatePath")),
            ((5, 7), (8, 4), Some("UpdatePath")),
            ((9, 5), (10, 0), Some("UpdatePath")),
            // Nothing is known of the ways beyond.
            ((9, 7), (10, 3), None),
        ] {
            assert_eq!(no_way(from, to).map(|(reason, _)| reason), want, "{from:?} to {to:?}");
        }
        let (_, message) = no_way((9, 7), (8, 4)).unwrap();
        assert!(message.contains("restore a backup into a new cluster"), "{message}");
        for (from, to, first) in [((8, 0), (9, 7), "8.4 first"), ((9, 5), (10, 0), "9.7 first")] {
            let (_, message) = no_way(from, to).unwrap();
            assert!(message.contains(first), "{message}");
        }
    }

    #[test]
    fn every_series_that_can_be_chosen_is_a_station() {
        for version in VERSIONS {
            assert!(STATIONS.contains(&series_of(version).unwrap()), "{version}");
        }
    }

    #[test]
    fn a_tag_tells_the_series_when_it_is_a_known_one() {
        for (image, want) in [
            ("mysql:9.7", Some((9, 7))),
            ("registry.example:5000/our/mysql:8.4.6-oraclelinux9", Some((8, 4))),
            ("mysql:8.4.6@sha256:abc", Some((8, 4))),
            ("mysql:8.0.40", Some((8, 0))),
            ("registry.example:5000/mysql", None),
            ("registry.example/mysql:1.0", None),
            ("mysql@sha256:abc", None),
            ("mysql:lts", None),
        ] {
            assert_eq!(series_of_image(image), want, "{image}");
        }
    }
}
