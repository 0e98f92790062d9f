//! Flags, environment and the optional settings file. A flag wins over the environment, both win over the file.

use crate::gates::{self, GateError};
use crate::watch::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum};
use porpoise_core::validate::{Settings, duration};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The operator of Porpoise.
#[derive(Parser, Debug)]
#[command(name = "porpoise-operator", version, about)]
pub struct Arguments {
    /// What to do instead of operating.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to operate.
    #[command(flatten)]
    pub options: Options,
}

/// What it does instead, and ends.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Sees to it that a verified backup of a cluster stands: accepts a young one, or makes one and waits for it.
    Backup(BackupOptions),
    /// Prints the permissions that the operator needs, as the rules of a role.
    Permissions {
        /// Format.
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
        /// For which role.
        #[arg(long, value_enum, default_value_t = Role::Clusters)]
        role: Role,
    },
}

/// Which backup, and how long it may take.
#[derive(Args, Debug, Clone, PartialEq, Eq)]
pub struct BackupOptions {
    /// Name of the `MySQLCluster`.
    #[arg(long)]
    pub cluster: String,
    /// Its namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// How old a verified backup may be that stands already, such as `10m`. Absent: `spec.update.backupMaxAge`.
    #[arg(long, value_parser = time)]
    pub max_age: Option<Duration>,
    /// How long to wait, such as `60m`.
    #[arg(long, value_parser = time, default_value = "60m")]
    pub timeout: Duration,
    /// Keep what is stored when the `MySQLBackup` is deleted.
    #[arg(long)]
    pub retain: bool,
    /// Identity of this run, of which the backup gets its name.
    #[arg(long, env = "POD_UID")]
    pub run: String,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write a number and s or m, such as 10m".to_owned())
}

/// Format of printed permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// YAML, as in a role.
    Yaml,
    /// A table with reasons, as in the documentation.
    Markdown,
}

/// Which role's permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// In every namespace with clusters.
    Clusters,
    /// In the operator's namespace.
    Operator,
    /// For objects without a namespace.
    Everywhere,
}

/// Settings from flags and environment.
#[derive(Args, Debug, Default, Clone, PartialEq, Eq)]
pub struct Options {
    /// Namespaces to look after, separated by commas. Absent: all.
    #[arg(long, alias = "namespaces", env = "PORPOISE_NAMESPACES", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// Image of this operator; its agent runs in the members.
    #[arg(long, env = "PORPOISE_OPERATOR_IMAGE")]
    pub operator_image: Option<String>,
    /// Image of MySQL; `{version}` becomes the release series.
    #[arg(long, env = "PORPOISE_MYSQL_IMAGE")]
    pub mysql_image: Option<String>,
    /// Namespace that the operator runs in.
    #[arg(long, env = "POD_NAMESPACE")]
    pub operator_namespace: Option<String>,
    /// Identity of this process; unique among all operators.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Name of the leader Lease.
    #[arg(long, env = "PORPOISE_LEASE_NAME")]
    pub lease_name: Option<String>,
    /// Namespace of the leader Lease. Absent: the operator's.
    #[arg(long, env = "PORPOISE_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "PORPOISE_METRICS_ADDRESS")]
    pub metrics_address: Option<String>,
    /// Address of this process for other replicas of the operator, which take over at once when it does not answer there.
    #[arg(long, env = "POD_IP")]
    pub address: Option<IpAddr>,
    /// Clusters that are worked on at the same time.
    #[arg(long, env = "PORPOISE_CONCURRENCY")]
    pub concurrency: Option<u16>,
    /// Behaviour to switch on or off by name, such as `MoveFromPressure=true`, separated by commas.
    #[arg(long, env = "PORPOISE_FEATURE_GATES", value_delimiter = ',')]
    pub feature_gates: Vec<String>,
    /// A YAML file with the same settings in camelCase.
    #[arg(long, env = "PORPOISE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The settings file.
#[derive(Deserialize, Debug, Default, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    namespaces: Vec<String>,
    operator_image: Option<String>,
    mysql_image: Option<String>,
    operator_namespace: Option<String>,
    identity: Option<String>,
    lease_name: Option<String>,
    lease_namespace: Option<String>,
    metrics_address: Option<String>,
    concurrency: Option<u16>,
    feature_gates: BTreeMap<String, bool>,
}

/// Complete settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Which namespaces.
    pub scope: Scope,
    /// What decisions depend on.
    pub settings: Settings,
    /// Identity of this process.
    pub identity: String,
    /// Name of the leader Lease.
    pub lease_name: String,
    /// Namespace of the leader Lease.
    pub lease_namespace: String,
    /// Address of probes and metrics.
    pub metrics_address: String,
    /// Where other replicas reach the pages of this process, if they can.
    pub reachable_at: Option<SocketAddr>,
    /// Clusters at the same time.
    pub concurrency: u16,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ConfigureError {
    /// The file cannot be read.
    #[error("read the settings file {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be, or has a key that does not exist.
    #[error("understand the settings file {path}")]
    UnderstandFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_norway::Error,
    },
    /// A setting is missing.
    #[error("find the setting {name}: give --{name} or set it in the file")]
    FindSetting {
        /// Its flag.
        name: &'static str,
    },
    /// The image has no place for the version.
    #[error("use the MySQL image {image:?}: it must contain {{version}}, such as mysql:{{version}}")]
    UseImage {
        /// The image.
        image: String,
    },
    /// A feature gate is unknown or neither on nor off.
    #[error("open the feature gates")]
    OpenFeatureGates {
        /// Cause.
        #[source]
        source: GateError,
    },
    /// With no worker nothing would ever happen.
    #[error("use concurrency 0: give at least 1")]
    UseConcurrency,
}

