//! Three bare servers in one group, as MySQL's own Group Replication has them: what clients see of the same `kill -9` when
//! nobody but MySQL looks after it.
//!
//! Source: MySQL 9.7 Reference Manual, "Deploying Group Replication in Single-Primary Mode".

use super::floor::{self, HOST, Server};
use super::results::{Peer, Samples, milliseconds};
use crate::campaign::{RATE, WRITERS};
use crate::ledger::{At, Clock, History, Pace, Shift, TABLE, Tally, broken_rows, longest_gap, tables};
use crate::rig::{group_replication, mysql_root};
use crate::scenario::{Account, OWN_NETWORK, Seen, until};
use anyhow::{Context, Result};
use futures::future::try_join;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Settings under which a group is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    what: &'static str,
    arguments: &'static [&'static str],
}

/// With everything else as MySQL has it by default.
pub(super) const SETTINGS: &[Setting] = &[
    Setting { what: "three bare mysqld in Group Replication with its defaults: kill -9", arguments: &[] },
    Setting {
        what: "the same with group_replication_member_expel_timeout=0",
        arguments: &["--group-replication-member-expel-timeout=0"],
    },
];

const NAME: &str = "5a0d1f1e-6c1b-4c5e-9f57-0b8f6f3c9a10";
const MEMBERS: usize = 3;
const ALL_ONLINE: &str = "3";
const LIMIT: Duration = Duration::from_mins(2);
/// Clients have reached their pace after so many writes.
const STEADY: u64 = 60;

const ACCOUNTS: &str = "SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF; \
     CREATE USER follower@'%' IDENTIFIED BY 'follower'; \
     GRANT REPLICATION SLAVE, BACKUP_ADMIN, CONNECTION_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO follower@'%'; \
     CREATE DATABASE app; CREATE USER app@'%' IDENTIFIED BY 'app'; GRANT ALL ON app.* TO app@'%'; USE app; ";
const JOIN: &str = "START GROUP_REPLICATION USER = 'follower', PASSWORD = 'follower'";
const ONLINE: &str = "SELECT CAST(COUNT(*) AS CHAR) FROM performance_schema.replication_group_members \
                      WHERE member_state = 'ONLINE'";
const PRIMARY: &str = "SELECT CAST(member_port AS CHAR) FROM performance_schema.replication_group_members \
                       WHERE member_role = 'PRIMARY' AND member_state = 'ONLINE'";

/// The group and all that clients were told about it.
struct Group {
    servers: Vec<Server>,
    clock: Clock,
    history: History,
    writers: u32,
    /// Removed after the servers are gone: fields are dropped in this order.
    _folder: tempfile::TempDir,
}

/// Kills the primary of one group so many times.
pub(super) async fn measure(setting: &Setting, cycles: usize) -> Result<Peer> {
    let mut group = Group::start(setting.arguments).await.context("make a group")?;
    let mut samples = Samples::default();
    for _ in 0..cycles {
        let gap = group.kill().await.with_context(|| setting.what)?;
        println!("{}: gap {} ms", setting.what, gap.as_millis());
        samples.0.push(milliseconds(gap));
    }
    Ok(Peer { what: setting.what.to_owned(), samples, violations: Some(group.judge().await?) })
}

impl Group {
    async fn start(more: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for bare servers")?;
        let mut group = Self {
            servers: servers(folder.path(), more)?,
            clock: Clock::start(),
            history: History::default(),
            writers: 0,
            _folder: folder,
        };
        floor::initialise(&group.servers)?;
        floor::boot(&mut group.servers)?;
        group.servers[0].run(&format!("{ACCOUNTS}{TABLE}")).await?;
        let begin = format!(
            "SET GLOBAL group_replication_bootstrap_group = ON; {JOIN}; SET GLOBAL group_replication_bootstrap_group = OFF"
        );
        group.servers[0].run(&begin).await?;
        try_join(group.servers[1].run(JOIN), group.servers[2].run(JOIN)).await?;
        group.until_online().await?;
        Ok(group)
    }

