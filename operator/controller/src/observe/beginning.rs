//! What a new cluster begins with, if neither empty nor with a backup: statements, or a copy of another cluster.
//!
//! Read only until the cluster has a recorded claim. What is read is kept for a moment, since a founding is looked at
//! several times a second, and never printed.

use super::named::{self, unreadable};
use crate::context::Context;
use crate::kubernetes::{bounded, existing};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use porpoise_core::beginning::{FoundEntries, Origin, donor_needs, from_cluster, from_script, reference};
use porpoise_core::view::OriginLook;
use porpoise_crds::{Bootstrap, MySQLCluster};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The field that leads to all this.
const FIELD: &str = "spec.bootstrap";
/// An answer is good for this long, as long as the spec is the same.
const FRESH: Duration = Duration::from_secs(5);

pub(super) async fn look(context: &Context, object: &MySQLCluster) -> Option<OriginLook> {
    let uid = object.uid().unwrap_or_default();
    let founded = object.status.as_ref().is_some_and(|status| status.quorum.is_some());
    // Stored backups are looked at elsewhere.
    let bootstrap =
        object.spec.bootstrap.as_ref().filter(|one| one.restore.is_none() && one.import.is_none());
    let Some(bootstrap) = bootstrap.filter(|_| !founded) else {
        context.memories.of(&uid, |memory| memory.origin = None);
        return None;
    };
    let generation = object.metadata.generation;
    let known = context.memories.of(&uid, |memory| memory.origin.clone());
    if let Some((when, of, look)) = known
        && when.elapsed() < FRESH
        && of == generation
    {
        return Some(look);
    }
    let look = match fresh(context, object, bootstrap).await {
        Ok(origin) => OriginLook::Ready(Box::new(origin)),
        Err(missing) => OriginLook::Missing(missing),
    };
    context.memories.of(&uid, |memory| memory.origin = Some((Instant::now(), generation, look.clone())));
    Some(look)
}

async fn fresh(context: &Context, object: &MySQLCluster, bootstrap: &Bootstrap) -> Result<Origin, String> {
    let read = Read { context, namespace: object.namespace().unwrap_or_default() };
    let Some(clone) = &bootstrap.clone else {
        return from_script(bootstrap, &read.entries(bootstrap).await?);
    };
    let name = &clone.cluster_ref.name;
    let donor = read.cluster(name).await?;
    let mut secrets = BTreeMap::new();
    if let Some(needs) = donor.as_ref().map(donor_needs) {
        for secret in [needs.accounts].into_iter().chain(needs.authorities) {
            secrets.extend(read.secret(&secret).await?.map(|entries| (secret, entries)));
        }
    }
    from_cluster(&object.spec, name, donor.as_ref(), &secrets)
}

type Texts = BTreeMap<String, String>;

struct Read<'a> {
    context: &'a Context,
    namespace: String,
}

