//! How the agent gets into its own mysqld.

use super::key::Key;
use super::rows::Row;
use super::{Meaning, SqlError, Statement, statements};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A statement that takes longer is named in the log.
const SLOW: Duration = Duration::from_millis(100);

/// Where to connect and as whom. The file with the password is read each time, so a new one is taken up; clones share
/// the one that last got in.
#[derive(Clone, Debug)]
pub struct Door {
    place: Place,
    key: Arc<Key>,
    user: String,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Network { address: IpAddr, port: u16, authority: PathBuf },
    Service { host: String, port: u16, authority: PathBuf },
}

impl Door {
    /// The agent's account over the unix socket.
    pub fn new(socket: &Path, password_file: &Path, user: &str) -> Self {
        Self::at(Place::Socket(socket.to_owned()), password_file, user)
    }

    /// Another member's server, by its address: the agent looks up no names, since a static program that does depends on
    /// libraries of the image it runs in. So the certificate is checked for its authority alone.
    pub fn remote(
        (address, port): (IpAddr, u16),
        authority: &Path,
        password_file: &Path,
        user: &str,
    ) -> Self {
        Self::at(Place::Network { address, port, authority: authority.to_owned() }, password_file, user)
    }

    /// A Service, by its name, which the certificate must have. Only for a program in an image of ours.
    pub fn service((host, port): (&str, u16), authority: &Path, password_file: &Path, user: &str) -> Self {
        let host = host.to_owned();
        Self::at(Place::Service { host, port, authority: authority.to_owned() }, password_file, user)
    }

    fn at(place: Place, password_file: &Path, user: &str) -> Self {
        Self { place, key: Arc::new(Key::new(password_file)), user: user.to_owned() }
    }

    /// The same for another user with the same password.
    #[must_use]
    pub fn as_user(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }

    /// Opens a connection for steps that may block. Between a change of the Secret and its arrival in the server, the
    /// password that last got in does so again.
    pub async fn open(&self) -> Result<Connection, SqlError> {
        let written = self.key.read()?;
        let denied = match self.enter(&self.user, &written).await {
            Ok(connection) => {
                self.key.fits(written);
                return Ok(connection);
            }
            Err(error) if error.meaning() == Meaning::AccessDenied => error,
            Err(error) => return Err(error),
        };
        match self.key.former(&written) {
            Some(former) => self.enter(&self.user, &former).await,
            None => Err(denied),
        }
    }

    /// Tries a new content of the file, if there is one, before the next content could come.
    pub async fn try_new_key(&self) {
        if self.key.is_untried()
            && let Ok(connection) = self.open().await
        {
            connection.close().await;
        }
    }

    /// Whether the server takes this password of `user`, who must be allowed to log in from here.
    ///
    /// # Errors
    /// The server did not say.
    pub async fn accepts(&self, user: &str, password: &str) -> Result<bool, SqlError> {
        match self.enter(user, password).await {
            Ok(connection) => {
                connection.close().await;
                Ok(true)
            }
            Err(error) => match error.meaning() {
                Meaning::AccessDenied => Ok(false),
                Meaning::TurnedAway => Ok(true),
                Meaning::CannotRetain
                | Meaning::Missing
                | Meaning::ChannelState
                | Meaning::RestartNeeded
                | Meaning::Other => Err(error),
            },
        }
    }

    async fn enter(&self, user: &str, password: &str) -> Result<Connection, SqlError> {
        let options = self.options(user, password);
        let step = "connect";
        let limit = CONNECT_LIMIT;
        let Ok(connected) = timeout(limit, options.connect()).await else {
            return Err(SqlError::TimedOut { step, limit });
        };
        let inner = connected.map_err(|error| SqlError::connecting(&error))?;
        let mut connection = Connection { inner };
        connection.run(statements::session_mode(), limit).await?;
        Ok(connection)
    }

    /// TLS over the socket, because the driver's first login fails there without it (kube-sqlx-habits.md §7). The
    /// certificate is not verified: the socket's directory is the agent's own, so nobody is in between, and an expired
    /// certificate must not make the agent blind just when it may have to fence.
    fn options(&self, user: &str, password: &str) -> MySqlConnectOptions {
        let options = match &self.place {
            Place::Socket(path) => MySqlConnectOptions::new().socket(path).ssl_mode(MySqlSslMode::Required),
            Place::Network { address, port, authority } => MySqlConnectOptions::new()
                .host(&address.to_string())
                .port(*port)
                .ssl_mode(MySqlSslMode::VerifyCa)
                .ssl_ca(authority),
            Place::Service { host, port, authority } => MySqlConnectOptions::new()
                .host(host)
                .port(*port)
                .ssl_mode(MySqlSslMode::VerifyIdentity)
                .ssl_ca(authority),
        };
        options
            .username(user)
            .password(password)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .statement_cache_capacity(0)
            .disable_statement_logging()
    }
}

/// One connection. After anything but a plain refusal it is dropped, never used again: a late answer could be taken for
/// the next statement's.
pub struct Connection {
    inner: MySqlConnection,
}

impl Connection {
    /// Runs a statement for its effect.
    pub async fn run(&mut self, statement: Statement, limit: Duration) -> Result<(), SqlError> {
        self.rows(statement, limit).await.map(|_| ())
    }

    /// Runs a statement for its rows.
    pub async fn rows(&mut self, statement: Statement, limit: Duration) -> Result<Vec<Row>, SqlError> {
        let step = statement.step();
        let query = statement.into_query();
        let start = Instant::now();
        let answer = timeout(limit, query.fetch_all(&mut self.inner)).await;
        if start.elapsed() > SLOW {
            tracing::info!(step, took_ms = start.elapsed().as_millis(), "slow step");
        }
        match answer {
            Err(_) => Err(SqlError::TimedOut { step, limit }),
            Ok(Err(error)) => Err(SqlError::of(step, &error)),
            Ok(Ok(rows)) => Ok(rows.into_iter().map(|row| Row::new(step, row)).collect()),
        }
    }

    pub(super) fn inner(&mut self) -> &mut MySqlConnection {
        &mut self.inner
    }

    /// Says goodbye, within reason.
    pub async fn close(self) {
        let _ = timeout(Duration::from_millis(200), self.inner.close()).await;
    }
}
