//! Plans carried out against an API server that is a function.

use super::*;
use crate::facts::{Existing, key_of};
use crate::kinds::OwnedKind;
use crate::testing::{Call, cluster, context, refusal, server};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use porpoise_core::plan::{Deletion, Desired, Metadata, Record};
use porpoise_core::protocol::{Action, Order, Seen};
use porpoise_core::view::{ClusterView, References};
use porpoise_crds::FINALIZER;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn observation(freshness: Freshness) -> Observation {
    let view = ClusterView {
        now: jiff::Timestamp::now(),
        ages: porpoise_core::view::Ages::default(),
        operator: "operator-0".to_owned(),
        object: cluster(),
        namespace_terminating: false,
        stateful_set: None,
        pods: BTreeMap::new(),
        nodes: BTreeMap::new(),
        line: porpoise_core::line::FIRST,
        other_claims: BTreeMap::new(),
        claims: BTreeMap::new(),
        members: BTreeMap::new(),
        references: References::default(),
        backups: BTreeMap::new(),
        troubles: Vec::new(),
    };
    Observation { view, freshness }
}

fn owned(json: Value) -> Value {
    let mut json = json;
    json["metadata"]["namespace"] = json!("prod");
    json["metadata"]["labels"] =
        json!({ "app.kubernetes.io/managed-by": "porpoise", "app.kubernetes.io/instance": "shop" });
    json["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster", "name": "shop", "uid": "c1a5ter",
        "controller": true,
    }]);
    json
}

fn config_map(text: &str) -> Desired {
    let json = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shop-config" }, "data": { "my.cnf": text } });
    Desired::ConfigMap(Box::new(serde_json::from_value::<ConfigMap>(owned(json)).unwrap()))
}

fn slice(address: &str) -> Desired {
    let json = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "name": "shop-primary" },
        "addressType": "IPv4", "endpoints": [{ "addresses": [address] }],
    });
    Desired::EndpointSlice(Box::new(serde_json::from_value::<EndpointSlice>(owned(json)).unwrap()))
}

fn order() -> Order {
    Order {
        cluster: "c1a5ter".to_owned(),
        instance: "shop-0".to_owned(),
        volume: None,
        term: 3,
        seen: Seen::default(),
        claim: None,
        action: Action::Seal,
    }
}

fn record() -> Record {
    Record {
        term: 3,
        term_owner: Some("operator-0".to_owned()),
        quorum: None,
        primary: None,
        operation: None,
    }
}

/// Stores what is applied; knows nothing else.
#[allow(clippy::unnecessary_wraps, reason = "the shape of a server")]
fn storing(call: &Call) -> Option<(u16, Value)> {
    Some(match call.method.as_str() {
        "GET" => refusal(404, "NotFound"),
        "PATCH" | "PUT" => {
            let mut stored = call.body.clone();
            stored["metadata"]["uid"] = json!("u");
            stored["metadata"]["resourceVersion"] = json!("100");
            (200, stored)
        }
        _ => (200, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" })),
    })
}

#[tokio::test]
async fn an_object_is_applied_once_and_again_only_when_it_drifts() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let plan = Plan { objects: vec![config_map("a")], ..Plan::default() };
    for _ in 0..3 {
        assert!(on(&context, &observation(Freshness::Watched), &plan).await.failures.is_empty());
    }
    let path = "/api/v1/namespaces/prod/configmaps/shop-config";
    assert_eq!(calls.lines(), [format!("GET {path}"), format!("PATCH {path}")]);

    // Somebody changes our field: the watch brings it.
    let key = key_of(&cluster());
    let cache = context.caches.of(OwnedKind::ConfigMap);
    let drifted =
        cache.get(&key, "shop-config").unwrap().json.replace("\"my.cnf\":\"a\"", "\"my.cnf\":\"b\"");
    let mut object: kube::core::DynamicObject = serde_json::from_str(&drifted).unwrap();
    object.metadata.resource_version = Some("101".to_owned());
    cache.put(&key, "shop-config", Existing::new(object));
    on(&context, &observation(Freshness::Watched), &plan).await;
    assert_eq!(calls.lines().len(), 3);
    assert_eq!(calls.all()[2].body["data"]["my.cnf"], "a");
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone_and_named() {
    let (client, calls) = server(|call| match call.method.as_str() {
        "GET" => Some((
            200,
            json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "shop-config" },
            }),
        )),
        _ => None,
    });
    let (context, _until) = context(&client);
    let plan = Plan { objects: vec![config_map("a")], ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
    assert_eq!(outcome.taken.iter().collect::<Vec<_>>(), ["ConfigMap shop-config"]);
    assert_eq!(calls.all().iter().filter(|call| call.method == "PATCH").count(), 0);
}

