//! Lines of data. A cluster begins with its first line; each restore in place begins another, with volume claims, backups and
//! an archive of its own (ADR 0028). What was written on one line is never mixed into another.

use crate::backup::NamedBackup;
use crate::view::ClaimView;
use k8s_openapi::api::apps::v1::StatefulSet;
use porpoise_crds::{Bootstrap, MySQLCluster, RestorePhase, RestoreStatus};

/// Number of a line. It only grows: none is used twice.
pub type Line = i64;

/// The line that a cluster begins with.
pub const FIRST: Line = 1;

/// Name of the claim template and of the Pods' volume in the first line.
const DATA: &str = "data";

/// Name of the claim template, and of the Pods' volume with the data.
pub fn data_volume(line: Line) -> String {
    if line <= FIRST { DATA.to_owned() } else { format!("{DATA}-{line}") }
}

/// Volume claim of an instance.
pub fn claim(line: Line, instance: &str) -> String {
    format!("{}-{instance}", data_volume(line))
}

/// Line and instance of a claim of the members of `cluster`; nothing for any other claim.
pub fn read_claim<'a>(name: &'a str, cluster: &str) -> Option<(Line, &'a str)> {
    let rest = name.strip_prefix(DATA)?.strip_prefix('-')?;
    let is_member = |text: &str| {
        let ordinal = text.strip_prefix(cluster).and_then(|tail| tail.strip_prefix('-'));
        ordinal.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
    };
    if is_member(rest) {
        return Some((FIRST, rest));
    }
    let (line, instance) = rest.split_once('-')?;
    let line = line.parse().ok().filter(|line| *line > FIRST)?;
    is_member(instance).then_some((line, instance))
}

/// Names the data of a line among all there is: the cluster's UID, and from the second line on the line too. Backups and
/// archive lie in a folder of this name.
pub fn history(uid: &str, line: Line) -> String {
    if line <= FIRST { uid.to_owned() } else { format!("{uid}.{line}") }
}

/// UID of the cluster that a [`history`] is of.
pub fn cluster_uid(history: &str) -> &str {
    history.split_once('.').map_or(history, |(uid, _)| uid)
}

/// The line that the status names.
pub fn recorded(object: &MySQLCluster) -> Line {
    object.status.as_ref().and_then(|status| status.line).unwrap_or(FIRST)
}

/// [`history`] of the line that the status names.
pub fn recorded_history(object: &MySQLCluster) -> String {
    history(object.metadata.uid.as_deref().unwrap_or_default(), recorded(object))
}

/// The line that the members have or shall have.
///
/// Where the status does not say, as after an operator that knew no lines, it is that of the members that run. A new cluster
/// takes up the claims which a former one of this name left on purpose, else the newest there are: not the data that was
/// restored away from.
pub fn current<'a>(
    object: &MySQLCluster,
    stateful_set: Option<&StatefulSet>,
    claims: impl Iterator<Item = (Line, &'a ClaimView)> + Clone,
) -> Line {
    let status = object.status.as_ref();
    let known = status.and_then(|status| status.line).or_else(|| of_stateful_set(stateful_set?));
    let is_founded = status.is_some_and(|status| status.quorum.is_some());
    if let Some(line) = known.or(is_founded.then_some(FIRST)) {
        return line;
    }
    let retained = claims.clone().filter(|(_, claim)| claim.retained_by.is_some());
    let retained = retained.map(|(line, _)| line).max();
    let newest = || claims.map(|(line, _)| line).max();
    retained.or_else(newest).unwrap_or(FIRST)
}

/// The line that a `StatefulSet` was made for.
pub fn of_stateful_set(set: &StatefulSet) -> Option<Line> {
    let template = set.spec.as_ref()?.volume_claim_templates.as_ref()?.first()?;
    let name = template.metadata.name.as_deref()?;
    if name == DATA { Some(FIRST) } else { name.strip_prefix(DATA)?.strip_prefix('-')?.parse().ok() }
}

/// The request in `status.restore` that is not over.
pub fn under_way(object: &MySQLCluster) -> Option<&RestoreStatus> {
    let restore = object.status.as_ref()?.restore.as_ref()?;
    (!restore.phase.is_over()).then_some(restore)
}

/// Whether the members are stopped, for a restore or on the way back from one.
pub fn stops_members(object: &MySQLCluster) -> bool {
    under_way(object).is_some_and(|restore| restore.phase.stops_members())
}

/// Whether a restore in place has the members, so that nothing else may use their data.
pub fn is_changing(object: &MySQLCluster) -> bool {
    under_way(object).is_some_and(|restore| restore.phase != RestorePhase::Waiting)
}

