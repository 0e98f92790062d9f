use super::*;

/// Each spec has exactly one problem.
fn assert_all_refused<const N: usize>(table: [(Value, Refusal); N]) {
    for (spec, refusal) in table {
        assert_refused(&problems(&object(&spec)), refusal, &spec.to_string());
    }
}

#[test]
fn release_table() {
    assert_all_refused([
        (json!({"instances": 0}), ("spec.instances", "InvalidInstances", "1 to 9")),
        (json!({"instances": 10}), ("spec.instances", "InvalidInstances", "1 to 9")),
        (json!({"instances": -3}), ("spec.instances", "InvalidInstances", "1 to 9")),
        (json!({"version": "9.5"}), ("spec.version", "UnknownVersion", "choose 8.4 or 9.7")),
        (json!({"version": "9.7.4"}), ("spec.version", "UnknownVersion", "choose 8.4 or 9.7")),
        (json!({"version": ""}), ("spec.version", "UnknownVersion", "choose 8.4 or 9.7")),
        (json!({"image": ""}), ("spec.image", "InvalidImage", "REGISTRY/NAME:TAG")),
        (json!({"image": "mysql 9"}), ("spec.image", "InvalidImage", "REGISTRY/NAME:TAG")),
    ]);
}

#[test]
fn storage_table() {
    assert_all_refused([
        (
            json!({"storage": {"size": "10"}}),
            ("spec.storage.size", "StorageTooSmall", "10 is 10 bytes; ask for at least 1Gi"),
        ),
        (json!({"storage": {"size": 10}}), ("spec.storage.size", "StorageTooSmall", "10 bytes")),
        (json!({"storage": {"size": "1G"}}), ("spec.storage.size", "StorageTooSmall", "at least 1Gi")),
        (json!({"storage": {"size": "0"}}), ("spec.storage.size", "StorageTooSmall", "at least 1Gi")),
        (json!({"storage": {"size": "-20Gi"}}), ("spec.storage.size", "StorageTooSmall", "at least 1Gi")),
        (json!({"storage": {"size": ""}}), ("spec.storage.size", "InvalidQuantity", "20Gi")),
        (
            json!({"storage": {"size": "20Gi", "deletionPolicy": "BackupThenDelete"}}),
            ("spec.storage.deletionPolicy", "BackupMissing", "needs spec.backup"),
        ),
        (json!({"storage": {"size": "20gb"}}), ("spec.storage.size", "InvalidQuantity", "20Gi")),
    ]);
}

#[test]
fn a29_the_delay_of_the_archive_has_bounds() {
    let delay = |text: &str| json!({"backup": {"target": {"s3": {"bucket": "safe"}}, "binlogArchive": {"maxDelay": text}}});
    let field = "spec.backup.binlogArchive.maxDelay";
    assert_all_refused(
        ["100ms", "199ms", "61m", "0s", "", "1h", "soon"].map(|text| {
            (delay(text), (field, "InvalidDuration", "write a time of 200ms to 60m, such as 1s"))
        }),
    );
    for text in ["200ms", "1s", "60m"] {
        assert_eq!(problems(&object(&delay(text))), [], "{text}");
    }
}