#[tokio::test]
async fn after_a_conflict_over_the_record_nothing_happens() {
    let (client, calls) = server(|call| match call.method.as_str() {
        "PUT" => Some(refusal(409, "Conflict")),
        _ => None,
    });
    let (context, _until) = context(&client);
    let metadata = Metadata { labels: BTreeMap::from([("a".to_owned(), None)]), ..Metadata::default() };
    let plan = Plan {
        record: Some(record()),
        orders: vec![order()],
        pod_metadata: BTreeMap::from([("shop-0".to_owned(), metadata)]),
        ..Plan::default()
    };
    let outcome = on(&context, &observation(Freshness::Read), &plan).await;
    assert!(outcome.look_at_once && !outcome.status_written && outcome.failures.is_empty());
    assert_eq!(
        calls.lines(),
        ["PUT /apis/mysql.porpoise.dev/v1alpha1/namespaces/prod/mysqlclusters/shop/status"]
    );
    assert_eq!(calls.all()[0].body["metadata"]["resourceVersion"], "41");
    assert_eq!(calls.all()[0].body["status"]["term"], 3);
}

#[tokio::test]
async fn after_the_record_is_written_orders_wait_for_the_next_pass() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let plan = Plan { record: Some(record()), orders: vec![order()], ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Read), &plan).await;
    assert!(outcome.look_at_once && outcome.status_written);
    assert_eq!(calls.lines().len(), 1);
}

#[tokio::test]
async fn orders_deletions_and_a_moving_endpoint_need_a_record_read_in_the_same_pass() {
    let deletion = Deletion::Pod { name: "shop-0".to_owned(), uid: "u".to_owned() };
    for (case, plan) in [
        ("order", Plan { orders: vec![order()], ..Plan::default() }),
        ("deletion", Plan { deletions: vec![deletion], ..Plan::default() }),
        ("endpoint", Plan { objects: vec![slice("10.0.0.1")], ..Plan::default() }),
    ] {
        let (client, calls) = server(storing);
        let (context, _until) = context(&client);
        let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
        assert!(outcome.look_at_once && outcome.needs_fresh_record, "{case}");
        assert!(calls.lines().is_empty(), "{case}");
    }
}

/// A budget counts a Pod in which nothing runs as lost, and would never let it go.
#[tokio::test]
async fn members_are_evicted_but_idle_pods_are_deleted_each_by_its_uid() {
    let (name, uid) = ("shop-0".to_owned(), "u".to_owned());
    for (deletion, line, place) in [
        (
            Deletion::Pod { name: name.clone(), uid: uid.clone() },
            "POST /api/v1/namespaces/prod/pods/shop-0/eviction",
            "/deleteOptions/preconditions/uid",
        ),
        (Deletion::IdlePod { name, uid }, "DELETE /api/v1/namespaces/prod/pods/shop-0", "/preconditions/uid"),
    ] {
        let (client, calls) = server(storing);
        let (context, _until) = context(&client);
        let plan = Plan { deletions: vec![deletion], ..Plan::default() };
        on(&context, &observation(Freshness::Read), &plan).await;
        assert_eq!(calls.lines(), [line]);
        assert_eq!(calls.all()[0].body.pointer(place), Some(&json!("u")), "{line}");
    }
}

