use super::*;

fn backed_up(ready: &str) -> MySQLClusterStatus {
    let condition = serde_json::json!({
        "type": "BackupReady", "status": ready, "reason": "Any", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z",
    });
    let backup =
        serde_json::json!({"lastSuccess": "1970-01-01T00:01:40Z", "dueSince": "1970-01-01T00:02:40Z"});
    serde_json::from_value(serde_json::json!({"backup": backup, "conditions": [condition]})).unwrap()
}

#[test]
fn the_archive_has_numbers_of_its_own() {
    let metrics = Metrics::default();
    let mut status = backed_up("False");
    status.conditions[0].reason = "ArchiveFailing".to_owned();
    let backup = status.backup.as_mut().unwrap();
    let at = |second| Some(Time(jiff::Timestamp::from_second(second).unwrap()));
    (backup.restorable_from, backup.restorable_to) = (at(100), at(700));
    backup.archive_failing_since = at(800);
    metrics.backups("prod", "shop", Some(&status));
    metrics.archive("prod", "shop", Some(&status), Some(Duration::from_millis(90_500)));
    let text = metrics.text(&Board::default());
    for line in [
        "cluster_archive_delay_seconds{namespace=\"prod\",name=\"shop\"} 90",
        "cluster_archive_failing{namespace=\"prod\",name=\"shop\"} 1",
        "cluster_restorable_seconds{namespace=\"prod\",name=\"shop\"} 600",
        "backup_last_failed{namespace=\"prod\",name=\"shop\"} 0",
    ] {
        assert!(text.contains(&format!("porpoise_{line}")), "{line}: {text}");
    }
    metrics.backups("prod", "shop", None);
    metrics.archive("prod", "shop", None, None);
    assert!(!metrics.text(&Board::default()).contains("shop"));
}

#[test]
fn a_cluster_has_one_state_and_leaves_none_behind() {
    let metrics = Metrics::default();
    metrics.state("prod", "shop", None, Some("Healthy"));
    metrics.members("prod", "shop", Some(Members { wanted: 3, ready_replicas: 1 }));
    metrics.state("prod", "shop", Some("Healthy"), Some("Degraded"));
    let text = metrics.text(&Board::default());
    assert!(
        text.contains(r#"porpoise_cluster_state{namespace="prod",name="shop",state="Degraded"} 1"#),
        "{text}"
    );
    assert!(!text.contains("Healthy"));
    for line in [
        "instances{namespace=\"prod\",name=\"shop\"} 3",
        "ready_replicas{namespace=\"prod\",name=\"shop\"} 1",
    ] {
        assert!(text.contains(&format!("porpoise_cluster_{line}")), "{text}");
    }
    metrics.backups("prod", "shop", Some(&backed_up("False")));
    let text = metrics.text(&Board::default());
    for line in [
        "last_success_timestamp_seconds{namespace=\"prod\",name=\"shop\"} 100",
        "due_since_timestamp_seconds{namespace=\"prod\",name=\"shop\"} 160",
        "last_failed{namespace=\"prod\",name=\"shop\"} 1",
    ] {
        assert!(text.contains(&format!("porpoise_backup_{line}")), "{text}");
    }
    assert!(!text.contains("next_run_timestamp_seconds{"), "there is no schedule: {text}");
    metrics.backups("prod", "shop", Some(&backed_up("True")));
    let text = metrics.text(&Board::default());
    assert!(text.contains("porpoise_backup_last_failed{namespace=\"prod\",name=\"shop\"} 0"), "{text}");
    metrics.state("prod", "shop", Some("Degraded"), None);
    metrics.members("prod", "shop", None);
    metrics.backups("prod", "shop", None);
    assert!(!metrics.text(&Board::default()).contains("shop"));
}

#[test]
fn d15_rehearsals_are_counted_by_how_they_ended_and_a_failed_one_shows() {
    let metrics = Metrics::default();
    let tried = |attempt: i32, outcome: &str| -> MySQLClusterStatus {
        let rehearsal = serde_json::json!({
            "image": "mysql:9.8", "digest": "d1", "backup": "shop-a", "backupUid": "u1", "job": "shop-rehearsal",
            "attempt": attempt, "outcome": outcome, "startedAt": "1970-01-01T00:00:00Z",
        });
        serde_json::from_value(serde_json::json!({"rehearsal": rehearsal})).unwrap()
    };
    let none = MySQLClusterStatus::default();
    let lives =
        [none.clone(), tried(1, "Running"), tried(1, "Interrupted"), tried(2, "Running"), tried(2, "Failed")];
    for both in lives.windows(2) {
        metrics.rehearsal("prod", "shop", Some((&both[0], &both[1])));
    }
    // Every pass looks, and nothing is counted twice.
    metrics.rehearsal("prod", "shop", Some((&lives[4], &lives[4])));
    let text = metrics.text(&Board::default());
    for line in [
        "porpoise_rehearsals_total{result=\"interrupted\"} 1",
        "porpoise_rehearsals_total{result=\"failed\"} 1",
        "porpoise_rehearsal_last_failed{namespace=\"prod\",name=\"shop\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    metrics.rehearsal("prod", "shop", Some((&lives[3], &tried(3, "Succeeded"))));
    let text = metrics.text(&Board::default());
    assert!(text.contains("porpoise_rehearsals_total{result=\"succeeded\"} 1"), "{text}");
    assert!(text.contains("porpoise_rehearsal_last_failed{namespace=\"prod\",name=\"shop\"} 0"), "{text}");
    metrics.rehearsal("prod", "shop", Some((&lives[4], &none)));
    assert!(!metrics.text(&Board::default()).contains("rehearsal_last_failed{"));
}