#[test]
fn a30_a_point_in_time_is_one_that_means_something() {
    const POINT: &str = "spec.bootstrap.restore.pointInTime";
    const GTID: &str = "spec.bootstrap.restore.pointInTime.gtid";
    let transaction = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
    let restore = |point: &Value| json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}, "pointInTime": point}}});
    let gtid = |text: &str| (restore(&json!({"gtid": text})), (GTID, "InvalidPointInTime", "UUID:NUMBER"));
    let one = (POINT, "InvalidPointInTime", "name one of latest, time, gtid and beforeGtid");
    assert_all_refused([
        (restore(&json!({})), one),
        (restore(&json!({"latest": true, "gtid": transaction})), one),
        (restore(&json!({"latest": false, "time": "2026-11-21T10:00:00Z"})), one),
        (
            restore(&json!({"latest": false})),
            ("spec.bootstrap.restore.pointInTime.latest", "InvalidPointInTime", "latest can only be true"),
        ),
        (
            restore(&json!({"beforeGtid": "7"})),
            ("spec.bootstrap.restore.pointInTime.beforeGtid", "InvalidPointInTime", "UUID:NUMBER"),
        ),
        gtid(""),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:7-7"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:1:3"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:0"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:9999999999999999999"),
        gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:7,"),
        gtid(" 3e11fa47-71ca-11e1-9e33-c80aa9429562:7"),
    ]);
    for point in [
        json!({"latest": true}),
        json!({"time": "2026-11-21T10:00:00Z"}),
        json!({"gtid": transaction}),
        json!({"beforeGtid": "3E11FA47-71CA-11E1-9E33-C80AA9429562:tag_1:7"}),
    ] {
        assert_eq!(problems(&object(&restore(&point))), [], "{point}");
    }
}

#[test]
fn a30_a_restore_in_place_is_named_and_has_one_source() {
    let restore = |restore: Value| json!({ "restore": restore });
    let backup = json!({"name": "shop-a"});
    let location = json!({"target": {"volume": {"claimName": "data-2-shop-0"}}, "path": "a"});
    assert_all_refused([
        (
            restore(json!({"requestId": "", "backupRef": backup})),
            ("spec.restore.requestId", "InvalidRestore", "1 to 63 characters"),
        ),
        (
            restore(json!({"requestId": "a".repeat(64), "backupRef": backup})),
            ("spec.restore.requestId", "InvalidRestore", "1 to 63 characters"),
        ),
        (restore(json!({"requestId": "a"})), ("spec.restore", "InvalidRestore", "name either backupRef")),
        (
            restore(json!({"requestId": "a", "location": location})),
            ("spec.restore.location.target.volume.claimName", "InvalidTarget", "volume of a member"),
        ),
        (
            restore(json!({"requestId": "a", "backupRef": backup, "pointInTime": {"beforeGtid": "7"}})),
            ("spec.restore.pointInTime.beforeGtid", "InvalidPointInTime", "UUID:NUMBER"),
        ),
    ]);
    let good = restore(json!({"requestId": "a", "backupRef": backup, "pointInTime": {"latest": true}}));
    assert_eq!(problems(&object(&good)), []);
}

#[test]
fn update_table() {
    assert_all_refused([
        (
            json!({"update": {"backupBefore": "Required"}}),
            ("spec.update.backupBefore", "BackupMissing", "needs spec.backup"),
        ),
        (
            json!({"update": {"rehearsal": "Required"}}),
            ("spec.update.rehearsal", "BackupMissing", "name a target in spec.backup"),
        ),
        (json!({"update": {"backupMaxAge": "0s"}}), ("spec.update.backupMaxAge", "InvalidDuration", "1m to")),
        (
            json!({"update": {"backupMaxAge": "1441m"}}),
            ("spec.update.backupMaxAge", "InvalidDuration", "1440m"),
        ),
        (
            json!({"update": {"backupMaxAge": "soon"}}),
            ("spec.update.backupMaxAge", "InvalidDuration", "1m to"),
        ),
    ]);
}

#[test]
fn resources_table() {
    assert_all_refused([
        (
            json!({"resources": {"limits": {"memory": "1gb"}}}),
            ("spec.resources.limits.memory", "InvalidQuantity", "4Gi"),
        ),
        (
            json!({"resources": {"limits": {"cpu": "0"}}}),
            ("spec.resources.limits.cpu", "InvalidQuantity", "more than 0"),
        ),
        (
            json!({"resources": {"limits": {"memory": "511Mi"}}}),
            ("spec.resources.limits.memory", "MemoryTooSmall", "512Mi"),
        ),
        (
            json!({"resources": {"limits": {"mem": "1Gi"}}}),
            ("spec.resources.limits.mem", "UnknownResource", "use cpu, memory"),
        ),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}}),
            ("spec.resources.requests.cpu", "RequestAboveLimit", "limit 1500m"),
        ),
    ]);
}