#[tokio::test]
async fn the_endpoint_is_written_only_over_what_was_seen() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let pass = observation(Freshness::Read);
    on(&context, &pass, &Plan { objects: vec![slice("10.0.0.1")], ..Plan::default() }).await;
    on(&context, &pass, &Plan { objects: vec![slice("10.0.0.2")], ..Plan::default() }).await;
    let patches: Vec<Call> = calls.all().into_iter().filter(|call| call.method == "PATCH").collect();
    assert_eq!(patches[0].body["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(patches[1].body["metadata"]["resourceVersion"], "100");
}

#[tokio::test]
async fn who_does_not_lead_does_nothing() {
    let (client, calls) = server(storing);
    let (context, until) = context(&client);
    until.send_replace(None);
    let plan = Plan { finalizer: Some(true), objects: vec![config_map("a")], ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Read), &plan).await;
    assert!(matches!(outcome.failures[..], [ActError::HoldLease]));
    assert!(calls.lines().is_empty());
}

#[tokio::test]
async fn a_refused_object_does_not_hold_up_the_others() {
    let (client, calls) = server(|call| match (call.method.as_str(), call.path.ends_with("shop-config")) {
        ("PATCH", true) => Some(refusal(403, "Forbidden")),
        _ => storing(call),
    });
    let (context, _until) = context(&client);
    let plan = Plan { objects: vec![config_map("a"), slice("10.0.0.1")], ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Read), &plan).await;
    assert!(matches!(outcome.failures[..], [ActError::ApplyObject { .. }]));
    assert!(
        calls.lines().contains(
            &"PATCH /apis/discovery.k8s.io/v1/namespaces/prod/endpointslices/shop-primary".to_owned()
        )
    );
}

#[tokio::test]
async fn the_finalizer_goes_last_and_only_when_all_else_is_done() {
    for (case, refused, want) in [("all is done", false, true), ("a deletion fails", true, false)] {
        let (client, calls) = server(move |call| match call.method.as_str() {
            "DELETE" if refused => Some(refusal(500, "InternalError")),
            _ => storing(call),
        });
        let (context, _until) = context(&client);
        let mut pass = observation(Freshness::Read);
        pass.view.object.metadata.finalizers = Some(vec!["other".to_owned(), FINALIZER.to_owned()]);
        let claim = Deletion::Claim { name: "data-shop-0".to_owned(), uid: "u".to_owned() };
        let plan = Plan { finalizer: Some(false), deletions: vec![claim], ..Plan::default() };
        let outcome = on(&context, &pass, &plan).await;
        assert_eq!(outcome.released, want, "{case}");
        let deletion = &calls.all()[0];
        assert_eq!(deletion.body["preconditions"]["uid"], "u", "{case}");
        if want {
            let patch = calls.all().pop().unwrap().body;
            assert_eq!(patch["metadata"], json!({ "resourceVersion": "41", "finalizers": ["other"] }));
        } else {
            assert_eq!(calls.lines().len(), 1);
        }
    }
}