impl Options {
    /// Completes the flags by the file and by defaults.
    pub fn complete(self) -> Result<Configuration, ConfigureError> {
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        self.over(file)
    }

    fn over(self, file: File) -> Result<Configuration, ConfigureError> {
        let needed = |value: Option<String>, name| value.ok_or(ConfigureError::FindSetting { name });
        // An empty value, as an install mode that watches everything gives it, names no namespace.
        let named: Vec<String> = self.namespace.into_iter().filter(|name| !name.is_empty()).collect();
        let namespaces = if named.is_empty() { file.namespaces } else { named };
        let mysql_image =
            self.mysql_image.or(file.mysql_image).unwrap_or_else(|| "mysql:{version}".to_owned());
        if !mysql_image.contains("{version}") {
            return Err(ConfigureError::UseImage { image: mysql_image });
        }
        let operator_namespace =
            self.operator_namespace.or(file.operator_namespace).unwrap_or_else(|| "porpoise".to_owned());
        let concurrency = self.concurrency.or(file.concurrency).unwrap_or(128);
        if concurrency == 0 {
            return Err(ConfigureError::UseConcurrency);
        }
        let metrics_address =
            self.metrics_address.or(file.metrics_address).unwrap_or_else(|| "0.0.0.0:8080".to_owned());
        let feature_gates = gates::open(&file.feature_gates, &self.feature_gates)
            .map_err(|source| ConfigureError::OpenFeatureGates { source })?;
        Ok(Configuration {
            scope: if namespaces.is_empty() { Scope::Everywhere } else { Scope::Namespaces(namespaces) },
            identity: needed(self.identity.or(file.identity).or_else(hostname), "identity")?,
            lease_name: self.lease_name.or(file.lease_name).unwrap_or_else(|| "porpoise-operator".to_owned()),
            lease_namespace: self
                .lease_namespace
                .or(file.lease_namespace)
                .unwrap_or_else(|| operator_namespace.clone()),
            reachable_at: reachable_at(self.address, &metrics_address),
            metrics_address,
            concurrency,
            settings: Settings {
                operator_image: needed(self.operator_image.or(file.operator_image), "operator-image")?,
                mysql_image,
                operator_namespace,
                feature_gates,
            },
        })
    }
}

/// Our address with the port of the pages.
fn reachable_at(address: Option<IpAddr>, pages: &str) -> Option<SocketAddr> {
    let port = pages.rsplit_once(':')?.1.parse().ok()?;
    Some(SocketAddr::new(address?, port))
}

fn read(path: &Path) -> Result<File, ConfigureError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigureError::ReadFile { path: path.to_owned(), source })?;
    serde_norway::from_str(&text)
        .map_err(|source| ConfigureError::UnderstandFile { path: path.to_owned(), source })
}

fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let all = ["porpoise-operator"].iter().chain(arguments);
        Arguments::try_parse_from(all).unwrap().options
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = File {
            operator_image: Some("file".to_owned()),
            lease_name: Some("file".to_owned()),
            ..File::default()
        };
        let options = options(&["--operator-image", "flag", "--identity", "me", "--namespace", "a,b"]);
        let complete = options.over(file).unwrap();
        assert_eq!(complete.settings.operator_image, "flag");
        assert_eq!(complete.lease_name, "file");
        assert_eq!(complete.lease_namespace, complete.settings.operator_namespace);
        assert_eq!(complete.scope, Scope::Namespaces(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn wrong_settings_are_refused_in_a_sentence() {
        for (arguments, want) in [
            (vec![], "find the setting operator-image"),
            (vec!["--operator-image", "i", "--mysql-image", "mysql:9.7"], "must contain {version}"),
            (vec!["--operator-image", "i", "--concurrency", "0"], "at least 1"),
        ] {
            let error = options(&arguments).over(File::default()).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn d15_a_backup_needs_its_cluster_and_takes_times_as_the_api_does() {
        let parse = |more: &[&str]| {
            let base = ["porpoise-operator", "backup", "--namespace=prod", "--run=a1b2"];
            Arguments::try_parse_from(base.iter().chain(more)).map(|all| all.command)
        };
        let Some(Command::Backup(options)) = parse(&["--cluster=shop", "--max-age=30m"]).unwrap() else {
            panic!("no backup");
        };
        assert_eq!(options.max_age, Some(Duration::from_mins(30)));
        assert_eq!((options.timeout, options.retain), (Duration::from_hours(1), false));
        let refused = parse(&["--cluster=shop", "--timeout=soon"]).unwrap_err().to_string();
        assert!(refused.contains("such as 10m"), "{refused}");
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused_by_name() {
        let error = serde_norway::from_str::<File>("leaseNam: x").unwrap_err().to_string();
        assert!(error.contains("leaseNam"), "{error}");
    }
}
