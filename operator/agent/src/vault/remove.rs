//! Removing: first the manifest, so that what is left at any moment is no backup.

use super::VaultError;
use super::manifest;
use super::objects::Objects;

pub(super) async fn remove(objects: &Objects, folder: &str) -> Result<(), VaultError> {
    objects.delete(&manifest::path(folder)?).await?;
    objects.delete_all(&manifest::folder_path(folder)?, |_| false).await
}
