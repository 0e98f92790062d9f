//! What the spec refers to outside the object: read only when it is named, and by name.

use crate::context::Context;
use crate::facts::owner;
use crate::kubernetes::{CallError, bounded, existing};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Api, ResourceExt};
use porpoise_core::view::References;
use porpoise_crds::{BackupMethod, MySQLCluster};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::kinds::OwnedKind;
use crate::snapshots;
use std::time::Duration;
use tokio::time::Instant;

/// Whether Kubernetes serves snapshots is asked again after this time.
const SNAPSHOTS_FRESH: Duration = Duration::from_secs(20);

pub(super) async fn look(context: &Context, object: &MySQLCluster) -> References {
    let (
        config_map,
        tls_secret_keys,
        storage_class_exists,
        taken_names,
        restore,
        origin,
        archive,
        rehearsal,
        serves_snapshots,
    ) = tokio::join!(
        config_map(context, object),
        tls_secret_keys(context, object),
        storage_class_exists(context, object),
        taken_names(context, object),
        super::restore::look(context, object),
        super::beginning::look(context, object),
        super::archive::look(context, object),
        super::rehearsal::look(context, object),
        serves_snapshots(context, object),
    );
    let (archive, archive_refusal) = archive;
    References {
        config_map,
        tls_secret_keys,
        storage_class_exists,
        taken_names,
        restore,
        origin,
        archive,
        archive_refusal,
        rehearsal,
        serves_snapshots,
    }
}

async fn config_map(context: &Context, object: &MySQLCluster) -> Option<BTreeMap<String, String>> {
    let name = &object.spec.mysql.config_map_ref.as_ref()?.name;
    let api: Api<ConfigMap> = Api::namespaced(context.clients.general.clone(), &object.namespace()?);
    let found = known(name, existing(bounded(api.get(name)).await))??;
    Some(found.data.unwrap_or_default())
}

async fn tls_secret_keys(context: &Context, object: &MySQLCluster) -> Option<Vec<String>> {
    let name = object.spec.tls.secret_name.as_ref()?;
    let api: Api<Secret> = Api::namespaced(context.clients.general.clone(), &object.namespace()?);
    let found = known(name, existing(bounded(api.get(name)).await))??;
    Some(found.data.unwrap_or_default().into_keys().collect())
}

/// Asked only until the `StatefulSet` exists: the class cannot be changed afterwards.
async fn storage_class_exists(context: &Context, object: &MySQLCluster) -> Option<bool> {
    let name = object.spec.storage.storage_class_name.as_ref()?;
    let key = crate::facts::key_of(object);
    if context.caches.of(OwnedKind::StatefulSet).get(&key, &key.name).is_some() {
        return None;
    }
    let api: Api<StorageClass> = Api::all(context.clients.general.clone());
    Some(known(name, existing(bounded(api.get_metadata(name)).await))?.is_some())
}

/// Asked now and then, and only where backups are to be snapshots.
async fn serves_snapshots(context: &Context, object: &MySQLCluster) -> Option<bool> {
    let method = object.spec.backup.as_ref().map(|backup| backup.method);
    let uid = object.uid().unwrap_or_default();
    if method != Some(BackupMethod::VolumeSnapshot) {
        return None;
    }
    let before = context.memories.of(&uid, |memory| memory.serves_snapshots);
    if let Some((_, is_served)) = before.filter(|(when, _)| when.elapsed() < SNAPSHOTS_FRESH) {
        return Some(is_served);
    }
    let is_served = known("snapshots of volumes", snapshots::is_served(&context.clients.general).await)?;
    context.memories.of(&uid, |memory| memory.serves_snapshots = Some((Instant::now(), is_served)));
    Some(is_served)
}

/// The names that the last pass found taken, as far as they still are.
async fn taken_names(context: &Context, object: &MySQLCluster) -> Vec<String> {
    let uid = object.uid().unwrap_or_default();
    let known: BTreeSet<String> = context.memories.of(&uid, |memory| memory.taken.clone());
    let mut still = Vec::new();
    for title in known {
        if is_taken(context, object, &title, &uid).await {
            still.push(title);
        } else {
            context.memories.of(&uid, |memory| memory.taken.remove(&title));
        }
    }
    still
}

async fn is_taken(context: &Context, object: &MySQLCluster, title: &str, uid: &str) -> bool {
    let Some((kind, name)) = title.split_once(' ') else {
        return false;
    };
    let resource = match OwnedKind::from_str(kind) {
        Ok(kind) => kind.resource(),
        Err(_) => ApiResource::erase::<Secret>(&()),
    };
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<kube::core::DynamicObject> =
        Api::namespaced_with(context.clients.general.clone(), &namespace, &resource);
    let found: Result<Option<PartialObjectMeta<_>>, _> = existing(bounded(api.get_metadata(name)).await);
    match found {
        Ok(Some(found)) if kind == "Secret" => {
            !crate::facts::is_labelled(&found.metadata, &object.name_any())
        }
        Ok(Some(found)) => owner(&found.metadata).as_deref() != Some(uid),
        Ok(None) => false,
        // Not known: as it was.
        Err(_) => true,
    }
}

/// An answer, or nothing with a line in the log.
fn known<T>(name: &str, answer: Result<T, CallError>) -> Option<T> {
    answer
        .inspect_err(|error| {
            tracing::warn!(name, error = crate::kubernetes::chain(error), "cannot read a reference");
        })
        .ok()
}
