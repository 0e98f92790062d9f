//! The volume of a member, and what is promised on it.

use super::Member;
use crate::identity;
use crate::promise;
use porpoise_core::member::{Identity, Promise, Volume};
use porpoise_core::protocol::{Order, Tail};

impl Member {
    /// Whether the volume is this member's.
    pub fn has_volume(&self) -> bool {
        matches!(self.board().volume, Volume::Ours(_))
    }

    pub(super) async fn promise_durably(&self, order: &Order) -> Result<(), String> {
        let old = self.promise();
        let new = old.after(order);
        if new == old {
            return Ok(());
        }
        let (path, stored) = (self.settings.state_path.clone(), new.clone());
        match tokio::task::spawn_blocking(move || promise::store(&stored, &path)).await {
            Ok(Ok(())) => {
                self.board().promise = new;
                Ok(())
            }
            Ok(Err(error)) => Err(format!("the promise cannot be stored: {}", crate::logging::chain(&error))),
            Err(_) => Err("the promise cannot be stored".into()),
        }
    }

    /// Takes the volume and what was promised on it, now that nobody else works on it.
    pub fn settle(&self, volume: Volume, promise: Promise, tails: Vec<Tail>) {
        let is_ours = matches!(volume, Volume::Ours(_));
        let mut board = self.board();
        (board.volume, board.promise, board.tails) = (volume, promise, tails);
        drop(board);
        self.supervisor.want(is_ours);
        self.look.notify_one();
    }

    pub(super) async fn adopt(&self, former: Identity) -> Result<(), String> {
        let (settings, config) = (self.settings.clone(), self.config.clone());
        let adopted = tokio::task::spawn_blocking(move || identity::adopt(&settings, &config, &former)).await;
        match adopted {
            Ok(Ok(identity)) => {
                tracing::info!(volume = identity.volume, "volume adopted");
                self.board().volume = Volume::Ours(identity);
                self.supervisor.want(true);
                Ok(())
            }
            Ok(Err(error)) => Err(crate::logging::chain(&error)),
            Err(_) => Err("the volume cannot be adopted".into()),
        }
    }
}
