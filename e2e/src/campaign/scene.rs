//! The cluster that faults are put on.

use super::cycle::{Cycle, Measured};
use super::fault::Fault;
use crate::fault::Container;
use crate::ledger::{Ledger, Verdict};
use crate::rig::Rig;
use crate::rig::process::Process;
use crate::scenario::{Database, HEALTHY_WITHIN, Namespace, OPERATOR_NAMESPACE, RELEASE, Seen, small, until};
use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// After so long kube-proxy has passed on all it was told, and may pass on two changes at once again.
const REST: Duration = Duration::from_secs(2);

/// A cluster of three under the ledger, on the rig.
pub struct Scene<'a> {
    /// The cluster.
    pub database: Database<'a>,
    /// The rig under it.
    pub rig: Rig,
    /// The ledger.
    pub ledger: Ledger,
    /// Number of the cycle that is on, for names that must be unique.
    pub(super) round: u32,
}

impl<'a> Scene<'a> {
    /// Makes a small cluster and opens its ledger; `None` where there is no rig, and says so.
    ///
    /// # Errors
    /// When the cluster does not become Healthy.
    pub async fn set(namespace: &'a Namespace) -> Result<Option<Self>> {
        Self::of(namespace, &small("shop", 3)).await
    }

    /// The same with volumes that can be stopped and filled without harm to the machine.
    ///
    /// # Errors
    /// As [`Scene::set`].
    pub async fn with_limited_volumes(namespace: &'a Namespace) -> Result<Option<Self>> {
        let mut manifest = small("shop", 3);
        manifest["spec"]["storage"]["storageClassName"] = json!("limited");
        Self::of(namespace, &manifest).await
    }

    /// The same with the cluster of this manifest.
    ///
    /// # Errors
    /// As [`Scene::set`].
    pub async fn of(namespace: &'a Namespace, manifest: &Value) -> Result<Option<Self>> {
        if namespace.stage().rig().is_none() {
            eprintln!("SKIPPED: fault cycles: faults need the rig, and this is CLUSTER=current");
            return Ok(None);
        }
        Self::around(Database::apply(namespace, manifest).await?).await
    }

    /// The same with a cluster that somebody else made; `None` where there is no rig.
    ///
    /// # Errors
    /// As [`Scene::set`].
    pub async fn around(database: Database<'a>) -> Result<Option<Self>> {
        let Some(rig) = database.namespace.stage().rig().cloned() else { return Ok(None) };
        database.until_phase(Phase::Healthy).await?;
        let ledger = Ledger::open(&database).await?;
        Ok(Some(Self { database, rig, ledger, round: 0 }))
    }

    /// Whether the installed definition has what a fault needs.
    ///
    /// # Errors
    /// When the definition cannot be read.
    pub async fn offers(&self, fault: Fault) -> Result<bool> {
        if fault != Fault::Switchover {
            return Ok(true);
        }
        let path =
            "jsonpath={.spec.versions[*].schema.openAPIV3Schema.properties.spec.properties.switchover.type}";
        let definition = ["get", "crd", "mysqlclusters.mysql.porpoise.dev", "--output", path];
        Ok(!self.database.namespace.stage().kubectl(&definition).await?.trim().is_empty())
    }

    /// Runs cycles one after the other, waits until all is well, and judges. When a cycle does not end well, every fault is
    /// taken back: the next scenario needs whole nodes, and this one's report members that can be asked.
    ///
    /// # Errors
    /// When it does not get well, or a member cannot be read. Broken promises are no error but in the verdict.
    pub async fn campaign(&mut self, cycles: &[Cycle]) -> Result<(Vec<Measured>, Verdict)> {
        let mut measured = Vec::new();
        for cycle in cycles {
            match self.run(*cycle).await {
                Ok(one) => measured.push(one),
                Err(error) => {
                    eprintln!("ledger: {}", self.ledger.tally());
                    self.rig.repair()?;
                    return Err(error);
                }
            }
        }
        let verdict = self.ledger.judge(&self.database).await?;
        println!("{} fault cycles; {verdict}", measured.len());
        Ok((measured, verdict))
    }

