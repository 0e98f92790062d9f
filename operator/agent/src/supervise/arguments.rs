//! mysqld's command line. What stands here wins over `my.cnf`: users cannot change it (ha.md §1).

use crate::settings::Settings;
use porpoise_core::protocol::AgentConfig;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Settings on which the promise rests.
const FIXED: &[&str] = &[
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    // 9.7 warns that it will go; ROW is then all there is.
    "--loose-binlog-format=ROW",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--log-bin=binlog",
    "--relay-log=relay",
    "--log-replica-updates=ON",
    "--read-only=ON",
    "--super-read-only=ON",
    "--offline-mode=ON",
    "--skip-replica-start=ON",
    // ha.md H10: with ON, what was acknowledged but not applied is thrown away at a crash.
    "--relay-log-recovery=OFF",
    "--replica-preserve-commit-order=ON",
    // Else a receiver leaves out what its own instance wrote in an earlier life, and a blank member that follows lacks it
    // (MySQL manual, `replicate_same_server_id`). GTIDs keep anything from being applied twice.
    "--replicate-same-server-id=ON",
    // A source that is cut off without a reset is noticed after this many seconds; it sends a heartbeat every second.
    "--replica-net-timeout=4",
    "--plugin-load-add=semisync_source.so",
    "--plugin-load-add=semisync_replica.so",
    "--plugin-load-add=mysql_clone.so",
    "--rpl-semi-sync-source-enabled=OFF",
    "--rpl-semi-sync-replica-enabled=OFF",
    "--rpl-semi-sync-source-wait-point=AFTER_SYNC",
    "--rpl-semi-sync-source-wait-no-replica=ON",
    "--rpl-semi-sync-source-timeout=4294967295",
    // SET PERSIST would outrank every line here.
    "--persisted-globals-load=OFF",
    // The agent reads its facts there.
    "--performance-schema=ON",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--tls-version=TLSv1.2,TLSv1.3",
    // The certificates are the operator's; making others costs a second at each start.
    "--auto-generate-certs=OFF",
];

/// What turns `FIXED` off again while the data directory is made: nothing of it may get a GTID, and mysqld writes.
const INITIALIZE: &[&str] = &[
    "--initialize-insecure",
    "--disable-log-bin",
    "--gtid-mode=OFF",
    "--enforce-gtid-consistency=OFF",
    "--read-only=OFF",
    "--super-read-only=OFF",
    "--offline-mode=OFF",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--auto-generate-certs=OFF",
    "--caching-sha2-password-auto-generate-rsa-keys=OFF",
];

/// For data that serves nobody yet.
const STAGING: &[&str] = &[
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--offline-mode=ON",
    "--skip-replica-start=ON",
    "--event-scheduler=OFF",
    "--persisted-globals-load=OFF",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--auto-generate-certs=OFF",
    // It holds little at a time, beside a member or in a Pod that is smaller than one.
    "--innodb-buffer-pool-size=128M",
    // What was just written is read next: it is in the system's memory still.
    "--innodb-flush-method=fsync",
    // The member's list of pages to begin with is part of its data, and reading them serves nobody here.
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    // What my.cnf says of the clients of members must not cut off the agent's own work, or change what it writes.
    "--wait-timeout=31536000",
    "--interactive-timeout=31536000",
    "--max-execution-time=0",
    "--sql-require-primary-key=OFF",
    "--sql-generate-invisible-primary-key=OFF",
    "--server-id=4294967295",
];

/// For data without a history of its own.
const WITHOUT_LOGS: &[&str] = &["--disable-log-bin", "--relay-log=restore"];

/// For data as a power cut left it: the binlog says which prepared transactions are committed.
const WITH_LOGS: &[&str] = &[
    "--log-bin=binlog",
    "--relay-log=relay",
    "--relay-log-recovery=OFF",
    "--sync-binlog=1",
    "--log-replica-updates=ON",
];

/// What a server on data that serves nobody yet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Writing what is fetched again after a crash.
    Fill,
    /// Finishing data that is to serve: however it ends, what it answered is there at the next start.
    Finish,
    /// Reading data that must stay as it is, byte for byte.
    Read,
    /// Recovering what a member had when its volume was copied.
    Recover,
}

