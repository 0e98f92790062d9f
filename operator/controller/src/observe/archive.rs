//! What it takes to archive the binlog of a living cluster: the Secrets that `spec.backup` names. They are kept in memory for
//! a while and never printed.
//!
//! Nothing of this may hold up a pass that moves a primary: it is read while nothing is going on, and not waited for long.

use super::named::secrets;
use crate::context::Context;
use crate::memory::ArchiveSecrets;
use kube::ResourceExt;
use porpoise_core::backup::{FoundSecrets, SecretNeed, archive_needs, archive_settings, archived};
use porpoise_core::view::ArchiveLook;
use porpoise_crds::MySQLCluster;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The field that leads to all this.
const FIELD: &str = "spec.backup";
/// What was found is good for this long.
const FRESH: Duration = Duration::from_secs(30);
/// What is missing is looked for this often.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest wait for all of it.
const LIMIT: Duration = Duration::from_secs(1);

/// What the primary is to be told, and why an agent did not take it the last time.
pub(super) async fn look(context: &Context, object: &MySQLCluster) -> (Option<ArchiveLook>, Option<String>) {
    let uid = object.uid().unwrap_or_default();
    let Some(backup) = archived(object).filter(|_| lives(object)) else {
        context.memories.of(&uid, |memory| memory.archive = None);
        return (None, refusal(context, &uid));
    };
    let found = found(context, object, &archive_needs(backup)).await;
    let settings = found.map(|found| found.and_then(|found| archive_settings(object, backup, &found)));
    let look = settings.map(|settings| match settings {
        Ok(settings) => ArchiveLook::Ready(Box::new(settings)),
        Err(missing) => {
            context.memories.of(&uid, |memory| memory.look_for_archive_within(AGAIN));
            ArchiveLook::Missing(missing)
        }
    });
    (look, refusal(context, &uid))
}

fn refusal(context: &Context, uid: &str) -> Option<String> {
    context.memories.of(uid, |memory| memory.archive_refusal.as_ref().map(|(_, reason)| reason.clone()))
}

/// Nobody archives before the first primary is recorded, in hibernation, at the end, or while nothing is to be changed.
fn lives(object: &MySQLCluster) -> bool {
    let is_founded = object.status.as_ref().is_some_and(|status| status.quorum.is_some());
    let rests = object.spec.hibernated || object.spec.paused;
    is_founded && !rests && object.metadata.deletion_timestamp.is_none()
}

