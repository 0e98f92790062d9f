//! The kinds that the operator owns, in one table.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::ApiResource;
use kube::{Resource, ResourceExt};
use porpoise_core::plan::Desired;
use serde_json::Value;

/// The one field manager of owned objects, and the value of the label `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "porpoise";
/// Label that says who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label that says which cluster an object belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Name of this controller in Events and as the CRD's group.
pub const CONTROLLER: &str = "mysql.porpoise.dev";

/// A kind of owned object that is compared and applied.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::EnumIter,
    strum::EnumString,
)]
pub enum OwnedKind {
    /// Configuration of mysqld and agent.
    ConfigMap,
    /// Identity of the Pods.
    ServiceAccount,
    /// Who may reach the members.
    NetworkPolicy,
    /// Headless, rw or ro Service.
    Service,
    /// Budget for voluntary disruptions.
    PodDisruptionBudget,
    /// The members.
    StatefulSet,
    /// Target of the rw Service.
    EndpointSlice,
}

impl OwnedKind {
    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
        }
    }

    /// The kind's name, for people and metrics.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// A desired object, ready to be compared and sent.
pub struct Wanted {
    /// Its kind.
    pub kind: OwnedKind,
    /// Its name.
    pub name: String,
    /// All of it.
    pub json: Value,
}

impl Wanted {
    /// From the plan.
    pub fn new(desired: &Desired) -> Result<Self, serde_json::Error> {
        match desired {
            Desired::ConfigMap(object) => wanted(OwnedKind::ConfigMap, object.as_ref()),
            Desired::ServiceAccount(object) => wanted(OwnedKind::ServiceAccount, object.as_ref()),
            Desired::NetworkPolicy(object) => wanted(OwnedKind::NetworkPolicy, object.as_ref()),
            Desired::Service(object) => wanted(OwnedKind::Service, object.as_ref()),
            Desired::PodDisruptionBudget(object) => wanted(OwnedKind::PodDisruptionBudget, object.as_ref()),
            Desired::StatefulSet(object) => wanted(OwnedKind::StatefulSet, object.as_ref()),
            Desired::EndpointSlice(object) => wanted(OwnedKind::EndpointSlice, object.as_ref()),
        }
    }

    /// Kind and name, such as `Service shop-ro`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.word(), self.name)
    }
}

fn wanted<K: Resource + serde::Serialize>(kind: OwnedKind, object: &K) -> Result<Wanted, serde_json::Error> {
    Ok(Wanted { kind, name: object.name_any(), json: serde_json::to_value(object)? })
}
