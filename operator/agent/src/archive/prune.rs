//! Removing segments that every backup that is kept holds already.

use super::ArchiveError;
use super::segment;
use super::store::Store;

/// Segments that are removed at a time; the next time goes on.
const MOST: usize = 1_000;

/// Removes the oldest segments up to the first one with something that is not in `needless`. The newest one always stays: it
/// tells where the archive ends. Gives how many were removed.
pub async fn prune(store: &Store, needless: &str) -> Result<usize, ArchiveError> {
    let needless = segment::set(needless)?;
    let names = store.names().await?;
    let Some((_, older)) = names.split_last() else { return Ok(0) };
    let mut removed = 0;
    for part in older.chunk_by(|one, next| one.chain == next.chain) {
        let count = store.count_within(part, &needless).await?;
        for name in part.iter().take(count.min(MOST - removed)) {
            store.remove(name).await?;
            removed += 1;
        }
        if count < part.len() || removed >= MOST {
            break;
        }
    }
    Ok(removed)
}