#[tokio::test]
async fn secrets_are_made_once_without_an_owner_and_not_asked_for_again_soon() {
    let (client, calls) = server(|call| match call.method.as_str() {
        "POST" => Some((201, call.body.clone())),
        _ => storing(call),
    });
    let (context, _until) = context(&client);
    let plan = Plan { secrets: true, ..Plan::default() };
    for _ in 0..2 {
        let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    }
    let made: Vec<Call> = calls.all().into_iter().filter(|call| call.method == "POST").collect();
    let names: Vec<&str> = made.iter().filter_map(|call| call.body["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["shop-ca", "shop-server", "shop-accounts", "shop-app"]);
    assert!(made.iter().all(|call| call.body["metadata"]["ownerReferences"].is_null()));
    assert_eq!(calls.lines().len(), 8, "four questions and four answers, once");
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_never_touched() {
    let (client, calls) = server(|call| match call.method.as_str() {
        "GET" if call.path.ends_with("shop-accounts") => Some((
            200,
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop-accounts" } }),
        )),
        "POST" => Some((201, call.body.clone())),
        _ => storing(call),
    });
    let (context, _until) = context(&client);
    let outcome =
        on(&context, &observation(Freshness::Watched), &Plan { secrets: true, ..Plan::default() }).await;
    assert_eq!(outcome.taken.iter().collect::<Vec<_>>(), ["Secret shop-accounts"]);
    let touched = |call: &Call| call.method != "GET" && call.path.ends_with("shop-accounts");
    assert!(!calls.all().iter().any(touched));
}

fn wish(name: &str) -> Plan {
    let backup = json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
        "metadata": { "name": name, "namespace": "prod" }, "spec": { "clusterRef": { "name": "shop" } },
    });
    Plan { backups: vec![serde_json::from_value(backup).unwrap()], ..Plan::default() }
}

#[tokio::test]
async fn a29_a_backup_that_exists_is_the_one_that_was_wanted_unless_it_is_another_clusters() {
    for (of, failures) in [("shop", 0), ("shop-a", 1)] {
        let (client, calls) = server(move |call| {
            Some(match call.method.as_str() {
                "POST" => refusal(409, "AlreadyExists"),
                _ => (
                    200,
                    json!({
                        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
                        "metadata": { "name": "shop-a-b" }, "spec": { "clusterRef": { "name": of } },
                    }),
                ),
            })
        });
        let (context, _until) = context(&client);
        let outcome = on(&context, &observation(Freshness::Read), &wish("shop-a-b")).await;
        assert_eq!(outcome.failures.len(), failures, "{of}: {:?}", outcome.failures);
        assert_eq!(calls.lines().len(), 2);
    }
}

#[tokio::test]
async fn a_backup_is_retired_only_if_it_is_the_one_that_was_seen() {
    let (client, calls) = server(|_| Some(refusal(409, "Conflict")));
    let (context, _until) = context(&client);
    let retired = vec![("shop-a".to_owned(), "u1".to_owned())];
    let plan = Plan { retired_backups: retired, ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Read), &plan).await;
    assert!(outcome.failures.is_empty(), "a successor of that name stays: {:?}", outcome.failures);
    assert_eq!(calls.all()[0].body["preconditions"]["uid"], "u1");
}

fn archive_order() -> porpoise_core::backup::ArchiveOrder {
    porpoise_core::backup::ArchiveOrder {
        cluster: "c1a5ter".to_owned(),
        instance: "shop-0".to_owned(),
        settings: None,
        needless: None,
    }
}

/// No agent can be called: the Secret with the CA is not there. The cluster serves on.
#[tokio::test]
async fn a29_what_cannot_be_told_about_the_archive_fails_no_pass_and_holds_nothing_up() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let plan = Plan { objects: vec![config_map("a")], archive: vec![archive_order()], ..Plan::default() };
    let outcome = on(&context, &observation(Freshness::Watched), &plan).await;
    assert!(outcome.failures.is_empty() && !outcome.look_at_once && !outcome.needs_fresh_record);
    let lines = calls.lines();
    let asked = lines.iter().position(|line| line.ends_with("/secrets/shop-ca")).unwrap();
    assert_eq!(asked, lines.len() - 1, "last of all: {lines:?}");
}

/// While somebody refuses, passes follow each other faster than it is worth to ask again.
#[tokio::test(start_paused = true)]
async fn a29_who_did_not_take_it_is_not_asked_in_every_pass() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let refusal = Some((tokio::time::Instant::now(), "another cluster".to_owned()));
    context.memories.of("c1a5ter", |memory| memory.archive_refusal = refusal);
    let plan = Plan { archive: vec![archive_order()], ..Plan::default() };
    on(&context, &observation(Freshness::Watched), &plan).await;
    assert!(calls.lines().is_empty());
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    on(&context, &observation(Freshness::Watched), &plan).await;
    assert_eq!(calls.lines(), ["GET /api/v1/namespaces/prod/secrets/shop-ca"]);
}

#[tokio::test]
async fn a29_with_a_new_record_nobody_is_told_about_the_archive() {
    let (client, calls) = server(storing);
    let (context, _until) = context(&client);
    let plan = Plan { record: Some(record()), archive: vec![archive_order()], ..Plan::default() };
    on(&context, &observation(Freshness::Read), &plan).await;
    assert_eq!(calls.lines().len(), 1, "the record alone: {:?}", calls.lines());
}