#[test]
fn certificates_and_config_map_table() {
    assert_all_refused([
        (json!({"tls": {"mode": "Secret"}}), ("spec.tls.secretName", "SecretNameMissing", "set it")),
        (
            json!({"tls": {"mode": "Secret", "secretName": ""}}),
            ("spec.tls.secretName", "SecretNameMissing", "set it"),
        ),
        (
            json!({"tls": {"mode": "Secret", "secretName": "web"}}),
            ("spec.tls.secretName", "SecretMissing", "create it"),
        ),
        (
            json!({"tls": {"mode": "Secret", "secretName": "shop-server"}}),
            ("spec.tls.secretName", "SecretNameReserved", "choose another name"),
        ),
        (json!({"tls": {"secretName": "web"}}), ("spec.tls.secretName", "SecretUnused", "remove the name")),
        (
            json!({"mysql": {"configMapRef": {"name": "extra"}}}),
            ("spec.mysql.configMapRef.name", "ConfigMapMissing", "create it"),
        ),
    ]);
}

#[test]
fn components_table() {
    let many: Vec<String> = (0..17).map(|index| format!("c{index}")).collect();
    assert_all_refused([
        (
            json!({"mysql": {"components": ["component_classic_hashing"]}}),
            ("spec.mysql.components[0]", "InvalidComponent", "without the component_"),
        ),
        (
            json!({"mysql": {"components": ["Classic"]}}),
            ("spec.mysql.components[0]", "InvalidComponent", "lower case letters"),
        ),
        (
            json!({"mysql": {"components": ["x'; DROP TABLE t"]}}),
            ("spec.mysql.components[0]", "InvalidComponent", "lower case letters"),
        ),
        (json!({"mysql": {"components": [""]}}), ("spec.mysql.components[0]", "InvalidComponent", "such as")),
        (
            json!({"mysql": {"components": ["x".repeat(49)]}}),
            ("spec.mysql.components[0]", "InvalidComponent", "at most 48"),
        ),
        (
            json!({"mysql": {"components": ["classic_hashing", "validate_password"]}}),
            ("spec.mysql.components[1]", "ReservedComponent", "passwords that Porpoise makes"),
        ),
        (
            json!({"mysql": {"components": ["keyring_file"]}}),
            ("spec.mysql.components[0]", "ReservedComponent", "remove it"),
        ),
        (
            json!({"mysql": {"components": ["classic_hashing", "query_attributes", "classic_hashing"]}}),
            ("spec.mysql.components[2]", "DuplicateComponent", "keep one"),
        ),
        (
            json!({"mysql": {"components": many}}),
            ("spec.mysql.components", "TooManyComponents", "at most 16"),
        ),
    ]);
}

