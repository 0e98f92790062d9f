//! Daemons: started so that they outlive us, recorded so that only they are ever signalled.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::{cgroup, command::run, state::Site};

/// A process that was started here, known by more than its number, which the kernel gives out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

/// A daemon to start.
pub struct Daemon<'a> {
    /// The name of its record and its log.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The network namespace it runs in; the host's without one.
    pub namespace: Option<&'a str>,
    /// The cgroup it belongs to.
    pub cgroup: String,
    /// Added to the search path in front.
    pub path: Option<PathBuf>,
}

impl Process {
    /// The process that has number `pid` now.
    pub fn find(pid: i32) -> Option<Self> {
        let (_, started) = stat(pid)?;
        Some(Self { pid, started })
    }

    /// True while it runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| started == self.started && state != 'Z' && state != 'X')
    }

    /// The name of the program it runs, cut to 15 characters by the kernel.
    pub fn name(self) -> Option<String> {
        Some(fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?.trim_end().to_owned())
    }

    /// Sends `signal` if it still is the same process.
    ///
    /// # Errors
    /// When it is gone or may not be signalled.
    pub fn signal(self, signal: Signal) -> Result<()> {
        anyhow::ensure!(self.is_alive(), "process {} has ended", self.pid);
        kill(Pid::from_raw(self.pid), signal)
            .with_context(|| format!("send {signal} to process {}", self.pid))
    }
}

/// State letter and start time, from `/proc/PID/stat`. The name in it may hold spaces and brackets.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Starts a daemon in its own session, cgroup and network namespace, and records it.
///
/// A shell does the forking: it puts the child into its group before anything else runs in it.
///
/// # Errors
/// When it cannot be started at all; whether it stays up is for its caller to see.
pub fn start(site: &Site, daemon: &Daemon<'_>) -> Result<Process> {
    let log = site.log(&daemon.name);
    fs::create_dir_all(log.parent().context("log folder")?)?;
    let script = r#"( echo 0 > "$0"; exec setsid "$@" ) < /dev/null >> "$LOG" 2>&1 & echo $!"#;
    let mut shell = Command::new("sh");
    shell.env("LOG", &log).arg("-c").arg(script).arg(cgroup::processes(&daemon.cgroup)?);
    if let Some(namespace) = daemon.namespace {
        shell.arg("nsenter").arg(format!("--net=/run/netns/{namespace}")).arg("--");
    }
    if let Some(folder) = &daemon.path {
        shell.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display()));
    }
    shell.args(&daemon.command);
    let pid = run(&mut shell)?.trim().parse()?;
    let process = Process::find(pid).with_context(|| format!("{} ended at once", daemon.name))?;
    record(site, &daemon.name, process)?;
    Ok(process)
}

/// The recorded process of this name.
///
/// # Errors
/// When none is recorded.
pub fn recorded(site: &Site, name: &str) -> Result<Process> {
    let text = fs::read_to_string(record_file(site, name))
        .with_context(|| format!("no process {name} is recorded"))?;
    Ok(serde_json::from_str(&text)?)
}

/// Every recorded process by name.
pub fn all(site: &Site) -> Vec<(String, Process)> {
    let Ok(folder) = fs::read_dir(site.folder.join("processes")) else { return Vec::new() };
    let mut found: Vec<_> = folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some((name.clone(), recorded(site, &name).ok()?)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn record(site: &Site, name: &str, process: Process) -> Result<()> {
    let file = record_file(site, name);
    fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    Ok(fs::write(file, serde_json::to_string(&process)?)?)
}

fn record_file(site: &Site, name: &str) -> PathBuf {
    site.folder.join("processes").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = Process::find(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
    }
}
