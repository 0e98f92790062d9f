//! What the operator may do in Kubernetes: the one table behind the charts, the install manifest, the OLM bundle, the
//! security page and the operator's own check at the start.

/// Where a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// In every namespace with clusters.
    Clusters,
    /// In the operator's own namespace.
    Operator,
    /// For objects without a namespace; the operator does without, if it must.
    Everywhere,
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with the subresource after a slash.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Where.
    pub reach: Reach,
    /// What it is for.
    pub reason: &'static str,
}

const fn clusters(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    reason: &'static str,
) -> Permission {
    Permission { group, resource, verbs, reach: Reach::Clusters, reason }
}

const APPLY: &[&str] = &["get", "list", "watch", "create", "patch"];
const APPLY_AND_DELETE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Every permission, with its reason. There is no wildcard, no listing or watching of Secrets, and no `pods/exec`.
pub const PERMISSIONS: &[Permission] = &[
    clusters(
        crate::GROUP,
        "mysqlclusters",
        &["get", "list", "watch", "patch"],
        "watch clusters, guard their deletion with a finalizer",
    ),
    clusters(crate::GROUP, "mysqlclusters/status", &["patch", "update"], "write the record and the status"),
    clusters(
        crate::GROUP,
        "mysqlclusters/finalizers",
        &["update"],
        "own objects where owner references are checked",
    ),
    clusters(
        crate::GROUP,
        "mysqlbackups",
        &["get", "list", "watch", "create", "patch", "delete"],
        "watch backups, make those that a schedule or a request asks for, remove those beyond retention",
    ),
    clusters(crate::GROUP, "mysqlbackups/status", &["patch", "update"], "tell how a backup stands"),
    clusters(
        crate::GROUP,
        "mysqlbackups/finalizers",
        &["update"],
        "own Jobs where owner references are checked",
    ),
    clusters(
        "batch",
        "jobs",
        &["get", "list", "watch", "create", "delete"],
        "store and remove backups, and try updates on copies; a Job is made, seen and deleted, never changed",
    ),
    clusters(
        "",
        "configmaps",
        APPLY,
        "keep my.cnf and the agents' settings; read settings that a cluster refers to",
    ),
    clusters("", "serviceaccounts", APPLY, "keep the identity of the Pods"),
    clusters("", "services", APPLY, "keep the entry points"),
    clusters(
        "",
        "secrets",
        &["get", "create", "patch", "delete"],
        "keep passwords and certificates, by name only",
    ),
    clusters(
        "",
        "pods",
        &["list", "watch", "patch", "delete"],
        "see the members and how a backup's Job ended, label the members' roles, replace a member that cannot run once its \
         template is another",
    ),
    clusters("", "pods/eviction", &["create"], "move members one by one, within the disruption budget"),
    clusters(
        "",
        "persistentvolumeclaims",
        &["get", "list", "watch", "create", "patch", "delete"],
        "see, grow, keep or delete the volumes; make one for backups where a cluster asks for it",
    ),
    clusters(
        "snapshot.storage.k8s.io",
        "volumesnapshots",
        &["get", "create", "delete"],
        "take, see and delete the snapshots that backups with method VolumeSnapshot are; unused where there are none",
    ),
    clusters("", "events", &["list"], "tell why a Pod or volume is missing"),
    clusters("", "namespaces", &["get"], "see that a namespace is being deleted"),
    clusters("apps", "statefulsets", APPLY_AND_DELETE, "keep the members"),
    clusters("policy", "poddisruptionbudgets", APPLY, "keep the disruption budget"),
    clusters("networking.k8s.io", "networkpolicies", APPLY_AND_DELETE, "keep the network policy"),
    clusters("discovery.k8s.io", "endpointslices", APPLY_AND_DELETE, "lead writes to the primary"),
    clusters("events.k8s.io", "events", &["create", "patch"], "tell people what happened"),
    Permission {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        reach: Reach::Operator,
        reason: "agree on one leader",
    },
    Permission {
        group: "storage.k8s.io",
        resource: "storageclasses",
        verbs: &["get"],
        reach: Reach::Everywhere,
        reason: "tell that a storage class does not exist",
    },
    Permission {
        group: "",
        resource: "nodes",
        verbs: &["list", "watch"],
        reach: Reach::Everywhere,
        reason: "move the primary off a cordoned node before its Pod has to go",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_granted_by_wildcard_or_twice() {
        let mut seen = BTreeSet::new();
        for permission in PERMISSIONS {
            for text in permission.verbs.iter().chain([&permission.group, &permission.resource]) {
                assert!(!text.contains('*'), "{permission:?}");
            }
            assert!(!permission.verbs.is_empty(), "{permission:?}");
            assert!(!permission.reason.is_empty(), "{permission:?}");
            assert!(
                seen.insert((permission.reach, permission.group, permission.resource)),
                "{permission:?} stands twice"
            );
        }
    }

    #[test]
    fn secrets_are_never_listed_and_nothing_runs_in_pods() {
        for permission in PERMISSIONS {
            if permission.resource == "secrets" {
                assert!(!permission.verbs.contains(&"list") && !permission.verbs.contains(&"watch"));
            }
            // Nodes are seen, to know which are cordoned, and never touched; the operator does without, if it must.
            if permission.resource == "nodes" {
                assert_eq!((permission.verbs, permission.reach), (&["list", "watch"][..], Reach::Everywhere));
            }
            let forbidden = ["pods/exec", "pods/attach", "clusterroles", "roles", "rolebindings"];
            assert!(!forbidden.contains(&permission.resource), "{permission:?}");
            assert_ne!(permission.group, "admissionregistration.k8s.io");
        }
    }
}
