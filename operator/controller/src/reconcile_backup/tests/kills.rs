//! The operator is killed at every moment of a backup, once at each: there is one Job, and in the end a record.

use super::*;
use porpoise_core::backup::{JobReport, Summary};
use std::sync::{Arc, Mutex};

/// What the API server holds, and how many writes it still takes from the operator of this life.
struct Held {
    object: Value,
    jobs: Vec<Value>,
    report: Option<String>,
    left: usize,
}

impl Held {
    fn answer(&mut self, call: &Call) -> (u16, Value) {
        let is_write = call.method != "GET" && !call.path.contains("events.k8s.io");
        if is_write && self.left == 0 {
            return refusal(500, "InternalError");
        }
        self.left -= usize::from(is_write);
        match (call.method.as_str(), call.path.as_str()) {
            ("PUT", path) if path.ends_with("shop-a/status") => {
                self.object["status"] = call.body["status"].clone();
                (200, self.object.clone())
            }
            ("POST", JOBS) if !self.jobs.is_empty() => refusal(409, "AlreadyExists"),
            ("POST", JOBS) => {
                self.jobs.push(call.body.clone());
                (201, call.body.clone())
            }
            ("GET", path) if path.ends_with("jobs/shop-a-store") => match self.jobs.first() {
                Some(_) => (200, self.job()),
                None => refusal(404, "NotFound"),
            },
            ("GET", "/api/v1/namespaces/prod/pods") => (200, self.pods()),
            _ => usual(call),
        }
    }

    fn job(&self) -> Value {
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "status": if self.report.is_some() { complete } else { json!({"active": 1}) },
            "metadata": {
                "name": "shop-a-store", "namespace": "prod", "uid": "j0b",
                "ownerReferences": [owner("MySQLBackup", "shop-a", "bac4up")],
            },
        })
    }

    fn pods(&self) -> Value {
        let terminated = json!({"exitCode": 0, "finishedAt": "2026-11-21T03:10:00Z", "message": self.report});
        let container = json!({
            "name": "backup", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": terminated},
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "shop-a-store-x", "ownerReferences": [owner("Job", "shop-a-store", "j0b")]},
            "status": {"containerStatuses": [container]},
        });
        let items = if self.report.is_some() { vec![pod] } else { Vec::new() };
        json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})
    }
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    let version = if kind == "Job" { "batch/v1" } else { "mysql.porpoise.dev/v1alpha1" };
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

fn stored() -> String {
    let summary = Summary {
        version: "9.7.4".to_owned(),
        donor: "shop-1".to_owned(),
        gtid_set: Some("ab14ab2d-e585-11f1-8f73-02fc00000001:1-9".to_owned()),
        tables: 40,
        data_bytes: 4000,
        stored_bytes: 900,
        verified: true,
        compared: None,
    };
    serde_json::to_string(&JobReport::Stored { summary }).unwrap()
}

/// One life of the operator, which begins with what is stored and dies after so many writes.
async fn live(held: &Arc<Mutex<Held>>, writes: usize) {
    held.lock().unwrap().left = writes;
    let seen = held.clone();
    let (client, _) = server(move |call| Some(seen.lock().unwrap().answer(call)));
    let (context, _until) = context(&client);
    let object: MySQLBackup = serde_json::from_value(held.lock().unwrap().object.clone()).unwrap();
    // A dead operator's errors are nobody's.
    let _ = Box::pin(pass(&object, &context)).await;
}

#[tokio::test]
async fn a29_an_operator_killed_at_every_moment_makes_one_backup() {
    let object = serde_json::to_value(backup(|_| {})).unwrap();
    let held = Arc::new(Mutex::new(Held { object, jobs: Vec::new(), report: None, left: 0 }));
    let status = |held: &Arc<Mutex<Held>>| held.lock().unwrap().object["status"].clone();
    // Before the record, after it, after the Job's account, after the Job.
    for writes in 0..=3 {
        live(&held, writes).await;
        let made = held.lock().unwrap().jobs.len();
        assert_eq!(made, usize::from(writes == 3), "after {writes} writes");
    }
    let place = status(&held)["location"].clone();
    assert!(place["path"].as_str().is_some_and(|path| path.ends_with("/shop-a")), "{place}");
    held.lock().unwrap().report = Some(stored());
    // Before the end is recorded, and after it.
    live(&held, 0).await;
    assert_eq!(status(&held)["phase"], "Running");
    live(&held, 1).await;
    let record = status(&held);
    assert_eq!((&record["phase"], &record["verified"]), (&json!("Succeeded"), &json!(true)));
    assert_eq!((&record["location"], &record["storedBytes"]), (&place, &json!(900)));
    live(&held, 9).await;
    assert_eq!(status(&held), record, "what is over stays as it is");
    let held = held.lock().unwrap();
    assert_eq!((held.jobs.len(), held.left), (1, 9), "one Job, and nothing more to write");
}
