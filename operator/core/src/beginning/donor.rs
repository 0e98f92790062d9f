//! `spec.bootstrap.clone.clusterRef`: which members may be copied, and what it takes.

use super::{DonorKey, Origin};
use crate::decide::backup::donors;
use crate::names::ClusterNames;
use crate::validate::release::series_of;
use porpoise_crds::{BackupSource, MySQLCluster, MySQLClusterSpec};
use std::collections::BTreeMap;

const FIELD: &str = "spec.bootstrap.clone.clusterRef";
/// Entry of the Secret with the passwords.
const ACCOUNT: &str = "clone";
const AUTHORITY: &str = "ca.crt";

/// The Secrets of the other cluster that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DonorNeeds {
    /// Passwords of its accounts.
    pub accounts: String,
    /// Where its servers' certificate authority may stand, the one that counts first.
    pub authorities: Vec<String>,
}

/// What must be read of the other cluster.
pub fn donor_needs(donor: &MySQLCluster) -> DonorNeeds {
    let names = names(donor);
    let own = donor.spec.tls.secret_name.clone();
    DonorNeeds {
        accounts: names.accounts_secret(),
        authorities: own.into_iter().chain([names.server_secret()]).collect(),
    }
}

/// The members of `donor` that may be copied, replicas first, and the key to them. `spec` is the new cluster's.
///
/// # Errors
/// What is missing, in a sentence with field and remedy.
pub fn from_cluster(
    spec: &MySQLClusterSpec,
    name: &str,
    donor: Option<&MySQLCluster>,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Origin, String> {
    let Some(donor) = donor else {
        return Err(format!("{FIELD}: MySQLCluster {name} does not exist in this namespace; name another"));
    };
    same_series(spec, name, donor)?;
    let donors = donors(donor, BackupSource::PreferReplica);
    if donors.is_empty() {
        return Err(format!(
            "{FIELD}: no member of MySQLCluster {name} is ready to be copied; waiting for one"
        ));
    }
    Ok(Origin::Cluster { cluster: name.to_owned(), donors, key: key(name, donor, secrets)? })
}

/// MySQL copies only within a release series (MySQL Reference Manual, "Cloning Remote Data").
fn same_series(spec: &MySQLClusterSpec, name: &str, donor: &MySQLCluster) -> Result<(), String> {
    let status = donor.status.as_ref();
    let current = status.and_then(|status| status.version.as_ref()?.current.as_deref());
    match current.map(|current| (current, series_of(current))) {
        Some((current, Some(series))) if series_of(&spec.version) != Some(series) => Err(format!(
            "{FIELD}: MySQLCluster {name} runs MySQL {current}, and a copy stays within its release series; make this \
             cluster with version {}.{}",
            series.0, series.1
        )),
        _ => Ok(()),
    }
}

fn key(
    name: &str,
    donor: &MySQLCluster,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<DonorKey, String> {
    let needs = donor_needs(donor);
    let password = secrets.get(&needs.accounts).and_then(|entries| entries.get(ACCOUNT));
    let authority = needs.authorities.iter().find_map(|secret| secrets.get(secret)?.get(AUTHORITY));
    match (password, authority) {
        (Some(password), Some(authority)) => {
            Ok(DonorKey { password: password.clone(), authority: authority.clone() })
        }
        (None, _) => Err(format!(
            "{FIELD}: Secret {} of MySQLCluster {name} has no entry {ACCOUNT}; waiting for it",
            needs.accounts
        )),
        (Some(_), None) => Err(format!(
            "{FIELD}: no Secret of MySQLCluster {name} ({}) has an entry {AUTHORITY}; add it, or waiting for it",
            needs.authorities.join(" or ")
        )),
    }
}

fn names(cluster: &MySQLCluster) -> ClusterNames {
    let meta = &cluster.metadata;
    ClusterNames::new(meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn donor(status: &Value) -> MySQLCluster {
        serde_json::from_value(json!({
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster",
            "metadata": {"name": "shop", "namespace": "prod"},
            "spec": {"storage": {"size": "20Gi"}}, "status": status,
        }))
        .unwrap()
    }

    fn status() -> Value {
        json!({"version": {"current": "9.7.4"}, "instances": [
            {"name": "shop-0", "role": "Primary", "ready": true},
            {"name": "shop-1", "role": "Replica", "ready": true},
            {"name": "shop-2", "role": "Joining", "ready": false},
        ]})
    }

    fn secrets(entries: &[(&str, &str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
        let one = |(secret, key, text): &(&str, &str, &str)| {
            ((*secret).to_owned(), BTreeMap::from([((*key).to_owned(), (*text).to_owned())]))
        };
        entries.iter().map(one).collect()
    }

    const BOTH: [(&str, &str, &str); 2] =
        [("shop-accounts", "clone", "password"), ("shop-server", "ca.crt", "managed")];

    #[test]
    fn b29_a_replica_of_the_other_cluster_is_copied_and_its_primary_only_if_there_is_none() {
        let spec = MySQLClusterSpec::default();
        let origin = from_cluster(&spec, "shop", Some(&donor(&status())), &secrets(&BOTH)).unwrap();
        let Origin::Cluster { donors, key, .. } = origin else { panic!() };
        let hosts: Vec<&str> = donors.iter().map(|donor| donor.host.as_str()).collect();
        assert_eq!(hosts, ["shop-1.shop-members.prod.svc", "shop-0.shop-members.prod.svc"]);
        assert_eq!((key.password.as_str(), key.authority.as_str()), ("password", "managed"));
    }

    #[test]
    fn the_authority_of_a_certificate_of_ones_own_comes_first() {
        let mut donor = donor(&status());
        donor.spec.tls.secret_name = Some("mine".to_owned());
        assert_eq!(donor_needs(&donor).authorities, ["mine", "shop-server"]);
        for (more, want) in
            [(vec![("mine", "ca.crt", "own")], "own"), (vec![("mine", "tls.crt", "x")], "managed")]
        {
            let all: Vec<_> = BOTH.into_iter().chain(more).collect();
            let origin = from_cluster(&MySQLClusterSpec::default(), "shop", Some(&donor), &secrets(&all));
            let Ok(Origin::Cluster { key, .. }) = origin else { panic!("{origin:?}") };
            assert_eq!(key.authority, want);
        }
    }

    #[test]
    fn what_is_missing_is_said_with_field_and_remedy() {
        let old = MySQLClusterSpec { version: "8.4".to_owned(), ..MySQLClusterSpec::default() };
        let new = MySQLClusterSpec::default();
        let (ready, blank) = (donor(&status()), donor(&json!({})));
        for (spec, donor, secrets, want) in [
            (&new, None, secrets(&BOTH), "MySQLCluster shop does not exist in this namespace"),
            (&new, Some(&blank), secrets(&BOTH), "no member of MySQLCluster shop is ready"),
            (
                &old,
                Some(&ready),
                secrets(&BOTH),
                "runs MySQL 9.7.4, and a copy stays within its release series",
            ),
            (
                &new,
                Some(&ready),
                secrets(&BOTH[1..]),
                "Secret shop-accounts of MySQLCluster shop has no entry clone",
            ),
            (&new, Some(&ready), secrets(&BOTH[..1]), "(shop-server) has an entry ca.crt"),
        ] {
            let error = from_cluster(spec, "shop", donor, &secrets).unwrap_err();
            assert!(error.starts_with(FIELD) && error.contains(want), "{error}");
        }
    }
}