#[test]
fn network_table() {
    assert_all_refused([
        (
            json!({"services": {"primary": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}}),
            ("spec.services.primary.loadBalancerSourceRanges", "SourceRangesUnused", "set the type"),
        ),
        (
            json!({"services": {"replicas": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}}}),
            ("spec.services.replicas.loadBalancerSourceRanges", "InvalidAddressBlock", "10.0.0.0/8"),
        ),
        (
            json!({"services": {"primary": {"annotations": {"mysql.porpoise.dev/x": "1"}}}}),
            ("spec.services.primary.annotations[\"mysql.porpoise.dev/x\"]", "ReservedKey", "another key"),
        ),
        (
            json!({"networkPolicy": {"allowFrom": [{}]}}),
            ("spec.networkPolicy.allowFrom[0]", "InvalidPeer", "podSelector"),
        ),
        (
            json!({"networkPolicy": {"allowFrom": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}}),
            ("spec.networkPolicy.allowFrom[0]", "InvalidPeer", "podSelector"),
        ),
        (
            json!({"networkPolicy": {"allowFrom": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/33"}}]}}),
            ("spec.networkPolicy.allowFrom[1].ipBlock", "InvalidAddressBlock", "10.0.0.0/8"),
        ),
    ]);
}

#[test]
fn failover_table() {
    assert_all_refused([
        (json!({"failover": {"delay": "11m"}}), ("spec.failover.delay", "InvalidDuration", "0s to 10m")),
        (json!({"failover": {"delay": "soon"}}), ("spec.failover.delay", "InvalidDuration", "0s to 10m")),
        (json!({"update": {"soak": "1441m"}}), ("spec.update.soak", "InvalidDuration", "to 1440m")),
        (
            json!({"failover": {"maxApplyLag": "99ms"}}),
            ("spec.failover.maxApplyLag", "InvalidDuration", "100ms"),
        ),
        (
            json!({"failover": {"maxApplyLag": "61s"}}),
            ("spec.failover.maxApplyLag", "InvalidDuration", "to 1m"),
        ),
    ]);
}

#[test]
fn reads_table() {
    let lag = |text: &str| json!({"services": {"replicas": {"maxLag": text}}});
    let refused = ("spec.services.replicas.maxLag", "InvalidDuration", "1s to 60m");
    assert_all_refused(["0s", "999ms", "61m", "a while", ""].map(|text| (lag(text), refused)));
}

#[test]
fn pod_table() {
    assert_all_refused([
        (
            json!({"pod": {"terminationGracePeriodSeconds": 29}}),
            ("spec.pod.terminationGracePeriodSeconds", "InvalidGracePeriod", "30 to 3600"),
        ),
        (
            json!({"pod": {"terminationGracePeriodSeconds": 3601}}),
            ("spec.pod.terminationGracePeriodSeconds", "InvalidGracePeriod", "30 to 3600"),
        ),
        (
            json!({"pod": {"labels": {"app.kubernetes.io/name": "x"}}}),
            ("spec.pod.labels[\"app.kubernetes.io/name\"]", "ReservedKey", "another key"),
        ),
        (
            json!({"pod": {"labels": {"mysql.porpoise.dev/role": "x"}}}),
            ("spec.pod.labels[\"mysql.porpoise.dev/role\"]", "ReservedKey", "another key"),
        ),
        (
            json!({"pod": {"labels": {"team": "a b"}}}),
            ("spec.pod.labels[\"team\"]", "InvalidLabel", "63 letters"),
        ),
        (
            json!({"pod": {"labels": {"/team": "a"}}}),
            ("spec.pod.labels[\"/team\"]", "InvalidKey", "example.com/team"),
        ),
        (
            json!({"pod": {"annotations": {"te am": "a"}}}),
            ("spec.pod.annotations[\"te am\"]", "InvalidKey", "example.com/team"),
        ),
        (
            json!({"pod": {"annotations": {"mysql.porpoise.dev/inputs": "a"}}}),
            ("spec.pod.annotations[\"mysql.porpoise.dev/inputs\"]", "ReservedKey", "another key"),
        ),
        (
            json!({"pod": {"serviceAccountAnnotations": {"": "a"}}}),
            ("spec.pod.serviceAccountAnnotations[\"\"]", "InvalidKey", "example.com/team"),
        ),
    ]);
}

#[test]
fn variables_table() {
    assert_all_refused([
        (
            json!({"pod": {"env": [{"name": "POD_NAME", "value": "x"}]}}),
            ("spec.pod.env[\"POD_NAME\"]", "ReservedVariable", "remove it"),
        ),
        (
            json!({"pod": {"env": [{"name": "PORPOISE_X", "value": "x"}]}}),
            ("spec.pod.env[\"PORPOISE_X\"]", "ReservedVariable", "remove it"),
        ),
        (
            json!({"pod": {"env": [{"name": "1X", "value": "x"}]}}),
            ("spec.pod.env[\"1X\"]", "InvalidVariable", "letters"),
        ),
        (
            json!({"pod": {"env": [{"name": "TZ", "value": "x"}, {"name": "TZ", "value": "y"}]}}),
            ("spec.pod.env[\"TZ\"]", "DuplicateVariable", "keep one"),
        ),
    ]);
}
