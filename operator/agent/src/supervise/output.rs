//! What mysqld prints goes into the agent's log, and its last errors are kept for the state.

use crate::logging;
use std::collections::VecDeque;
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the last lines may take after the end; a process that mysqld left behind may hold the pipe for ever.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Errors that are kept.
const KEPT: usize = 5;

/// The last errors that mysqld told.
#[derive(Clone, Default)]
struct LastErrors(Arc<Mutex<VecDeque<String>>>);

impl LastErrors {
    fn look(&self, line: &str) {
        let parsed = logging::parse(line);
        // `Aborting` always comes last and says nothing.
        if parsed.gravity == logging::Gravity::Error && parsed.message != "Aborting" {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(parsed.message.to_owned());
        }
    }
}

/// The relaying of one process's output.
pub struct Relay {
    last: LastErrors,
    readers: JoinSet<()>,
}

impl Relay {
    /// `: ERROR TEXT`, or nothing: what mysqld told last before it ended.
    pub async fn suffix(self) -> String {
        self.last().await.pop_back().map(|text| format!(": {text}")).unwrap_or_default()
    }

    /// `: ERROR TEXT; ERROR TEXT`, or nothing: the last errors that mysqld told before it ended. The first of them is often the
    /// cause, and the last one says only that it gives up.
    pub async fn errors(self) -> String {
        let texts: Vec<String> = self.last().await.into();
        if texts.is_empty() { String::new() } else { format!(": {}", texts.join("; ")) }
    }

    async fn last(mut self) -> VecDeque<String> {
        let drained = async { while self.readers.join_next().await.is_some() {} };
        let _ = timeout(LAST_LINES, drained).await;
        self.readers.detach_all();
        std::mem::take(&mut *self.last.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Relays both streams until they end.
pub fn relay(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Relay {
    let last = LastErrors::default();
    let mut readers = JoinSet::new();
    if let Some(stream) = stdout.and_then(|stream| tokio::process::ChildStdout::from_std(stream).ok()) {
        readers.spawn(lines(stream, last.clone()));
    }
    if let Some(stream) = stderr.and_then(|stream| tokio::process::ChildStderr::from_std(stream).ok()) {
        readers.spawn(lines(stream, last.clone()));
    }
    Relay { last, readers }
}

async fn lines(stream: impl AsyncRead + Unpin, last: LastErrors) {
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