    /// One `kill -9` of the primary under writes; the longest time without an acknowledged one. The killed server is back
    /// in the group when this returns.
    async fn kill(&mut self) -> Result<Duration> {
        let primary = self.primary().await?;
        let first = self.writers;
        self.writers += WRITERS;
        let pace = Pace::PerSecond(RATE);
        let shift = Shift::start(Path::new(OWN_NETWORK), &self.accounts(), self.clock, first, WRITERS, pace);
        let struck = self.strike(primary, &shift).await;
        // Whatever happened: clients do not write for ever.
        let history = shift.end().await?;
        let fault = struck.with_context(|| format!("clients: {}", Tally::of(&history)))?;
        let gap = longest_gap(&history.entries, fault).context("no write was acknowledged after the kill")?;
        self.history.extend(history);
        floor::boot(&mut self.servers[primary..=primary])?;
        self.servers[primary].run(JOIN).await?;
        self.until_online().await?;
        Ok(gap.length())
    }

    /// Kills the primary and waits until clients can write again; answers when it was killed.
    async fn strike(&mut self, primary: usize, shift: &Shift) -> Result<At> {
        shift.until_steady(STEADY, LIMIT).await?;
        let fault = self.clock.now();
        self.servers[primary].kill()?;
        shift.until_resumed(self.clock.now(), LIMIT).await?;
        Ok(fault)
    }

    /// How many promises to clients were broken: rows lost, or not the same on all.
    async fn judge(&self) -> Result<u64> {
        let accounts = self.accounts();
        let read = tables(&accounts, &accounts[self.primary().await?]);
        let tables = timeout(LIMIT, read).await.context("read the group's members")??;
        let broken = broken_rows(&self.history, &tables);
        for one in &broken {
            println!("{one}");
        }
        println!("Group Replication: {}; {} violations", Tally::of(&self.history), broken.len());
        Ok(u64::try_from(broken.len()).unwrap_or(u64::MAX))
    }

    /// The application's account at each server: clients have to find the primary by themselves.
    fn accounts(&self) -> Vec<Account> {
        self.servers.iter().map(|server| server.account("app", "app")).collect()
    }

    async fn primary(&self) -> Result<usize> {
        let port = self.servers[0].text(PRIMARY).await?;
        let primary = self.servers.iter().position(|server| server.port().to_string() == port);
        primary.with_context(|| format!("the group's primary is at port {port}"))
    }

    /// Waits until every member sees every member.
    async fn until_online(&self) -> Result<()> {
        until("all members of the group are online", LIMIT, async || {
            for server in &self.servers {
                let online = server.text(ONLINE).await?;
                if online != ALL_ONLINE {
                    return Ok(Seen::Not(format!("port {} sees {online} of {MEMBERS}", server.port())));
                }
            }
            Ok(Seen::Done(()))
        })
        .await
    }
}

/// The members, each with a port for clients and one for the group.
fn servers(folder: &Path, more: &[&str]) -> Result<Vec<Server>> {
    let ports = floor::free_ports(2 * MEMBERS)?;
    let (clients, group) = ports.split_at(MEMBERS);
    let seeds: Vec<String> = group.iter().map(|port| format!("{HOST}:{port}")).collect();
    let members = clients.iter().zip(&seeds).enumerate();
    members
        .map(|(index, (port, address))| {
            let mut arguments = arguments(address, &seeds)?;
            arguments.extend(more.iter().map(|one| (*one).to_owned()));
            Server::member(folder.join(index.to_string()), *port, arguments)
        })
        .collect()
}

fn arguments(address: &str, seeds: &[String]) -> Result<Vec<String>> {
    let plugin = group_replication(&mysql_root()?);
    Ok(vec![
        format!("--plugin-dir={}", plugin.parent().context("the plugin's folder")?.display()),
        "--plugin-load-add=group_replication.so".to_owned(),
        format!("--report-host={HOST}"),
        format!("--group-replication-group-name={NAME}"),
        format!("--group-replication-local-address={address}"),
        format!("--group-replication-group-seeds={}", seeds.join(",")),
        "--group-replication-start-on-boot=OFF".to_owned(),
        "--group-replication-recovery-get-public-key=ON".to_owned(),
    ])
}
