use super::*;

#[test]
fn what_is_stored_limits_the_spec() {
    let stored = Stored {
        size_bytes: Some(30 << 30),
        storage_class: Some("fast".to_owned()),
        series: Some((9, 7)),
        line: None,
    };
    for (spec, refusal) in [
        (json!({}), ("spec.storage.size", "StorageShrinks", "at least 30Gi")),
        (
            json!({"storage": {"size": "30Gi", "storageClassName": "slow"}}),
            ("spec.storage.storageClassName", "StorageClassChanged", "set fast"),
        ),
        (json!({"storage": {"size": "30Gi"}, "version": "8.4"}), ("spec.version", "Downgrade", "set 9.7")),
    ] {
        let found = check(&object(&spec), &References::default(), &stored).unwrap_err();
        assert_refused(&found, refusal, &spec.to_string());
    }
    for spec in [
        json!({"storage": {"size": "30Gi"}}),
        json!({"storage": {"size": "31Gi", "storageClassName": "fast"}}),
        json!({"storage": {"size": "30Gi", "storageClassName": ""}}),
    ] {
        assert!(check(&object(&spec), &References::default(), &stored).is_ok(), "{spec}");
    }
}

#[test]
fn an_upgrade_is_allowed() {
    let stored = Stored { series: Some((8, 4)), ..Stored::default() };
    assert!(check(&object(&json!({"version": "9.7"})), &References::default(), &stored).is_ok());
}

#[test]
fn stored_facts_come_from_status_and_claims() {
    let mut object = fixture::object();
    object.status = serde_json::from_value(json!({"version": {"current": "8.4.6-log"}})).unwrap();
    let claim = |size_bytes, class: &str| ClaimView {
        size_bytes,
        storage_class: Some(class.to_owned()),
        ..ClaimView::default()
    };
    let claims =
        BTreeMap::from([("shop-0".to_owned(), claim(30, "fast")), ("shop-1".to_owned(), claim(20, "fast"))]);
    let want = Stored {
        size_bytes: Some(20),
        storage_class: Some("fast".to_owned()),
        series: Some((8, 4)),
        line: None,
    };
    assert_eq!(Stored::new(&object, &claims), want);
    assert_eq!(Stored::new(&fixture::object(), &BTreeMap::new()), Stored::default());
}

#[test]
fn references_are_refused_when_they_lead_nowhere() {
    let class = object(&json!({"storage": {"storageClassName": "fast"}}));
    let references = References { storage_class_exists: Some(false), ..References::default() };
    let found = check(&class, &references, &Stored::default()).unwrap_err();
    assert_refused(
        &found,
        ("spec.storage.storageClassName", "StorageClassMissing", "no StorageClass fast"),
        "class",
    );

    let secret = object(&json!({"tls": {"mode": "Secret", "secretName": "web"}}));
    let references =
        References { tls_secret_keys: Some(vec!["tls.crt".to_owned()]), ..References::default() };
    let found = check(&secret, &references, &Stored::default()).unwrap_err();
    assert_refused(&found, ("spec.tls.secretName", "SecretIncomplete", "lacks tls.key, ca.crt"), "secret");

    let references = References { taken_names: vec!["Service shop-ro".to_owned()], ..References::default() };
    let found = check(&fixture::object(), &references, &Stored::default()).unwrap_err();
    assert_refused(&found, ("metadata.name", "NameTaken", "Service shop-ro exists"), "taken");
}
