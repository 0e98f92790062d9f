//! A connection that outlives whoever uses it.
//!
//! A task owns it, so a caller that is cancelled in the middle (a new order came) does not tear it down: were the ACL
//! lock held by a waiting account statement, no new one could be had (ha.md H6).

use super::rows::Row;
use super::{Connection, Door, SqlError, Statement};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const QUEUE: usize = 16;

struct Request {
    statement: Statement,
    limit: Duration,
    answer: oneshot::Sender<Result<Vec<Row>, SqlError>>,
}

enum Message {
    Run(Request),
    Forget,
}

/// A handle of the connection; clones share it.
#[derive(Clone)]
pub struct Session {
    messages: mpsc::Sender<Message>,
}

impl Session {
    /// Starts the task; it connects at the first statement.
    pub fn start(door: Door) -> Self {
        let (messages, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(serve(door, inbox));
        Self { messages }
    }

    /// Runs a statement for its effect.
    pub async fn run(&self, statement: Statement, limit: Duration) -> Result<(), SqlError> {
        self.rows(statement, limit).await.map(|_| ())
    }

    /// Runs a statement for its rows. Connecting has its own bound, on top of `limit`.
    pub async fn rows(&self, statement: Statement, limit: Duration) -> Result<Vec<Row>, SqlError> {
        let step = statement.step();
        let (answer, answered) = oneshot::channel();
        let request = Request { statement, limit, answer };
        let gone = || SqlError::Lost { step, reason: "session ended".into() };
        self.messages.send(Message::Run(request)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Drops the connection: it was to a server that is gone.
    pub async fn forget(&self) {
        let _ = self.messages.send(Message::Forget).await;
    }
}

async fn serve(door: Door, mut inbox: mpsc::Receiver<Message>) {
    let mut connection: Option<Connection> = None;
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Forget => connection = None,
            // Nobody waits for it any more, so it must not be done any more.
            Message::Run(request) if request.answer.is_closed() => {}
            Message::Run(request) => {
                let result = answer(&door, &mut connection, request.statement, request.limit).await;
                let _ = request.answer.send(result);
            }
        }
    }
}

async fn answer(
    door: &Door,
    slot: &mut Option<Connection>,
    statement: Statement,
    limit: Duration,
) -> Result<Vec<Row>, SqlError> {
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => door.open().await?,
    };
    let result = connection.rows(statement, limit).await;
    if result.as_ref().err().is_none_or(SqlError::keeps_connection) {
        *slot = Some(connection);
    }
    result
}
