//! Connections to the API server, and calls that end in time.

use kube::{Client, Config};
use std::time::Duration;

/// Time for an ordinary call, kube's own retries included.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Time for a call of the lease or the record, which is never retried by the client.
pub const STRICT_LIMIT: Duration = Duration::from_secs(5);

/// The two connections. kube's default client retries 429, 503 and 504 for minutes; for lease and record an answer that
/// comes late is worse than none.
#[derive(Clone)]
pub struct Clients {
    /// For everything else.
    pub general: Client,
    /// For the lease and the record: no retries below us.
    pub strict: Client,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account is usable.
    #[error("find out how to reach the API server")]
    InferConfig {
        /// Cause.
        #[source]
        source: kube::config::InferConfigError,
    },
    /// The settings are not usable.
    #[error("make a client of the API server")]
    MakeClient {
        /// Cause.
        #[source]
        source: kube::Error,
    },
}

impl Clients {
    /// From the service account or `KUBECONFIG`.
    pub async fn connect() -> Result<Self, ConnectError> {
        let config = Config::infer().await.map_err(|source| ConnectError::InferConfig { source })?;
        let mut strict = config.clone();
        strict.default_retry = false;
        Ok(Self { general: client(config)?, strict: client(strict)? })
    }
}

fn client(mut config: Config) -> Result<Client, ConnectError> {
    config.connect_timeout = Some(STRICT_LIMIT);
    config.write_timeout = Some(CALL_LIMIT);
    Client::try_from(config).map_err(|source| ConnectError::MakeClient { source })
}

/// Why a call failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum CallError {
    /// The API server refused, or the connection failed.
    #[error("call the API server")]
    CallServer {
        /// Cause.
        #[source]
        source: kube::Error,
    },
    /// No answer in time. What was asked for may have happened.
    #[error("await the API server for {limit:?}")]
    AwaitServer {
        /// The limit.
        limit: Duration,
    },
}

impl CallError {
    /// Stable word for events and metrics: the server's own reason where there is one.
    pub fn category(&self) -> &'static str {
        match self.code() {
            Some(403) => "Forbidden",
            Some(404) => "NotFound",
            Some(409) => "Conflict",
            Some(422) => "Invalid",
            Some(429) => "TooManyRequests",
            _ => self.into(),
        }
    }

    /// HTTP status of the server's answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::CallServer { source: kube::Error::Api(status) } => Some(status.code),
            Self::CallServer { .. } | Self::AwaitServer { .. } => None,
        }
    }

    /// The object or kind does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The precondition does not hold, or the object exists already.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The operator is not allowed to.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }
}

/// An ordinary call under its limit.
pub async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    within(CALL_LIMIT, call).await
}

/// A call under a limit.
pub async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(CallError::CallServer { source }),
        Err(_) => Err(CallError::AwaitServer { limit }),
    }
}

/// Nothing instead of "not found".
pub fn existing<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
