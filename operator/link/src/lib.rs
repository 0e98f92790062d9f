//! Mutual TLS between operator and agents: certificates, the agent's server, the operator's client.
//!
//! Both ends speak TLS 1.3 only and both show a certificate of the cluster's own CA. A caller is known by the identity in
//! its certificate, never by its address. The crate expects rustls with the ring provider and names it itself, so it does
//! not depend on an installed default.

pub mod certificates;
pub mod client;
mod patient;
pub mod server;
mod tls;

pub use certificates::{Authority, CertificateError, Issued};
pub use client::{AgentClient, LinkError};
pub use server::{Caller, Limits, ServeError, ServerTls, serve};
pub use tls::TlsError;

/// Identity of a member of the cluster in its certificate; the operator's is `ClusterNames::operator_identity`.
pub const MEMBER_IDENTITY: &str = "member.porpoise";
/// Path of the state, `GET`.
pub const STATE_PATH: &str = "/v1/state";
/// Path of orders, `POST`.
pub const ORDER_PATH: &str = "/v1/order";
/// Path of what is to be archived, `POST`.
pub const ARCHIVE_PATH: &str = "/v1/archive";
