use super::*;

#[test]
fn warnings_table() {
    for (spec, want) in [
        (json!({}), vec![]),
        (json!({"instances": 1}), vec!["SingleInstance"]),
        (json!({"instances": 2}), vec!["EvenInstances"]),
        (json!({"instances": 4}), vec!["EvenInstances"]),
        (json!({"instances": 5}), vec![]),
        (json!({"image": "mysql"}), vec!["FloatingImage"]),
        (json!({"image": "mysql:latest"}), vec!["FloatingImage"]),
        (json!({"image": "registry.example:5000/mysql"}), vec!["FloatingImage"]),
        (json!({"image": "registry.example:5000/mysql:9.7.4"}), vec![]),
        (json!({"image": "mysql@sha256:0123"}), vec![]),
        (json!({"storage": {"deletionPolicy": "Delete"}}), vec!["DeletesData"]),
        (
            json!({"resources": {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}}),
            vec!["MemoryOvercommitted"],
        ),
        (json!({"resources": {"limits": null}}), vec!["MemoryNotSet"]),
        (
            json!({"services": {"primary": {"type": "LoadBalancer"}, "replicas": {"type": "NodePort"}}}),
            vec!["Exposed", "Exposed"],
        ),
    ] {
        let mut object = json!(object(&json!({"resources": {"limits": {"memory": "1Gi"}}})));
        lay_over(&mut object["spec"], &spec);
        if spec["resources"]["limits"].is_null() && spec["resources"].is_object() {
            object["spec"]["resources"] = json!({"limits": {"cpu": "1"}});
        }
        let mut object: MySQLCluster = serde_json::from_value(object).unwrap();
        let found = |object: &MySQLCluster| {
            check(object, &References::default(), &Stored::default()).unwrap().warnings
        };
        let reasons: Vec<&str> = found(&object).iter().map(|warning| warning.reason).collect();
        assert_eq!(reasons, want, "{spec}");
        object.metadata.annotations = Some([(ACCEPT_WARNINGS.to_owned(), "true".to_owned())].into());
        assert_eq!(found(&object), [], "{spec}");
    }
}

#[test]
fn children_inherit_what_belongs_to_people() {
    let mut object = fixture::object();
    let map = |keys: &[&str]| {
        keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect::<BTreeMap<_, _>>()
    };
    object.metadata.labels = Some(map(&[
        "team",
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "helm.sh/chart",
        "argocd.argoproj.io/instance",
        "mysql.porpoise.dev/role",
    ]));
    object.metadata.annotations = Some(map(&[
        "example.com/owner",
        "kubernetes.io/change-cause",
        "kubectl.kubernetes.io/last-applied-configuration",
        "meta.helm.sh/release-name",
        "argocd.argoproj.io/sync-wave",
        "mysql.porpoise.dev/accept-warnings",
    ]));
    let cluster = fixture::cluster_of(&object);
    assert_eq!(cluster.inherited_labels, map(&["team", "app.kubernetes.io/part-of"]));
    assert_eq!(cluster.inherited_annotations, map(&["example.com/owner", "kubernetes.io/change-cause"]));
}

#[test]
fn the_smallest_spec_is_complete() {
    let cluster = fixture::cluster();
    assert_eq!((cluster.instances, cluster.wanted_k(), cluster.series), (3, 1, (9, 7)));
    assert_eq!((cluster.image.as_str(), cluster.storage_bytes), ("mysql:9.7", 20 << 30));
    assert_eq!((cluster.names.cluster(), cluster.names.namespace()), ("shop", "prod"));
    assert!(cluster.my_cnf.contains("innodb_buffer_pool_size=512M"));
}
