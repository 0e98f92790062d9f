//! What mysqld prints goes into the agent's log, and its last error is kept for the state.

use crate::logging;
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the last lines may take after the end; a process that mysqld left behind may hold the pipe for ever.
const LAST_LINES: Duration = Duration::from_millis(200);

/// The last error that mysqld told.
#[derive(Clone, Default)]
struct LastError(Arc<Mutex<String>>);

impl LastError {
    fn look(&self, line: &str) {
        let parsed = logging::parse(line);
        // `Aborting` always comes last and says nothing.
        if parsed.gravity == logging::Gravity::Error && parsed.message != "Aborting" {
            parsed.message.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The relaying of one process's output.
pub struct Relay {
    last: LastError,
    readers: JoinSet<()>,
}

impl Relay {
    /// `: ERROR TEXT`, or nothing: what mysqld told last before it ended.
    pub async fn suffix(mut self) -> String {
        let drained = async { while self.readers.join_next().await.is_some() {} };
        let _ = timeout(LAST_LINES, drained).await;
        self.readers.detach_all();
        let text = self.last.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.is_empty() { String::new() } else { format!(": {text}") }
    }
}

/// Relays both streams until they end.
pub fn relay(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Relay {
    let last = LastError::default();
    let mut readers = JoinSet::new();
    if let Some(stream) = stdout.and_then(|stream| tokio::process::ChildStdout::from_std(stream).ok()) {
        readers.spawn(lines(stream, last.clone()));
    }
    if let Some(stream) = stderr.and_then(|stream| tokio::process::ChildStderr::from_std(stream).ok()) {
        readers.spawn(lines(stream, last.clone()));
    }
    Relay { last, readers }
}

async fn lines(stream: impl AsyncRead + Unpin, last: LastError) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                last.look(text);
                logging::relay(text);
            }
        }
    }
}
