//! What is restored into a new cluster, or in place: the backup and the Secrets that it takes to read it.
//!
//! Read only while they are wanted. What is read is kept for a moment, since a founding is looked at several times a second,
//! and never printed.

use super::named::{secrets, unreadable};
use crate::context::Context;
use crate::kubernetes::{bounded, existing};
use crate::snapshots::Snapshots;
use kube::{Api, ResourceExt};
use porpoise_core::backup::{
    NamedBackup, SNAPSHOT_KIND, SnapshotSource, snapshot_of, snapshot_source, stored_backup,
};
use porpoise_core::line;
use porpoise_core::view::RestoreLook;
use porpoise_crds::{MySQLBackup, MySQLCluster};
use std::time::Duration;
use tokio::time::Instant;

/// An answer is good for this long, as long as the same is asked for.
const FRESH: Duration = Duration::from_secs(5);

pub(super) async fn look(context: &Context, object: &MySQLCluster) -> Option<RestoreLook> {
    let uid = object.uid().unwrap_or_default();
    let Some(named) = line::wanted_backup(object) else {
        context.memories.of(&uid, |memory| memory.restore = None);
        return None;
    };
    let known = context.memories.of(&uid, |memory| memory.restore.clone());
    if let Some((when, of, look)) = known
        && when.elapsed() < FRESH
        && of == named
    {
        return Some(look);
    }
    let look = fresh(context, &object.namespace().unwrap_or_default(), &named).await;
    context.memories.of(&uid, |memory| memory.restore = Some((Instant::now(), named, look.clone())));
    Some(look)
}

async fn fresh(context: &Context, namespace: &str, named: &NamedBackup) -> RestoreLook {
    let backup = match backup(context, namespace, named).await {
        Ok(backup) => backup,
        Err(what) => return missing(named, None, what),
    };
    match snapshot(context, namespace, named, backup.as_ref()).await {
        Ok(Some(source)) => return RestoreLook::Snapshot(Box::new(source)),
        Err(what) => return RestoreLook::Awaited(what),
        Ok(None) => {}
    }
    let source = async {
        let stored = stored_backup(named, backup.as_ref())?;
        let secrets = secrets(context, namespace, &stored.needs, named.field).await?;
        stored.with_secrets(&secrets)
    };
    match source.await {
        Ok(source) => RestoreLook::Ready(Box::new(source)),
        Err(what) => missing(named, backup.as_ref(), what),
    }
}

/// What is not there may come to be a snapshot.
fn missing(named: &NamedBackup, backup: Option<&MySQLBackup>, what: String) -> RestoreLook {
    if named.takes_snapshots() && backup.is_none() {
        RestoreLook::Awaited(what)
    } else {
        RestoreLook::Missing(what)
    }
}

/// The snapshot that the backup is, if it is one.
async fn snapshot(
    context: &Context,
    namespace: &str,
    named: &NamedBackup,
    backup: Option<&MySQLBackup>,
) -> Result<Option<SnapshotSource>, String> {
    let (Some(backup), Some(taken)) = (backup, snapshot_of(named, backup)?) else { return Ok(None) };
    let look = Snapshots::of(&context.clients.general, namespace).look(&taken.name).await;
    let look = look.map_err(|error| unreadable(named.field, SNAPSHOT_KIND, &taken.name, &error))?;
    snapshot_source(named, backup, &taken, &look).map(Some)
}

async fn backup(
    context: &Context,
    namespace: &str,
    named: &NamedBackup,
) -> Result<Option<MySQLBackup>, String> {
    let Some(reference) = &named.restore.backup_ref else { return Ok(None) };
    let api: Api<MySQLBackup> = Api::namespaced(context.clients.general.clone(), namespace);
    existing(bounded(api.get(&reference.name)).await)
        .map_err(|error| unreadable(named.field, "MySQLBackup", &reference.name, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, cluster, context, refusal, server};
    use serde_json::{Value, json};

    fn restoring() -> MySQLCluster {
        let mut cluster = cluster();
        cluster.spec.bootstrap =
            serde_json::from_value(json!({"restore": {"backupRef": {"name": "shop-a"}}})).unwrap();
        cluster
    }

    fn answer(call: &Call) -> (u16, Value) {
        match call.path.rsplit('/').next().unwrap() {
            "shop-a" => (
                200,
                json!({
                    "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup", "metadata": {"name": "shop-a"},
                    "spec": {"clusterRef": {"name": "shop"}},
                    "status": {"phase": "Succeeded", "location": {
                        "target": {"s3": {"bucket": "safe", "credentialsSecretRef": {"name": "store"}}}, "path": "a",
                    }},
                }),
            ),
            "store" => (
                200,
                json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"},
                    "data": {"accessKeyId": "aWQ=", "secretAccessKey": "a2V5"},
                }),
            ),
            _ => refusal(404, "NotFound"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a30_backup_and_secrets_are_read_by_name_and_not_in_every_pass() {
        let (client, calls) = server(|call| Some(answer(call)));
        let (context, _until) = context(&client);
        for _ in 0..3 {
            match look(&context, &restoring()).await {
                Some(RestoreLook::Ready(source)) => {
                    assert_eq!(source.secrets.credentials["secretAccessKey"], "key");
                }
                other => panic!("{other:?}"),
            }
        }
        let once = [
            "GET /apis/mysql.porpoise.dev/v1alpha1/namespaces/prod/mysqlbackups/shop-a",
            "GET /api/v1/namespaces/prod/secrets/store",
        ];
        assert_eq!(calls.lines(), once);
        tokio::time::advance(FRESH).await;
        look(&context, &restoring()).await;
        assert_eq!(calls.lines().len(), 4);
    }

    #[tokio::test]
    async fn secrets_are_read_no_more_once_the_cluster_is_founded() {
        let (client, calls) = server(|call| Some(answer(call)));
        let (context, _until) = context(&client);
        let mut founded = restoring();
        founded.status.get_or_insert_default().quorum = Some(porpoise_crds::Quorum::default());
        assert!(look(&context, &founded).await.is_none());
        assert!(look(&context, &cluster()).await.is_none());
        assert!(calls.lines().is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_read_now_is_missing_and_never_taken_for_nothing() {
        for (code, reason, words) in
            [(404, "NotFound", "does not exist"), (403, "Forbidden", "cannot be read now")]
        {
            let (client, _) = server(move |_| Some(refusal(code, reason)));
            let (context, _until) = context(&client);
            match look(&context, &restoring()).await {
                Some(RestoreLook::Awaited(sentence)) => assert!(sentence.contains(words), "{sentence}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
