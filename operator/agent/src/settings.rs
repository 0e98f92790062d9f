//! Where the agent finds and keeps things. The defaults are the contract with the Pod; tests point elsewhere.

use porpoise_core::mycnf;
use porpoise_core::names::{self, ClusterNames};
use porpoise_core::protocol::AgentConfig;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the agent is told by its environment.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// Name of the instance, which is the Pod's.
    #[arg(long, env = "POD_NAME")]
    pub instance: String,
    /// Namespace of the Pod.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// UID of the Pod.
    #[arg(long, env = "POD_UID", default_value = "")]
    pub pod_uid: String,
    /// What the Pod's template was made from, as `my.cnf` names it; empty: any will do.
    #[arg(long, env = names::TEMPLATE_VARIABLE, default_value = "")]
    pub template: String,
    /// Program that is mysqld.
    #[arg(long, default_value = "mysqld")]
    pub mysqld: PathBuf,
    /// Directory of MySQL's client programs; without it, where the system finds programs.
    #[arg(long)]
    pub client_programs: Option<PathBuf>,
    /// Address that agent, probes and mysqld listen on; all addresses without it.
    #[arg(long)]
    pub listen: Option<IpAddr>,
    /// Port of MySQL, here and at the other members.
    #[arg(long, default_value_t = names::MYSQL_PORT)]
    pub mysql_port: u16,
    /// Port of orders and state.
    #[arg(long, default_value_t = names::AGENT_PORT)]
    pub agent_port: u16,
    /// Port of probes and metrics.
    #[arg(long, default_value_t = names::PROBE_PORT)]
    pub probe_port: u16,
    /// mysqld's data directory.
    #[arg(long, default_value = names::DATA_PATH)]
    pub data_path: PathBuf,
    /// The agent's own files, on the volume.
    #[arg(long, default_value = names::AGENT_STATE_PATH)]
    pub state_path: PathBuf,
    /// Sockets and the pid file.
    #[arg(long, default_value = names::RUN_PATH)]
    pub run_path: PathBuf,
    /// The rendered configuration.
    #[arg(long, default_value = names::CONFIG_PATH)]
    pub config_path: PathBuf,
    /// The managed certificate.
    #[arg(long, default_value = names::TLS_PATH)]
    pub tls_path: PathBuf,
    /// The certificate that clients see, if there is one.
    #[arg(long, default_value = names::CLIENT_TLS_PATH)]
    pub client_tls_path: PathBuf,
    /// Passwords of the operator's accounts.
    #[arg(long, default_value = names::ACCOUNTS_PATH)]
    pub accounts_path: PathBuf,
    /// The application's account.
    #[arg(long, default_value = names::APP_ACCOUNT_PATH)]
    pub app_account_path: PathBuf,
    /// Seconds in which nothing of a copy may arrive before its donor is given up: longer than the 300 s that a donor itself
    /// may wait for a DDL statement to end (`clone_ddl_timeout`).
    #[arg(long, default_value_t = 360)]
    pub copy_patience: u64,
    /// Seconds for which a password is accepted after the Secret has another one. The kubelet shows a change to all members
    /// within two minutes; applications may take longer.
    #[arg(long, default_value_t = 3600)]
    pub former_passwords: u64,
}

const MY_CNF: &str = "my.cnf";

