//! Work on all of the data.

use super::{GoalError, Progress, Pursuit};
use std::sync::Arc;

impl Pursuit {
    /// Does `work` alone and to its end, or until it is broken off: not dropped in the middle by a new order, which waits for it.
    pub(super) async fn alone<Working>(
        self: &Arc<Self>,
        what: &str,
        work: impl FnOnce(Arc<Self>) -> Working,
    ) -> Result<Progress, GoalError>
    where
        Working: Future<Output = Result<(), GoalError>> + Send + 'static,
    {
        let guard = self.exclusive.clone().lock_owned().await;
        let work = work(self.clone());
        let working = tokio::spawn(async move {
            let _guard = guard;
            work.await
        });
        match working.await {
            Ok(result) => result.map(|()| Progress::Over),
            Err(_) => Ok(Progress::Waits(format!("{what} was broken off"))),
        }
    }
}
