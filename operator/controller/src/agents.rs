//! The operator's connections to the agents of each cluster, by the cluster's own CA.

use crate::kubernetes::{CallError, bounded, chain};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use porpoise_core::backup::ArchiveOrder;
use porpoise_core::names::{AGENT_PORT, ClusterNames};
use porpoise_core::protocol::{MemberState, Order, OrderAnswer};
use porpoise_link::certificates::Validity;
use porpoise_link::client::ORDER_LIMIT;
use porpoise_link::{AgentClient, Authority, CertificateError, LinkError, TlsError};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Key of the CA certificate in the Secrets.
pub const CA_CERT: &str = "ca.crt";
/// Key of the CA's private key in the Secret `NAME-ca`.
pub const CA_KEY: &str = "ca.key";

/// The operator's own certificates live in memory only, this long.
const LIFETIME: Duration = Duration::from_hours(24);
/// They are renewed after this time; a new CA is then seen as well.
const RENEWAL: Duration = Duration::from_hours(8);

/// Why an agent cannot be called.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum AgentError {
    /// The Secret with the CA is absent or cannot be read.
    #[error("read the Secret {name}")]
    ReadAuthority {
        /// The Secret.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// The Secret with the CA lacks a key.
    #[error("find {key} in the Secret {name}")]
    FindKey {
        /// The Secret.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// No certificate for the operator.
    #[error("issue the operator's certificate")]
    IssueCertificate {
        /// Cause.
        #[source]
        source: CertificateError,
    },
    /// No TLS client.
    #[error("make a TLS client")]
    MakeClient {
        /// Cause.
        #[source]
        source: TlsError,
    },
    /// The Pod's address is no IP address.
    #[error("read {address:?} as an address")]
    ReadAddress {
        /// The address.
        address: String,
    },
    /// The call failed.
    #[error("call the agent of {instance}")]
    CallAgent {
        /// The instance.
        instance: String,
        /// Cause.
        #[source]
        source: LinkError,
    },
}

impl AgentError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::CallAgent { source, .. } => source.category(),
            other => other.into(),
        }
    }
}

/// A member, as it is called.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Name of the instance.
    pub instance: &'a str,
    /// Address of its Pod.
    pub address: &'a str,
}

/// Clients of all clusters' agents.
#[derive(Default)]
pub struct Agents {
    clients: Mutex<HashMap<String, (Instant, AgentClient)>>,
}

impl Agents {
    /// The client for the cluster with this UID; issued when there is none or it is old.
    pub async fn client(
        &self,
        kubernetes: &Client,
        uid: &str,
        names: &ClusterNames,
    ) -> Result<AgentClient, AgentError> {
        let known = self.lock().get(uid).filter(|(issued, _)| issued.elapsed() < RENEWAL).cloned();
        if let Some((_, client)) = known {
            return Ok(client);
        }
        let client = issue(&authority(kubernetes, names).await?)?;
        self.lock().insert(uid.to_owned(), (Instant::now(), client.clone()));
        Ok(client)
    }

    /// Forgets a client: the cluster is gone, or its CA seems to have changed.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, AgentClient)>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a member for its state.
pub async fn state(
    client: &AgentClient,
    names: &ClusterNames,
    member: Member<'_>,
    limit: Duration,
) -> Result<MemberState, AgentError> {
    let answer = client.state(address(member)?, &names.host(member.instance), limit).await;
    answer.map_err(|source| failed(member, source))
}

/// Waits for news of a member, past the change that is known of its process.
pub async fn news(
    client: &AgentClient,
    names: &ClusterNames,
    member: Member<'_>,
    known: (&str, u64),
) -> Result<MemberState, AgentError> {
    let answer = client.news(address(member)?, &names.host(member.instance), known).await;
    answer.map_err(|source| failed(member, source))
}

/// Gives a member an order.
pub async fn order(
    client: &AgentClient,
    names: &ClusterNames,
    member: Member<'_>,
    order: &Order,
) -> Result<OrderAnswer, AgentError> {
    let answer = client.order(address(member)?, &names.host(member.instance), order, ORDER_LIMIT).await;
    answer.map_err(|source| failed(member, source))
}

/// Tells a member what is to be archived.
pub async fn archive(
    client: &AgentClient,
    names: &ClusterNames,
    member: Member<'_>,
    order: &ArchiveOrder,
) -> Result<OrderAnswer, AgentError> {
    let answer = client.archive(address(member)?, &names.host(member.instance), order, ORDER_LIMIT).await;
    answer.map_err(|source| failed(member, source))
}

fn failed(member: Member<'_>, source: LinkError) -> AgentError {
    AgentError::CallAgent { instance: member.instance.to_owned(), source }
}

fn address(member: Member<'_>) -> Result<SocketAddr, AgentError> {
    let address: IpAddr =
        member.address.parse().map_err(|_| AgentError::ReadAddress { address: member.address.to_owned() })?;
    Ok(SocketAddr::new(address, AGENT_PORT))
}

async fn authority(kubernetes: &Client, names: &ClusterNames) -> Result<Authority, AgentError> {
    let name = names.authority_secret();
    let secrets: Api<Secret> = Api::namespaced(kubernetes.clone(), names.namespace());
    let secret = bounded(secrets.get(&name)).await;
    let secret = secret.map_err(|source| AgentError::ReadAuthority { name: name.clone(), source })?;
    let text = |key: &'static str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let text = value.and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
        text.ok_or_else(|| AgentError::FindKey { name: name.clone(), key })
    };
    Authority::from_pem(text(CA_CERT)?, text(CA_KEY)?)
        .map_err(|source| AgentError::IssueCertificate { source })
}

fn issue(authority: &Authority) -> Result<AgentClient, AgentError> {
    let validity = Validity { now: Timestamp::now(), lifetime: LIFETIME };
    let issued = authority
        .issue_client(ClusterNames::operator_identity(), validity)
        .map_err(|source| AgentError::IssueCertificate { source })?;
    AgentClient::new(&issued).map_err(|source| AgentError::MakeClient { source })
}

/// A sentence for people: why the agent did not answer.
pub fn reason(error: &AgentError) -> String {
    chain(error)
}
