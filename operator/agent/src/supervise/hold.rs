//! Holding mysqld back for a moment: its start would commit what nobody acknowledged (ha.md H3, §4e).

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long. An election with a standby operator that has to take over first needs less, and so does one after all
/// members fell at once, which waits for the others to start (ADR 0012).
pub const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grip {
    Loose,
    Waiting,
    Working,
}

/// What holds mysqld back, and until when.
pub struct Hold {
    grip: Arc<watch::Sender<Grip>>,
}

/// While this lives mysqld stays down, however long it takes.
pub struct Work {
    grip: Arc<watch::Sender<Grip>>,
}

impl Work {
    /// The work is done.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.grip.send_replace(Grip::Loose);
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self { grip: Arc::new(watch::Sender::new(Grip::Loose)) }
    }
}

impl Hold {
    /// Holds mysqld back from now on; to be said before anybody is told, or their answer is lost.
    pub fn arm(&self) {
        self.grip.send_replace(Grip::Waiting);
    }

    /// Waits for [`Self::release`], for the end of work that was begun, or else for `limit`, or for mysqld being wanted no
    /// longer.
    pub async fn until_released(&self, limit: Duration, mut wanted: watch::Receiver<bool>) {
        let mut grip = self.grip.subscribe();
        tokio::select! {
            () = sleep(limit) => {}
            _ = grip.wait_for(|grip| *grip == Grip::Loose) => {}
            _ = wanted.wait_for(|is_wanted| !is_wanted) => {}
        }
        self.release();
        // Work that has begun is not disturbed.
        let _ = grip.wait_for(|grip| *grip == Grip::Loose).await;
    }

    /// Ends the wait, unless work has begun: that ends it.
    pub fn release(&self) {
        self.change(Grip::Waiting, Grip::Loose);
    }

    /// Begins work on the data; nothing when mysqld is not held back or somebody else works.
    pub fn begin(&self) -> Option<Work> {
        self.change(Grip::Waiting, Grip::Working).then(|| Work { grip: self.grip.clone() })
    }

    fn change(&self, from: Grip, to: Grip) -> bool {
        self.grip.send_if_modified(|grip| {
            let fits = *grip == from;
            if fits {
                *grip = to;
            }
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    fn wanted() -> (watch::Sender<bool>, watch::Receiver<bool>) {
        watch::channel(true)
    }

    #[tokio::test]
    async fn time_and_orders_end_a_hold() {
        let hold = Hold::default();
        let (sender, receiver) = wanted();
        assert!(hold.begin().is_none(), "nothing is held back");
        hold.arm();
        hold.until_released(MOMENT, receiver.clone()).await;
        assert!(hold.begin().is_none());
        let long = Duration::from_mins(10);
        hold.arm();
        tokio::join!(hold.until_released(long, receiver.clone()), async { hold.release() });
        hold.arm();
        hold.release();
        hold.until_released(long, receiver.clone()).await;
        hold.arm();
        tokio::join!(hold.until_released(long, receiver), async { sender.send_replace(false) });
    }

    #[tokio::test]
    async fn work_is_waited_for_and_ends_a_hold() {
        let hold = Hold::default();
        let (_sender, receiver) = wanted();
        hold.arm();
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let worker = async {
            let work = hold.begin().expect("it is held back");
            assert!(hold.begin().is_none(), "one at a time");
            hold.release();
            sleep(MOMENT * 3).await;
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            drop(work);
        };
        tokio::join!(hold.until_released(MOMENT, receiver), worker);
        assert!(done.load(std::sync::atomic::Ordering::SeqCst));
    }
}
