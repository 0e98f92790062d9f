use super::*;

#[test]
fn what_is_stored_limits_the_spec() {
    let stored = Stored {
        size_bytes: Some(30 << 30),
        restored_bytes: None,
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

/// A driver that makes volumes of whole gibibytes makes snapshots of such sizes, too.
#[test]
fn a30_a_volume_that_a_driver_rounded_up_fits_the_spec_that_asked_for_less() {
    let stored = Stored { restored_bytes: Some(10 << 30), ..Stored::default() };
    for (size, fits) in [("10G", true), ("9500Mi", true), ("10Gi", true), ("9Gi", false)] {
        let found = check(&object(&json!({"storage": {"size": size}})), &References::default(), &stored);
        assert_eq!(found.is_ok(), fits, "{size}");
        let refusal = ("spec.storage.size", "StorageShrinks", "ask for at least 10Gi");
        found.err().iter().for_each(|found| assert_refused(found, refusal, size));
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
    let restored = ClaimView { restored_by: Some("restore-c1a5ter".to_owned()), ..claim(10, "fast") };
    let claims = BTreeMap::from([
        ("shop-0".to_owned(), restored),
        ("shop-1".to_owned(), claim(30, "fast")),
        ("shop-2".to_owned(), claim(20, "fast")),
    ]);
    let want = Stored {
        size_bytes: Some(20),
        restored_bytes: Some(10),
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