impl Read<'_> {
    /// Each Secret and `ConfigMap` that statements come from, once.
    async fn entries(&self, bootstrap: &Bootstrap) -> Result<FoundEntries, String> {
        let mut found = FoundEntries::new();
        for (kind, _, entry) in bootstrap.init_sql_from.iter().filter_map(reference) {
            let key = (kind, entry.name.clone());
            if found.contains_key(&key) {
                continue;
            }
            let texts = match kind {
                "Secret" => self.secret(&entry.name).await?,
                _ => self.config_map(&entry.name).await?,
            };
            found.extend(texts.map(|texts| (key, texts)));
        }
        Ok(found)
    }

    async fn cluster(&self, name: &str) -> Result<Option<MySQLCluster>, String> {
        let api: Api<MySQLCluster> = Api::namespaced(self.context.clients.general.clone(), &self.namespace);
        let found = existing(bounded(api.get(name)).await);
        found.map_err(|error| unreadable(FIELD, "MySQLCluster", name, &error))
    }

    async fn secret(&self, name: &str) -> Result<Option<Texts>, String> {
        named::secret(self.context, &self.namespace, name, FIELD).await
    }

    async fn config_map(&self, name: &str) -> Result<Option<Texts>, String> {
        let api: Api<ConfigMap> = Api::namespaced(self.context.clients.general.clone(), &self.namespace);
        let found = existing(bounded(api.get(name)).await);
        let found = found.map_err(|error| unreadable(FIELD, "ConfigMap", name, &error))?;
        Ok(found.map(|found| found.data.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, cluster, context, refusal, server};
    use serde_json::{Value, json};

    fn beginning(bootstrap: Value) -> MySQLCluster {
        let mut cluster = cluster();
        cluster.spec.bootstrap = serde_json::from_value(bootstrap).unwrap();
        cluster
    }

    fn secret(name: &str, entries: &Value) -> (u16, Value) {
        (200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": entries}))
    }

    fn answer(call: &Call) -> (u16, Value) {
        match call.path.rsplit('/').next().unwrap() {
            "old" => (
                200,
                json!({
                    "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster",
                    "metadata": {"name": "old", "namespace": "prod"}, "spec": {"storage": {"size": "1Gi"}},
                    "status": {"instances": [{"name": "old-1", "role": "Replica", "ready": true}]},
                }),
            ),
            "old-accounts" => secret("old-accounts", &json!({"clone": "a2V5"})),
            "old-server" => secret("old-server", &json!({"ca.crt": "Y2E="})),
            "users" => secret("users", &json!({"a.sql": "U0VMRUNUIDE="})),
            _ => refusal(404, "NotFound"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn b29_another_cluster_and_its_secrets_are_read_by_name_and_not_in_every_pass() {
        let (client, calls) = server(|call| Some(answer(call)));
        let (context, _until) = context(&client);
        let mut object = beginning(json!({"clone": {"clusterRef": {"name": "old"}}}));
        for _ in 0..3 {
            let Some(OriginLook::Ready(origin)) = look(&context, &object).await else { panic!() };
            let Origin::Cluster { donors, key, .. } = *origin else { panic!() };
            assert_eq!((donors[0].instance.as_str(), key.password.as_str()), ("old-1", "key"));
        }
        let once = [
            "GET /apis/mysql.porpoise.dev/v1alpha1/namespaces/prod/mysqlclusters/old",
            "GET /api/v1/namespaces/prod/secrets/old-accounts",
            "GET /api/v1/namespaces/prod/secrets/old-server",
        ];
        assert_eq!(calls.lines(), once);
        object.metadata.generation = Some(7);
        look(&context, &object).await;
        assert_eq!(calls.lines().len(), 6, "another spec is looked up at once");
    }

    #[tokio::test]
    async fn b29_statements_are_read_from_secrets_until_the_cluster_is_founded() {
        let (client, calls) = server(|call| Some(answer(call)));
        let (context, _until) = context(&client);
        let entry = |name: &str| json!({"secretKeyRef": {"name": name, "key": "a.sql"}});
        let object = beginning(json!({"initSqlFrom": [entry("users"), entry("users")]}));
        let Some(OriginLook::Ready(origin)) = look(&context, &object).await else { panic!() };
        let Origin::Script { parts } = *origin else { panic!() };
        assert_eq!((parts.len(), parts[0].text.as_str(), parts[0].secret), (2, "SELECT 1", true));
        assert_eq!(calls.lines(), ["GET /api/v1/namespaces/prod/secrets/users"]);
        let mut founded = object;
        founded.status.get_or_insert_default().quorum = Some(porpoise_crds::Quorum::default());
        assert!(look(&context, &founded).await.is_none());
        assert_eq!(calls.lines().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_read_now_is_missing_and_never_taken_for_nothing() {
        let key = json!([{"configMapKeyRef": {"name": "b", "key": "b"}}]);
        let wishes = [json!({"clone": {"clusterRef": {"name": "b"}}}), json!({"initSqlFrom": key})];
        for (code, reason, words) in
            [(404, "NotFound", "does not exist"), (403, "Forbidden", "cannot be read now")]
        {
            for wish in &wishes {
                let (client, _) = server(move |_| Some(refusal(code, reason)));
                let (context, _until) = context(&client);
                match look(&context, &beginning(wish.clone())).await {
                    Some(OriginLook::Missing(sentence)) => assert!(sentence.contains(words), "{sentence}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
