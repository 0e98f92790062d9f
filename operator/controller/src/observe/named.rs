//! Secrets that a field of the spec names: read by name, with what is in them. Whoever calls keeps them in memory only.

use crate::context::Context;
use crate::kubernetes::{CallError, bounded, chain, existing};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use porpoise_core::backup::{FoundSecrets, SecretNeed};
use std::collections::{BTreeMap, BTreeSet};

/// Each of these Secrets once.
///
/// # Errors
/// Which one cannot be read now, in a sentence that begins with `field`. One that does not exist is no error.
pub(super) async fn secrets(
    context: &Context,
    namespace: &str,
    needs: &[SecretNeed],
    field: &str,
) -> Result<FoundSecrets, String> {
    let names: BTreeSet<&String> = needs.iter().map(|need| &need.name).collect();
    let mut found = BTreeMap::new();
    for name in names {
        found.extend(secret(context, namespace, name, field).await?.map(|texts| (name.clone(), texts)));
    }
    Ok(found)
}

/// What is text in one of them; none without the Secret.
///
/// # Errors
/// As above.
pub(super) async fn secret(
    context: &Context,
    namespace: &str,
    name: &str,
    field: &str,
) -> Result<Option<BTreeMap<String, String>>, String> {
    let api: Api<Secret> = Api::namespaced(context.clients.general.clone(), namespace);
    let secret = existing(bounded(api.get(name)).await);
    let secret = secret.map_err(|error| unreadable(field, "Secret", name, &error))?;
    Ok(secret.map(texts))
}

fn texts(secret: Secret) -> BTreeMap<String, String> {
    let data = secret.data.unwrap_or_default().into_iter();
    data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?))).collect()
}

/// Not known is not absent: a cluster must not begin empty because of it, nor stop what it does.
pub(super) fn unreadable(field: &str, kind: &str, name: &str, error: &CallError) -> String {
    format!("{field}: {kind} {name} cannot be read now ({}); tried again", chain(error))
}