/// What the Secrets hold; nothing if that is not known, and this is no time to ask.
async fn found(
    context: &Context,
    object: &MySQLCluster,
    needs: &[SecretNeed],
) -> Option<Result<FoundSecrets, String>> {
    let uid = object.uid().unwrap_or_default();
    let known = context.memories.of(&uid, |memory| memory.archive.clone());
    let known = known.filter(|known| known.needs == needs);
    let operates = object.status.as_ref().is_some_and(|status| status.operation.is_some());
    match known {
        Some(known) if operates || Instant::now() < known.due => return Some(known.found),
        None if operates => return None,
        Some(_) | None => {}
    }
    let namespace = object.namespace().unwrap_or_default();
    let read = timeout(LIMIT, secrets(context, &namespace, needs, FIELD)).await;
    let read =
        read.unwrap_or_else(|_| Err(format!("{FIELD}: its Secrets cannot be read in time; tried again")));
    let (pause, found) = match (read, known) {
        (Ok(found), _) => (FRESH, Ok(found)),
        // What was known a moment ago is better than nothing.
        (Err(_), Some(ArchiveSecrets { found: Ok(found), .. })) => (AGAIN, Ok(found)),
        (Err(unreadable), _) => (AGAIN, Err(unreadable)),
    };
    let now_known =
        ArchiveSecrets { due: Instant::now() + pause, needs: needs.to_vec(), found: found.clone() };
    context.memories.of(&uid, |memory| memory.archive = Some(now_known));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, Calls, cluster, context, refusal, server};
    use porpoise_crds::{Operation, OperationKind, Quorum};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    type Change = fn(&mut MySQLCluster);

    fn living() -> MySQLCluster {
        let mut cluster = cluster();
        cluster.spec.backup = serde_json::from_value(json!({
            "target": {"s3": {"bucket": "safe", "credentialsSecretRef": {"name": "store"}}},
        }))
        .unwrap();
        cluster.status.get_or_insert_default().quorum = Some(Quorum::default());
        cluster
    }

    fn operating() -> MySQLCluster {
        let mut cluster = living();
        let operation = json!({"kind": OperationKind::Sealing, "startedAt": "2026-11-21T10:00:00.000000Z"});
        let operation: Operation = serde_json::from_value(operation).unwrap();
        cluster.status.get_or_insert_default().operation = Some(operation);
        cluster
    }

    fn secret(_: &Call) -> (u16, Value) {
        let data = json!({"accessKeyId": "aWQ=", "secretAccessKey": "a2V5"});
        (200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "data": data}))
    }

    async fn assert_ready(context: &Context, object: &MySQLCluster) {
        match look(context, object).await.0 {
            Some(ArchiveLook::Ready(settings)) => {
                assert_eq!(settings.secrets.credentials["secretAccessKey"], "key");
                assert_eq!(settings.folder(), "prod/shop/c1a5ter/_binlogs");
                assert!(!format!("{settings:?}").contains("key\""), "never printed");
            }
            other => panic!("{other:?}"),
        }
    }

    /// A server whose answer is this status, while it is 200 the Secret.
    fn switched(code: &Arc<AtomicU16>) -> (kube::Client, Calls) {
        let code = Arc::clone(code);
        server(move |call| match code.load(Ordering::SeqCst) {
            200 => Some(secret(call)),
            0 => None,
            code => Some(refusal(code, "Any")),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a29_secrets_are_read_by_name_and_rotated_ones_are_seen_after_a_while() {
        let (client, calls) = server(|call| Some(secret(call)));
        let (context, _until) = context(&client);
        for _ in 0..3 {
            assert_ready(&context, &living()).await;
        }
        assert_eq!(calls.lines(), ["GET /api/v1/namespaces/prod/secrets/store"]);
        tokio::time::advance(FRESH).await;
        assert_ready(&context, &living()).await;
        assert_eq!(calls.lines().len(), 2);
        // A changed spec is looked at once.
        let mut other = living();
        let target = &mut other.spec.backup.as_mut().unwrap().target;
        target.s3.as_mut().unwrap().credentials_secret_ref.as_mut().unwrap().name = "other".to_owned();
        look(&context, &other).await;
        assert_eq!(calls.lines()[2], "GET /api/v1/namespaces/prod/secrets/other");
    }

    #[tokio::test]
    async fn nothing_is_read_for_a_cluster_that_archives_nothing() {
        let (client, calls) = server(|call| Some(secret(call)));
        let (context, _until) = context(&client);
        let changes: [(&str, Change); 5] = [
            ("founding", |object| object.status = None),
            ("hibernated", |object| object.spec.hibernated = true),
            ("paused", |object| object.spec.paused = true),
            ("no backup", |object| object.spec.backup = None),
            ("off", |object| {
                let backup = object.spec.backup.as_mut().unwrap();
                backup.binlog_archive.mode = porpoise_crds::ArchiveMode::Off;
            }),
        ];
        for (case, change) in changes {
            let mut object = living();
            change(&mut object);
            assert!(look(&context, &object).await.0.is_none(), "{case}");
        }
        assert!(calls.lines().is_empty());
    }

    /// While the primary moves nothing is asked; what is known still counts.
    #[tokio::test(start_paused = true)]
    async fn a_moving_primary_waits_for_no_secret() {
        let code = Arc::new(AtomicU16::new(0));
        let (client, calls) = switched(&code);
        let (context, _until) = context(&client);
        assert!(look(&context, &operating()).await.0.is_none());
        assert!(calls.lines().is_empty());
        code.store(200, Ordering::SeqCst);
        assert_ready(&context, &living()).await;
        tokio::time::advance(FRESH * 2).await;
        code.store(0, Ordering::SeqCst);
        assert_ready(&context, &operating()).await;
        assert_eq!(calls.lines().len(), 1);
        let began = Instant::now();
        assert_ready(&context, &living()).await;
        assert!(began.elapsed() <= LIMIT, "it hangs, and what was known is used");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_said_and_looked_for_again_soon() {
        for (status, words) in
            [(404, "Secret store does not exist"), (403, "cannot be read now"), (0, "in time")]
        {
            let code = Arc::new(AtomicU16::new(status));
            let (client, _) = switched(&code);
            let (context, _until) = context(&client);
            match look(&context, &living()).await.0 {
                Some(ArchiveLook::Missing(sentence)) => {
                    assert!(sentence.starts_with("spec.backup") && sentence.contains(words), "{sentence}");
                }
                other => panic!("{other:?}"),
            }
            code.store(200, Ordering::SeqCst);
            tokio::time::advance(AGAIN).await;
            assert_ready(&context, &living()).await;
        }
    }
}