impl Purpose {
    /// The performance schema takes as much memory and time to start as all the rest, and plugins add files to it; only who
    /// fills needs them.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Fill => &[
                "--innodb-flush-log-at-trx-commit=0",
                "--performance-schema=ON",
                // A copy can only be taken of a server that has the same plugins.
                "--plugin-load-add=semisync_source.so",
                "--plugin-load-add=semisync_replica.so",
                "--plugin-load-add=mysql_clone.so",
            ],
            Self::Finish | Self::Recover => {
                &["--innodb-flush-log-at-trx-commit=1", "--performance-schema=OFF"]
            }
            Self::Read => &["--innodb-read-only=ON", "--performance-schema=OFF"],
        }
    }

    fn logs(self) -> &'static [&'static str] {
        match self {
            Self::Fill | Self::Finish | Self::Read => WITHOUT_LOGS,
            Self::Recover => WITH_LOGS,
        }
    }
}

/// The command line for data that serves nobody yet.
pub fn staging(
    settings: &Settings,
    (purpose, data): (Purpose, &Path),
    socket: &Path,
    script: Option<&Path>,
) -> Vec<OsString> {
    let mut arguments = vec![defaults(settings)];
    arguments.extend(STAGING.iter().map(OsString::from));
    arguments.extend(purpose.logs().iter().chain(purpose.arguments()).map(OsString::from));
    arguments.push(path("--datadir", data));
    arguments.push(path("--socket", socket));
    // Without any network there is no TLS either, and without that no login over the socket. So it listens where nobody else
    // is: on the loopback interface, beside the member's own port.
    let address = settings.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    arguments.push(format!("--bind-address={address}").into());
    arguments.push(format!("--port={}", settings.mysql_port.saturating_add(1)).into());
    arguments.push(path("--pid-file", &socket.with_extension("pid")));
    // Only where the plugin is.
    arguments.push(path("--loose-clone-ssl-cert", &settings.tls_path.join("tls.crt")));
    arguments.push(path("--loose-clone-ssl-key", &settings.tls_path.join("tls.key")));
    arguments.push(path("--loose-clone-ssl-ca", &settings.server_authority()));
    arguments.push(path("--ssl-cert", &settings.tls_path.join("tls.crt")));
    arguments.push(path("--ssl-key", &settings.tls_path.join("tls.key")));
    arguments.push(path("--ssl-ca", &settings.tls_path.join("ca.crt")));
    arguments.extend(script.map(self::script));
    arguments
}

/// The command line for service.
pub fn serve(settings: &Settings, config: &AgentConfig, server_id: u32) -> Vec<OsString> {
    let certificate = settings.server_certificate();
    let mut arguments = vec![defaults(settings)];
    arguments.extend(FIXED.iter().map(OsString::from));
    arguments.push(path("--datadir", &settings.data_path));
    arguments.push(path("--socket", &settings.mysql_socket()));
    arguments.push(path("--pid-file", &settings.run_path.join("mysqld.pid")));
    arguments.push(path("--ssl-cert", &certificate.join("tls.crt")));
    arguments.push(path("--ssl-key", &certificate.join("tls.key")));
    arguments.push(path("--ssl-ca", &settings.server_authority()));
    arguments.push(path("--clone-ssl-cert", &settings.tls_path.join("tls.crt")));
    arguments.push(path("--clone-ssl-key", &settings.tls_path.join("tls.key")));
    arguments.push(path("--clone-ssl-ca", &settings.server_authority()));
    arguments.push(format!("--port={}", settings.mysql_port).into());
    arguments.push(format!("--server-id={server_id}").into());
    arguments.push(format!("--report-host={}", settings.host(config)).into());
    arguments.push(format!("--report-port={}", settings.mysql_port).into());
    if let Some(address) = settings.listen {
        arguments.push(format!("--bind-address={address}").into());
    }
    arguments
}

/// The command line that makes a data directory. `my.cnf` counts here too: some settings can never change afterwards.
pub fn initialize(settings: &Settings, data: &Path, script: &Path) -> Vec<OsString> {
    let mut arguments = vec![defaults(settings)];
    arguments.extend(INITIALIZE.iter().map(OsString::from));
    arguments.push(path("--datadir", data));
    arguments.push(self::script(script));
    arguments.push(path("--pid-file", &settings.run_path.join("initialize.pid")));
    arguments.push(path("--socket", &settings.run_path.join("initialize.sock")));
    arguments
}

/// Statements that are run before anybody gets in.
pub fn script(script: &Path) -> OsString {
    path("--init-file", script)
}

// mysqld wants this one first.
fn defaults(settings: &Settings) -> OsString {
    path("--defaults-file", &settings.my_cnf())
}

fn path(name: &str, value: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push("=");
    argument.push(value);
    argument
}
