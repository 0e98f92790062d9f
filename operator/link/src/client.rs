//! Calls to an agent: to a Pod's address, while its stable DNS name is what the certificate must show.
//!
//! One connection per call: calls to one agent are seconds apart, and a kept connection to a dead node would lie about it.
//! A question for news is one long call.
//! Nothing is retried here. An order whose answer did not arrive may have been obeyed; the next state tells.

use crate::certificates::Issued;
use crate::tls::{self, Material, TlsError};
use crate::{ARCHIVE_PATH, ORDER_PATH, STATE_PATH};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use porpoise_core::backup::ArchiveOrder;
use porpoise_core::protocol::{MemberState, Order, OrderAnswer};
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Time that asking for a state may take.
pub const STATE_LIMIT: Duration = Duration::from_secs(1);
/// How long an agent keeps a question for news.
pub const NEWS_WAIT: Duration = Duration::from_secs(30);
/// Time that giving an order may take.
pub const ORDER_LIMIT: Duration = Duration::from_secs(2);
/// A state is a few kilobytes; GTID sets can make it longer.
const LARGEST_ANSWER: usize = 4 << 20;

/// What can go wrong in a call to an agent.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum LinkError {
    /// The name is not a DNS name.
    #[error("use {name:?} as the name of an agent")]
    UseName {
        /// The name.
        name: String,
    },
    /// The order has no JSON form.
    #[error("write the order as JSON")]
    WriteOrder {
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// No TCP connection.
    #[error("connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The TLS handshake failed: wrong CA, wrong name, or refused.
    #[error("agree on TLS with {name}")]
    AgreeOnTls {
        /// Who should answer.
        name: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// HTTP failed before the answer began.
    #[error("send the request")]
    SendRequest {
        /// Cause.
        #[source]
        source: hyper::Error,
    },
    /// The answer broke off or is too long.
    #[error("read the answer: {reason}")]
    ReadAnswer {
        /// What happened.
        reason: String,
    },
    /// The agent answered with an HTTP error.
    #[error("agent answered {status}: {text}")]
    RefuseRequest {
        /// HTTP status.
        status: StatusCode,
        /// Its words.
        text: String,
    },
    /// The answer is not what the protocol says.
    #[error("understand the answer")]
    UnderstandAnswer {
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// No answer in time.
    #[error("await the answer for {limit:?}")]
    AwaitAnswer {
        /// The limit.
        limit: Duration,
    },
}

impl LinkError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// Calls agents of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct AgentClient {
    connector: TlsConnector,
}

impl AgentClient {
    /// A client that shows this certificate and trusts its CA alone.
    pub fn new(issued: &Issued) -> Result<Self, TlsError> {
        Self::from_pem(&issued.ca_pem, &issued.cert_pem, &issued.key_pem)
    }

    /// The same from PEM texts, such as the files a member mounts.
    pub fn from_pem(ca: &str, cert: &str, key: &str) -> Result<Self, TlsError> {
        let config = tls::client(&Material { ca, cert, key })?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Asks the agent at `address`, whose certificate must show `server_name`, for its state.
    pub async fn state(
        &self,
        address: SocketAddr,
        server_name: &str,
        limit: Duration,
    ) -> Result<MemberState, LinkError> {
        within(limit, self.call(address, server_name, Method::GET, STATE_PATH, Bytes::new())).await
    }

    /// Waits until the agent has something that matters and is newer than the change `after` of `process`; the agent answers
    /// in any case after [`NEWS_WAIT`]. While it waits the connection stands, so the end of the agent is seen at once.
    pub async fn news(
        &self,
        address: SocketAddr,
        server_name: &str,
        (process, after): (&str, u64),
    ) -> Result<MemberState, LinkError> {
        let path = format!("{STATE_PATH}?after={after}&process={process}");
        let call = self.call(address, server_name, Method::GET, &path, Bytes::new());
        within(NEWS_WAIT + STATE_LIMIT, call).await
    }

    /// Gives an order.
    pub async fn order(
        &self,
        address: SocketAddr,
        server_name: &str,
        order: &Order,
        limit: Duration,
    ) -> Result<OrderAnswer, LinkError> {
        let body = serde_json::to_vec(order).map_err(|source| LinkError::WriteOrder { source })?;
        within(limit, self.call(address, server_name, Method::POST, ORDER_PATH, body.into())).await
    }

    /// Tells what is to be archived.
    pub async fn archive(
        &self,
        address: SocketAddr,
        server_name: &str,
        order: &ArchiveOrder,
        limit: Duration,
    ) -> Result<OrderAnswer, LinkError> {
        let body = serde_json::to_vec(order).map_err(|source| LinkError::WriteOrder { source })?;
        within(limit, self.call(address, server_name, Method::POST, ARCHIVE_PATH, body.into())).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        address: SocketAddr,
        name: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<A, LinkError> {
        let stream = self.connect(address, name).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| LinkError::SendRequest { source })?;
        let _driver = Driver(tokio::spawn(connection).abort_handle());
        let request = request(method, name, path, body)?;
        let answer =
            sender.send_request(request).await.map_err(|source| LinkError::SendRequest { source })?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| LinkError::ReadAnswer { reason: error.to_string() })?
            .to_bytes();
        understand(status, &bytes)
    }

    async fn connect(&self, address: SocketAddr, name: &str) -> Result<TlsStream<TcpStream>, LinkError> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| LinkError::UseName { name: name.to_owned() })?;
        let stream =
            TcpStream::connect(address).await.map_err(|source| LinkError::Connect { address, source })?;
        // Small requests must not wait for Nagle.
        stream.set_nodelay(true).map_err(|source| LinkError::Connect { address, source })?;
        let connected = self.connector.connect(server, stream).await;
        connected.map_err(|source| LinkError::AgreeOnTls { name: name.to_owned(), source })
    }
}

/// Ends the connection's task with the call.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(method: Method, name: &str, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, LinkError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, name)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| LinkError::UseName { name: name.to_owned() })
}

fn understand<A: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> Result<A, LinkError> {
    if !status.is_success() {
        let text = String::from_utf8_lossy(bytes).chars().take(512).collect();
        return Err(LinkError::RefuseRequest { status, text });
    }
    serde_json::from_slice(bytes).map_err(|source| LinkError::UnderstandAnswer { source })
}

async fn within<A>(
    limit: Duration,
    call: impl Future<Output = Result<A, LinkError>>,
) -> Result<A, LinkError> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(LinkError::AwaitAnswer { limit }))
}
