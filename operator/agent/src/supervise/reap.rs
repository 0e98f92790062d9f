//! Waiting for children: all of them, as process 1 must, in one place, so that nobody takes another's exit status.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

type Waiting = HashMap<i32, oneshot::Sender<String>>;

/// How a child ended, in words, once it has.
pub struct Exit(oneshot::Receiver<String>);

impl Future for Exit {
    type Output = String;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<String> {
        // Nobody is left to tell it only when the program itself ends.
        Pin::new(&mut self.0).poll(context).map(|how| how.unwrap_or_else(|_| "ended unseen".to_owned()))
    }
}

/// Whether a child that ended so did what it should.
pub fn is_well(how: &str) -> bool {
    how == exited(0)
}

fn exited(status: i32) -> String {
    format!("exited with status {status}")
}

/// Starts children and collects every process that ends, ours or orphaned to us.
#[derive(Clone, Default)]
pub struct Reaper {
    children: Arc<Mutex<Waiting>>,
}

/// A child that was started.
pub struct Child {
    /// Its process id.
    pub pid: i32,
    /// How it ended, in words, once it has.
    pub exit: Exit,
    /// Its standard input, if somebody feeds it.
    pub stdin: Option<ChildStdin>,
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    pub stderr: Option<ChildStderr>,
}

impl Reaper {
    /// Starts collecting; nothing else in this process may wait for children.
    pub fn start() -> io::Result<Self> {
        let mut ended = signal(SignalKind::child())?;
        let reaper = Self::default();
        let collector = reaper.clone();
        tokio::spawn(async move {
            loop {
                collector.collect();
                if ended.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(reaper)
    }

    /// Starts a child in its own process group, so that a terminal's Ctrl-C does not reach it past the agent.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.start_child(command.stdin(Stdio::null()).stdout(Stdio::piped()))
    }

    /// The same for a child that is fed, and whose output is for nobody.
    pub fn spawn_fed(&self, command: &mut Command) -> io::Result<Child> {
        self.start_child(command.stdin(Stdio::piped()).stdout(Stdio::null()))
    }

    fn start_child(&self, command: &mut Command) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        command.stderr(Stdio::piped()).process_group(0);
        // Held over the start: were it to end at once, the collector finds it registered.
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (sender, exit) = oneshot::channel();
        children.insert(pid, sender);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Child { pid, exit: Exit(exit), stdin, stdout, stderr })
    }

    /// Waits for the end of a child, and kills it when that takes longer than `limit`.
    pub async fn end_within(&self, limit: Duration, pid: i32, exit: Exit) -> String {
        timeout(limit, exit).await.unwrap_or_else(|_| {
            self.signal(pid, Signal::SIGKILL);
            format!("took more than {limit:?}")
        })
    }

    /// Sends a signal to a child that has not been collected: its number cannot belong to another process yet.
    pub fn signal(&self, pid: i32, which: Signal) {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        if children.contains_key(&pid) {
            let _ = kill(Pid::from_raw(pid), which);
        }
    }

    fn collect(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, format!("was ended by {signal}")),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(waiting) = children.remove(&pid.as_raw()) {
                let _ = waiting.send(how);
            }
        }
    }
}
