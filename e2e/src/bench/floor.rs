//! Bare servers: what `mysqld` itself costs on this machine, in this run.

use crate::rig::mysql_root;
use anyhow::{Context, Result, ensure};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(10);

/// Initialises and boots `count` servers side by side; answers the time until the last one accepts connections.
pub(super) fn initialise_and_boot(count: usize) -> Result<Duration> {
    let folder = tempfile::tempdir().context("make a folder for bare servers")?;
    let begin = Instant::now();
    let mut servers = (0..count)
        .map(|index| Server::new(folder.path().join(index.to_string()), vec!["--skip-networking".to_owned()]))
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

/// One bare mysqld.
pub(super) struct Server {
    root: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// A server that will live in `folder` and is served with `arguments`.
    pub(super) fn new(folder: PathBuf, arguments: Vec<String>) -> Result<Self> {
        Ok(Self { root: mysql_root()?, folder, arguments, process: None })
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
    pub(super) fn socket(&self) -> PathBuf {
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
