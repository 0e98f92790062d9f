//! How the agent gets into its own mysqld.

use super::rows::Row;
use super::{SqlError, Statement, statements};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A statement that takes longer is named in the log.
const SLOW: Duration = Duration::from_millis(100);

/// Where to connect and as whom. It holds no password: the file is read each time, so a new one is taken up.
#[derive(Clone, Debug)]
pub struct Door {
    place: Place,
    password_file: PathBuf,
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
        let place = Place::Socket(socket.to_owned());
        Self { place, password_file: password_file.to_owned(), user: user.to_owned() }
    }

    /// Another member's server, by its address: the agent looks up no names, since a static program that does depends on
    /// libraries of the image it runs in. So the certificate is checked for its authority alone.
    pub fn remote(
        (address, port): (IpAddr, u16),
        authority: &Path,
        password_file: &Path,
        user: &str,
    ) -> Self {
        let place = Place::Network { address, port, authority: authority.to_owned() };
        Self { place, password_file: password_file.to_owned(), user: user.to_owned() }
    }

    /// A Service, by its name, which the certificate must have. Only for a program in an image of ours.
    pub fn service((host, port): (&str, u16), authority: &Path, password_file: &Path, user: &str) -> Self {
        let place = Place::Service { host: host.to_owned(), port, authority: authority.to_owned() };
        Self { place, password_file: password_file.to_owned(), user: user.to_owned() }
    }

    /// Opens a connection for steps that may block.
    pub async fn open(&self) -> Result<Connection, SqlError> {
        let options = self.options()?;
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
    fn options(&self) -> Result<MySqlConnectOptions, SqlError> {
        let password = std::fs::read_to_string(&self.password_file).map_err(|error| SqlError::Connect {
            reason: format!("read the password file: {}", error.kind()),
        })?;
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
        Ok(options
            .username(&self.user)
            .password(&password)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .statement_cache_capacity(0)
            .disable_statement_logging())
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

    /// Says goodbye, within reason.
    pub async fn close(self) {
        let _ = timeout(Duration::from_millis(200), self.inner.close()).await;
    }
}