/// What can go wrong with the settings.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum SettingsError {
    /// `agent.json` cannot be read.
    #[error("read {path}")]
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// `agent.json` is not what it should be.
    #[error("understand {path}")]
    ParseConfig {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// `my.cnf` cannot be kept.
    #[error("keep a copy of {path}")]
    KeepConfig {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The members' certificate cannot be read.
    #[error("read {path}")]
    ReadCertificate {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The Pod's name has no ordinal.
    #[error("find an ordinal in the instance name {instance:?}")]
    FindOrdinal {
        /// The name.
        instance: String,
    },
}

impl Settings {
    /// Name of the agent's socket.
    pub const AGENT_SOCKET: &'static str = "agent.sock";

    /// For how long nothing of a copy may arrive.
    pub fn copy_patience(&self) -> Duration {
        Duration::from_secs(self.copy_patience)
    }

    /// For how long a former password is accepted.
    pub fn former_passwords(&self) -> Duration {
        Duration::from_secs(self.former_passwords)
    }

    /// Between the changes of two members, and before the next change of passwords: 15 s and 2 min.
    pub fn rotation_pauses(&self) -> (Duration, Duration) {
        let all = self.former_passwords();
        (all / 240, all / 30)
    }

    /// Reads `agent.json`.
    pub fn config(&self) -> Result<AgentConfig, SettingsError> {
        let path = self.config_path.join("agent.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(SettingsError::ReadConfig { path, source }),
        };
        serde_json::from_slice(&text).map_err(|source| SettingsError::ParseConfig { path, source })
    }

    /// The `my.cnf` that mysqld reads.
    pub fn my_cnf(&self) -> PathBuf {
        let kept = self.kept_my_cnf();
        if kept.exists() { kept } else { self.config_path.join(MY_CNF) }
    }

    /// Leaves out of `my.cnf`, for the rest of this Pod's life, what can be set while mysqld runs: one of these values may be
    /// why it does not start. True: there was something to leave out, and it was not before.
    pub fn set_variables_aside(&self) -> Result<bool, SettingsError> {
        let path = self.kept_my_cnf();
        if !path.exists() {
            return Ok(false);
        }
        let set_aside = std::fs::read_to_string(&path).and_then(|text| {
            let without = mycnf::without_variables(&text);
            if without != text {
                replace_whole(&path, &without)?;
            }
            Ok(without != text)
        });
        set_aside.map_err(|source| SettingsError::KeepConfig { path, source })
    }

    /// `my.cnf` as this Pod began with it, and as the volume shows it now if that is for Pods of the same template.
    pub fn my_cnfs(&self) -> Result<(String, Option<String>), SettingsError> {
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path);
            text.map_err(|source| SettingsError::ReadConfig { path, source })
        };
        let (began, newest) = (read(self.first_my_cnf())?, read(self.config_path.join(MY_CNF))?);
        let is_ours = self.is_template(&newest);
        Ok((began, is_ours.then_some(newest)))
    }

    /// Whether this `my.cnf` is for Pods of this template.
    fn is_template(&self, my_cnf: &str) -> bool {
        self.template.is_empty() || my_cnf.starts_with(&names::template_line(&self.template))
    }

    /// Whether this `agent.json` is for Pods of this template.
    pub fn is_own(&self, config: &AgentConfig) -> bool {
        self.template.is_empty() || config.template == self.template
    }

    /// Keeps the `my.cnf` of this Pod's template for all its life: the volume with the configuration follows the `ConfigMap`,
    /// and a mysqld that crashes and starts again must not be the first to try a new setting. Settings reach a member with
    /// a new Pod, in its turn. False: the volume shows those of another template, as it may for up to 90 s.
    pub fn keep_my_cnf(&self) -> Result<bool, SettingsError> {
        let kept = self.kept_my_cnf();
        if kept.exists() {
            return Ok(true);
        }
        let path = self.config_path.join(MY_CNF);
        let copied = std::fs::read_to_string(&path).and_then(|text| {
            let is_ours = self.is_template(&text);
            if is_ours {
                replace_whole(&self.first_my_cnf(), &text)?;
                replace_whole(&kept, &mycnf::without_words(&text))?;
            }
            Ok(is_ours)
        });
        copied.map_err(|source| SettingsError::KeepConfig { path, source })
    }

    /// Has mysqld read this `my.cnf` in place of the one that is mounted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_my_cnf(&self, text: &str) -> std::io::Result<()> {
        std::fs::write(self.kept_my_cnf(), text)
    }

    fn kept_my_cnf(&self) -> PathBuf {
        self.run_path.join(MY_CNF)
    }

    /// All that stood in it when this Pod began.
    fn first_my_cnf(&self) -> PathBuf {
        self.run_path.join("my-first.cnf")
    }

    /// `@@server_id`: the ordinal plus one, because 0 stops replication.
    pub fn server_id(&self) -> Result<u32, SettingsError> {
        let ordinal = names::ordinal(&self.instance).and_then(|ordinal| ordinal.checked_add(1));
        ordinal.ok_or_else(|| SettingsError::FindOrdinal { instance: self.instance.clone() })
    }

    /// This instance's stable DNS name.
    pub fn host(&self, config: &AgentConfig) -> String {
        ClusterNames::new(&config.name, &config.namespace).host(&self.instance)
    }

    /// mysqld's socket.
    pub fn mysql_socket(&self) -> PathBuf {
        self.run_path.join("mysqld.sock")
    }

    /// The agent's socket for the preStop hook and for people.
    pub fn agent_socket(&self) -> PathBuf {
        self.run_path.join(Self::AGENT_SOCKET)
    }

    /// Directory of the certificate that mysqld shows: the clients' one if there is one, else the managed one.
    pub fn server_certificate(&self) -> &PathBuf {
        if self.client_tls_path.join("tls.crt").exists() { &self.client_tls_path } else { &self.tls_path }
    }

    /// The CA of the certificates that members' mysqld show.
    pub fn server_authority(&self) -> PathBuf {
        let own = self.server_certificate().join("ca.crt");
        if own.exists() { own } else { self.tls_path.join("ca.crt") }
    }

    /// Addresses to try to listen on, best first.
    pub fn listen_addresses(&self) -> Vec<IpAddr> {
        match self.listen {
            Some(address) => vec![address],
            // One IPv6 socket serves both families where the kernel has IPv6 at all.
            None => {
                vec![IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)]
            }
        }
    }
}

/// Whole or not at all: a container that ends half-way begins again here.
fn replace_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