/// The line whose volumes hold what was acknowledged last: the former one until the restored data is being opened.
pub fn kept(object: &MySQLCluster, current: Line) -> Line {
    let former = under_way(object).filter(|restore| restore.phase != RestorePhase::Opening);
    former.and_then(|restore| restore.former.as_ref()).map_or(current, |former| former.line)
}

/// How the line that the members have or shall have begins.
pub fn bootstrap(object: &MySQLCluster) -> Option<Bootstrap> {
    let Some(restore) = under_way(object).filter(|restore| restore.phase == RestorePhase::Restoring) else {
        return object.spec.bootstrap.clone();
    };
    let wish = object.spec.restore.as_ref().filter(|wish| wish.request_id == restore.request_id);
    wish.map(|wish| Bootstrap { restore: Some(wish.source()), ..Bootstrap::default() })
}

/// The stored backup that is to be restored or imported now or soon.
pub fn wanted_backup(object: &MySQLCluster) -> Option<NamedBackup> {
    let is_founded = object.status.as_ref().is_some_and(|status| status.quorum.is_some());
    if !is_founded && under_way(object).is_none() {
        return NamedBackup::of(object.spec.bootstrap.as_ref()?);
    }
    let wish = object.spec.restore.as_ref()?;
    let is_sought = match object.status.as_ref()?.restore.as_ref() {
        Some(restore) if restore.request_id == wish.request_id => {
            matches!(restore.phase, RestorePhase::Waiting | RestorePhase::Stopping | RestorePhase::Restoring)
        }
        Some(restore) => restore.phase.is_over() && !restore.past_requests.contains(&wish.request_id),
        None => true,
    };
    is_sought.then(|| NamedBackup::in_place(wish))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::{Value, json};

    #[test]
    fn a30_a_claim_tells_its_line_and_the_first_line_is_called_as_ever() {
        assert_eq!(
            (claim(1, "shop-0").as_str(), claim(2, "shop-0").as_str()),
            ("data-shop-0", "data-2-shop-0")
        );
        assert_eq!((history("u", 1).as_str(), history("u", 12).as_str()), ("u", "u.12"));
        assert_eq!((cluster_uid("u"), cluster_uid("u.12")), ("u", "u"));
        for (name, want) in [
            ("data-shop-0", Some((1, "shop-0"))),
            ("data-2-shop-0", Some((2, "shop-0"))),
            ("data-12-shop-8", Some((12, "shop-8"))),
            ("data-1-shop-0", None),
            ("data-0-shop-0", None),
            ("data-x-shop-0", None),
            ("data-2-other-0", None),
            ("data-shop-x", None),
            ("shop-backups", None),
        ] {
            assert_eq!(read_claim(name, "shop"), want, "{name}");
        }
    }

    fn object(status: &Value) -> MySQLCluster {
        MySQLCluster { status: serde_json::from_value(status.clone()).unwrap(), ..fixture::object() }
    }

    fn left(line: Line, by: Option<&str>) -> (Line, ClaimView) {
        (line, ClaimView { retained_by: by.map(str::to_owned), ..ClaimView::default() })
    }

    #[test]
    fn a19_a30_a_new_cluster_takes_up_the_line_that_counted_last() {
        let quorum = json!({"members": [], "k": 0, "version": 1});
        let both = [left(1, None), left(2, Some("former"))];
        let withdrawn = [left(1, Some("former")), left(2, None)];
        let unmarked = [left(1, None), left(2, None)];
        for (case, status, claims, want) in [
            ("blank", json!(null), &[][..], 1),
            ("after a restore", json!(null), &both, 2),
            ("after one that was withdrawn", json!(null), &withdrawn, 1),
            ("nobody says", json!(null), &unmarked, 2),
            ("recorded", json!({"quorum": quorum, "line": 3}), &both, 3),
            ("recorded as the first", json!({"quorum": quorum}), &both, 1),
        ] {
            let claims = claims.iter().map(|(line, claim)| (*line, claim));
            assert_eq!(current(&object(&status), None, claims), want, "{case}");
        }
    }

    #[test]
    fn a30_a_lost_status_does_not_change_the_line_of_members_that_run() {
        let set: StatefulSet = serde_json::from_value(json!({
            "spec": {"selector": {}, "serviceName": "x", "template": {}, "volumeClaimTemplates": [{"metadata": {"name": "data-2"}}]},
        }))
        .unwrap();
        let claims = [left(1, Some("former"))];
        let claims = claims.iter().map(|(line, claim)| (*line, claim));
        let quorum = json!({"members": [], "k": 0, "version": 1});
        for status in [json!(null), json!({ "quorum": quorum })] {
            assert_eq!(current(&object(&status), Some(&set), claims.clone()), 2, "{status}");
        }
        let back = json!({"quorum": quorum, "line": 1});
        assert_eq!(current(&object(&back), Some(&set), claims), 1, "the way back from a restore");
    }
}
