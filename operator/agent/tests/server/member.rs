//! One agent of a world, with its server: what a test sees of it and does to it.

use crate::world::LONG;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

pub struct Member {
    pub name: String,
    pub address: IpAddr,
    pub root: PathBuf,
    pub process: Option<Child>,
}

impl Member {
    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// An address for something that stands before this member's server.
    pub fn outside(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Ipv4Addr::new(a, b, c, d + 100).into()
            }
            other @ IpAddr::V6(_) => other,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Process id of the agent as this machine sees it.
    pub fn agent_pid(&self) -> i32 {
        let start = Instant::now();
        loop {
            let outer = self.process.as_ref().unwrap().id();
            if let Some(pid) = children(outer.try_into().unwrap()).first() {
                return *pid;
            }
            assert!(start.elapsed() < LONG, "no agent below unshare");
            std::thread::yield_now();
        }
    }

    /// Number of a thread of the agent that every agent has, as the agent's own namespace counts.
    pub fn agent_thread(&self) -> i32 {
        let tasks = format!("/proc/{}/task", self.agent_pid());
        let inner = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
            numbers.split_whitespace().last()?.parse::<i32>().ok()
        };
        let all = fs::read_dir(tasks).unwrap().filter_map(|task| inner(task.unwrap()));
        all.filter(|number| *number > 1).min().expect("an agent has more than one thread")
    }

    /// Process id of mysqld.
    pub fn mysqld_pid(&self) -> i32 {
        *children(self.agent_pid()).first().expect("a mysqld below the agent")
    }

    pub fn signal_agent(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.agent_pid()), signal).unwrap();
    }

    pub fn signal_mysqld(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.mysqld_pid()), signal).unwrap();
    }

    /// Everything ends, and what was on the volume is gone.
    pub fn lose_volume(&mut self) {
        self.crash();
        for directory in ["volume/data", "volume/porpoise"] {
            std::fs::remove_dir_all(self.path(directory)).unwrap();
        }
    }

    /// Ends agent and server at once, as when the machine goes, and waits until both are gone: unshare's own end does not
    /// mean that, and the next agent needs their ports.
    pub fn crash(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let inner = children(process.id().try_into().unwrap());
        let _ = process.kill();
        let _ = process.wait();
        let start = Instant::now();
        for pid in inner {
            // The first process of a PID namespace goes last.
            while Path::new(&format!("/proc/{pid}")).exists() {
                assert!(start.elapsed() < LONG, "process {pid} does not go");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Waits for the agent's end; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                self.process = None;
                return status.code();
            }
            assert!(start.elapsed() < LONG, "the agent does not end; log:\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crash();
    }
}

pub fn children(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return all;
    };
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    all
}