    /// Name of the primary now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn primary(&self) -> Result<String> {
        self.database.status().await?.primary.context("the cluster has a primary")
    }

    /// The members' Pods.
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.database.namespace.client(), self.database.namespace.name())
    }

    /// Node of a Pod of the cluster.
    ///
    /// # Errors
    /// When the Pod is on none.
    pub async fn node_of(&self, pod: &str) -> Result<String> {
        node(&self.pods(), pod).await
    }

    /// The network of a node on which this Pod is not: clients of a node that is lost would be lost with it.
    ///
    /// # Errors
    /// When there is no other node.
    pub async fn network_beside(&self, pod: &str) -> Result<PathBuf> {
        let taken = self.node_of(pod).await?;
        let free = self.rig.site().nodes().into_iter().find(|node| node.name != taken);
        Ok(PathBuf::from("/run/netns").join(free.context("a node for the clients")?.namespace))
    }

    /// mysqld of a member.
    pub(super) fn mysqld(&self, pod: &str) -> Result<Process> {
        let namespace = self.database.namespace.name();
        self.rig.process_in(&Container { namespace, pod, container: "mysql" }, "mysqld")
    }

    fn operators(&self) -> Api<Pod> {
        Api::namespaced(self.database.namespace.client(), OPERATOR_NAMESPACE)
    }

    /// The operator's Pod that leads.
    pub(super) async fn leader(&self) -> Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.database.namespace.client(), OPERATOR_NAMESPACE);
        let holder = leases.get(RELEASE).await?.spec.and_then(|spec| spec.holder_identity);
        holder.context("the operator's Lease has a holder")
    }

    /// The operator's process in its leading Pod.
    pub(super) async fn leading_process(&self) -> Result<(String, Process)> {
        let pod = self.leader().await?;
        let container = Container { namespace: OPERATOR_NAMESPACE, pod: &pod, container: "operator" };
        let process = self.rig.process_in(&container, "porpoise-operator")?;
        Ok((pod, process))
    }

    /// Removes the operator's Pod without waiting for anything.
    pub(super) async fn drop_operator(&self, pod: &str) -> Result<()> {
        self.operators().delete(pod, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Waits until the cluster's endpoints have not changed for a while. kube-proxy passes on about one change a second
    /// (`iptables.minSyncPeriod`, H19): what the cycle before changed must not hold up this one's.
    pub(super) async fn until_endpoints_rest(&self) -> Result<()> {
        let slices: Api<EndpointSlice> =
            Api::namespaced(self.database.namespace.client(), self.database.namespace.name());
        let (mut known, mut since) = (Vec::new(), Instant::now());
        until("the cluster's endpoints rest", HEALTHY_WITHIN, async || {
            let list = slices.list(&ListParams::default()).await?;
            let versions: Vec<_> = list.iter().map(ResourceExt::resource_version).collect();
            if versions != known {
                (known, since) = (versions, Instant::now());
            }
            let rested = since.elapsed();
            if rested >= REST { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("for {rested:?}"))) }
        })
        .await
    }

    /// Waits until a leader is on another node than this one; asks the present one to go if need be. A fault of a node is
    /// to hit the primary, and the operator only when that is what the case is about.
    pub(super) async fn lead_away_from(&self, taken: &str) -> Result<()> {
        until(&format!("the operator leads from another node than {taken}"), HEALTHY_WITHIN, async || {
            let leader = self.leader().await?;
            match self.operators().get_opt(&leader).await? {
                None => Ok(Seen::Not(format!("{leader} is gone and still holds the Lease"))),
                Some(pod) if pod.metadata.deletion_timestamp.is_some() => {
                    Ok(Seen::Not(format!("{leader} is about to go")))
                }
                Some(pod) if on(&pod) == Some(taken) => {
                    self.operators().delete(&leader, &DeleteParams::default()).await?;
                    Ok(Seen::Not(format!("asked {leader} to go")))
                }
                Some(_) => Ok(Seen::Done(())),
            }
        })
        .await
    }

    /// Waits until every replica of the operator is ready.
    pub(super) async fn until_operators(&self) -> Result<()> {
        let wait = ["rollout", "status", "deployment", "-n", OPERATOR_NAMESPACE, RELEASE, "--timeout=120s"];
        self.database.namespace.stage().kubectl(&wait).await.map(drop)
    }

    /// Waits until the cluster is Healthy in a later term than `term`, and what was deleted is made anew.
    pub(super) async fn until_healed(
        &self,
        term: Option<i64>,
        deleted: Option<&(String, String)>,
    ) -> Result<()> {
        until("the cluster is Healthy in a later term", HEALTHY_WITHIN, async || {
            let status = self.database.status().await?;
            let seen = crate::scenario::brief(&status);
            let is_under_way = status.operation.is_some();
            if status.term <= term || status.phase != Some(Phase::Healthy) || is_under_way {
                return Ok(Seen::Not(seen));
            }
            let Some((name, uid)) = deleted else { return Ok(Seen::Done(())) };
            match self.pods().get_opt(name).await? {
                Some(pod) if pod.uid().as_ref() != Some(uid) => Ok(Seen::Done(())),
                _ => Ok(Seen::Not(format!("{name} is not made anew; {seen}"))),
            }
        })
        .await
    }
}

async fn node(pods: &Api<Pod>, name: &str) -> Result<String> {
    let pod = pods.get(name).await?;
    Ok(on(&pod).with_context(|| format!("{name} is on a node"))?.to_owned())
}

fn on(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
