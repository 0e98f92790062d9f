//! Bare servers: what `mysqld` itself costs on this machine, in this run.

use crate::rig::mysql_root;
use crate::scenario::Account;
use anyhow::{Context, Result, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, MySqlConnection, Row};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Where servers with a port listen.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// As our agents start theirs, as far as it matters for time.
const ARGUMENTS: &[&str] = &[
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--log-bin=binlog",
    "--relay-log=relay",
    "--relay-log-recovery=OFF",
    "--skip-replica-start=ON",
    "--replica-preserve-commit-order=ON",
    "--super-read-only=ON",
];

/// Initialises and boots `count` servers side by side; answers the time until the last one accepts connections.
pub(super) fn initialise_and_boot(count: usize) -> Result<Duration> {
    let folder = tempfile::tempdir().context("make a folder for bare servers")?;
    let begin = Instant::now();
    let mut servers = (0..count)
        .map(|index| Server::alone(folder.path().join(index.to_string())))
        .collect::<Result<Vec<Server>>>()?;
    initialise(&servers)?;
    boot(&mut servers)?;
    Ok(begin.elapsed())
}

/// Makes the data of these servers, side by side.
pub(super) fn initialise(servers: &[Server]) -> Result<()> {
    let mut initialising = servers.iter().map(Server::initialise).collect::<Result<Vec<Child>>>()?;
    for child in &mut initialising {
        ensure!(child.wait()?.success(), "a bare mysqld did not initialise");
    }
    Ok(())
}

/// Boots these servers side by side and waits until all accept connections.
pub(super) fn boot(servers: &mut [Server]) -> Result<()> {
    let begin = Instant::now();
    for server in &mut *servers {
        server.boot()?;
    }
    servers.iter().try_for_each(|server| server.wait(begin))
}

/// Ports of this machine that nobody uses, each another one.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>> {
    // Held until all are chosen, so that they differ.
    let held = (0..count).map(|_| TcpListener::bind((HOST, 0))).collect::<Result<Vec<TcpListener>, _>>()?;
    held.iter().map(|one| Ok(one.local_addr()?.port())).collect()
}

/// One bare mysqld.
pub(super) struct Server {
    root: PathBuf,
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// A server that will live in `folder` and has nobody to talk to.
    fn alone(folder: PathBuf) -> Result<Self> {
        let arguments = vec!["--skip-networking".to_owned()];
        Ok(Self { root: mysql_root()?, folder, port: 0, arguments, process: None })
    }

    /// A server that will live in `folder`, listens at `port` and has others beside it; their ports tell them apart. It is
    /// served with `more` arguments; of two that contradict each other the later one counts.
    pub(super) fn member(folder: PathBuf, port: u16, more: Vec<String>) -> Result<Self> {
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|one| (*one).to_owned()).chain(more).collect();
        arguments.extend([
            format!("--bind-address={HOST}"),
            format!("--port={port}"),
            format!("--server-id={port}"),
        ]);
        Ok(Self { root: mysql_root()?, folder, port, arguments, process: None })
    }

    /// Where it listens for connections of any machine.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// An account at it whose password is its name.
    pub(super) fn account(&self, user: &str, database: &str) -> Account {
        Account {
            host: HOST.to_string(),
            port: self.port,
            user: user.to_owned(),
            password: user.to_owned(),
            database: database.to_owned(),
        }
    }

    /// Runs statements.
    pub(super) async fn run(&self, statements: &str) -> Result<()> {
        let mut connection = self.connect().await?;
        let run = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        let ran = timeout(LIMIT, run.execute(&mut connection)).await;
        ran.with_context(|| format!("a bare mysqld worked over {LIMIT:?} at {statements}"))?
            .with_context(|| format!("a bare mysqld: {statements}"))?;
        Ok(())
    }

    /// The one text that a query answers.
    pub(super) async fn text(&self, query: &str) -> Result<String> {
        let mut connection = self.connect().await?;
        let fetch = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        let row = timeout(LIMIT, fetch.fetch_one(&mut connection)).await;
        let row = row.with_context(|| format!("a bare mysqld worked over {LIMIT:?} at {query}"))??;
        Ok(row.try_get(0)?)
    }

    /// A connection as root through the socket.
    pub(super) async fn connect(&self) -> Result<MySqlConnection> {
        let options = MySqlConnectOptions::new()
            .socket(self.socket())
            .username("root")
            .ssl_mode(MySqlSslMode::Disabled)
            .disable_statement_logging();
        let connection = timeout(LIMIT, options.connect()).await;
        connection.context("a bare mysqld did not let us in")?.context("connect to a bare server")
    }

    /// Debian's server needs a newer libc than the host may have, so it runs with its own loader.
    fn command(&self) -> Command {
        let library = self.root.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(library.join("ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(format!("{}:{}", library.display(), self.root.join("usr/lib/mysql/private").display()))
            .arg(self.root.join("usr/sbin/mysqld"))
            .args(["--no-defaults", "--user=root", "--mysqlx=OFF", "--secure-file-priv=NULL"])
            .arg(format!("--lc-messages-dir={}", self.root.join("usr/share/mysql").display()))
            .arg(format!("--character-sets-dir={}", self.root.join("usr/share/mysql/charsets").display()))
            .arg(format!("--plugin-dir={}", self.root.join("usr/lib/mysql/plugin").display()))
            .arg(format!("--datadir={}", self.folder.join("data").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn initialise(&self) -> Result<Child> {
        std::fs::create_dir_all(&self.folder)?;
        self.command()
            .args(["--skip-networking", "--initialize-insecure"])
            .spawn()
            .context("start a bare mysqld")
    }

    /// Where it listens for connections of this machine.
    fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    fn boot(&mut self) -> Result<()> {
        let mut command = self.command();
        command
            .args(&self.arguments)
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.join("pid").display()))
            .arg(format!("--log-error={}", self.folder.join("log").display()));
        self.process = Some(command.spawn().context("boot a bare mysqld")?);
        Ok(())
    }

    fn wait(&self, begin: Instant) -> Result<()> {
        while !accepts(&self.socket()) {
            ensure!(begin.elapsed() < LIMIT, "a bare mysqld did not accept connections within {LIMIT:?}");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            process.kill().context("kill a bare mysqld")?;
            process.wait()?;
        }
        self.process = None;
        Ok(())
    }
}

fn accepts(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is thrown away with the folder.
        let _ = self.kill();
    }
}
