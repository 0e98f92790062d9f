//! Whoever wants to leave can: with MySQL's own tools, and with the data directory as it is (M5).

use crate::backup::{FACTS, facts, fill, job, location, prepared, stored};
use crate::programs::program;
use crate::store::LONG;
use crate::world::{MYSQL_PORT, World};
use porpoise_agent::vault::Vault;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A mysqld as it comes, without any of Porpoise's settings. The directory's owner is the test.
struct Stock<'a> {
    wrapper: PathBuf,
    data: &'a Path,
    process: Option<Child>,
}

impl<'a> Stock<'a> {
    fn start(world: &World, data: &'a Path) -> Self {
        let mut server = Self { wrapper: world.members[0].path("mysqld"), data, process: None };
        if !data.exists() {
            assert!(server.command().arg("--initialize-insecure").status().unwrap().success());
        }
        let mut command = server.command();
        command.arg("--skip-networking").arg("--socket").arg(server.socket()).arg("--mysqlx=OFF");
        let mut process = command.spawn().unwrap();
        let began = Instant::now();
        while UnixStream::connect(server.socket()).is_err() {
            let is_up = process.try_wait().unwrap().is_none() && began.elapsed() < LONG;
            assert!(is_up, "it does not come up: {}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        server.process = Some(process);
        server
    }

    fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.data.with_extension("log")).unwrap();
        let mut command = Command::new(&self.wrapper);
        command.arg("--no-defaults").arg("--datadir").arg(self.data).stdin(Stdio::null()).stderr(log);
        // The directory that a package makes for it is not here.
        command.arg("--secure-file-priv=NULL");
        command
    }

    fn socket(&self) -> PathBuf {
        self.data.with_extension("sock")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// MySQL's own client, as `user`.
    fn client(&self, user: &str, password: &str) -> Command {
        let mut command = program("mysql");
        command.arg("--default-character-set=utf8mb4").arg("--socket").arg(self.socket());
        command.arg(format!("--user={user}")).env("MYSQL_PWD", password);
        command
    }

    fn facts(&self, user: &str, password: &str) -> Vec<String> {
        let fact = |fact: &str| {
            let mut client = self.client(user, password);
            let found = client.args(["--batch", "--raw", "--skip-column-names", "--execute", fact]);
            let found = found.output().unwrap();
            assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
            String::from_utf8(found.stdout).unwrap().trim_end_matches('\n').to_owned()
        };
        FACTS.into_iter().map(fact).collect()
    }
}

impl Drop for Stock<'_> {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_a_standard_dump_loads_in_a_stock_server() {
    let world = World::cluster(1, 0).await;
    fill(&world).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let dump = elsewhere.path().join("dump.sql");
    let mut dumping = program("mysqldump");
    let member = &world.members[0];
    dumping.arg(format!("--host={}", member.address)).arg(format!("--port={MYSQL_PORT}"));
    dumping.args(["--user=porpoise_backup", "--ssl-mode=VERIFY_IDENTITY"]);
    dumping.arg(format!("--ssl-ca={}", member.path("tls/ca.crt").display()));
    dumping.env("MYSQL_PWD", std::fs::read_to_string(member.path("accounts/backup")).unwrap());
    dumping.args(["--single-transaction", "--hex-blob", "--routines", "--events", "--set-gtid-purged=OFF"]);
    dumping.args(["--databases", "sh_op"]).stdout(File::create(&dump).unwrap());
    assert!(dumping.status().unwrap().success());
    let data = elsewhere.path().join("data");
    let stock = Stock::start(&world, &data);
    let mut loading = stock.client("root", "");
    assert!(loading.stdin(File::open(&dump).unwrap()).status().unwrap().success(), "{}", stock.log());
    let (mut before, mut after) = (facts(&world, 0).await, stock.facts("root", ""));
    // Accounts are no part of a dump of databases.
    assert_ne!(before.pop(), after.pop());
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_a_backup_is_a_data_directory_that_a_stock_server_opens() {
    let (world, store, pod) = prepared(0).await;
    stored(pod.run(&world, &job(&world, &store, &[0], None)).await);
    let place = location(&world, &store);
    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().join("data");
    Vault::open(&place.target, &store.secrets()).unwrap().fetch(&place.path, &data).await.unwrap();
    let stock = Stock::start(&world, &data);
    let password = std::fs::read_to_string(world.members[0].path("accounts/agent")).unwrap();
    assert_eq!(stock.facts("porpoise_agent", &password), facts(&world, 0).await);
}
