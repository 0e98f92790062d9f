//! How a cluster begins: what a schema cannot tell.

use super::Problem;
use porpoise_crds::{Bootstrap, MOST_INIT_SQL, MySQLClusterSpec, SqlReference};

const FIELD: &str = "spec.bootstrap";

pub(super) fn problems(spec: &MySQLClusterSpec) -> Vec<Problem> {
    let Some(bootstrap) = &spec.bootstrap else { return Vec::new() };
    let references =
        bootstrap.init_sql_from.iter().enumerate().filter_map(|(index, one)| reference(index, one));
    one_way(bootstrap).into_iter().chain(too_long(bootstrap)).chain(references).collect()
}

fn one_way(bootstrap: &Bootstrap) -> Option<Problem> {
    let Bootstrap { restore, clone, import, init_sql, init_sql_from } = bootstrap;
    let named = [
        restore.is_some(),
        clone.is_some(),
        import.is_some(),
        !init_sql.is_empty() || !init_sql_from.is_empty(),
    ];
    (named.into_iter().filter(|named| *named).count() != 1).then(|| {
        let message = "name one way to begin: restore, clone, import, or initSql with initSqlFrom";
        Problem::new(FIELD, "InvalidBootstrap", message)
    })
}

fn too_long(bootstrap: &Bootstrap) -> Option<Problem> {
    let bytes: usize = bootstrap.init_sql.iter().map(String::len).sum();
    (bytes > MOST_INIT_SQL).then(|| {
        let message = format!(
            "the statements have {bytes} bytes in all, and {MOST_INIT_SQL} is the most; load the rest after the cluster is \
             Healthy"
        );
        Problem::new(format!("{FIELD}.initSql"), "InvalidBootstrap", message)
    })
}

fn reference(index: usize, named: &SqlReference) -> Option<Problem> {
    (named.secret_key_ref.is_some() == named.config_map_key_ref.is_some()).then(|| {
        let field = format!("{FIELD}.initSqlFrom[{index}]");
        Problem::new(field, "InvalidBootstrap", "name either secretKeyRef or configMapKeyRef")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(bootstrap: &Value) -> Vec<String> {
        let spec = json!({"storage": {"size": "20Gi"}, "bootstrap": bootstrap});
        let spec: MySQLClusterSpec = serde_json::from_value(spec).unwrap();
        problems(&spec).into_iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
    }

    #[test]
    fn a_cluster_begins_in_one_way() {
        let restore = json!({"backupRef": {"name": "monday"}});
        let clone = json!({"clusterRef": {"name": "shop"}});
        let entry = json!({"secretKeyRef": {"name": "users", "key": "a.sql"}});
        for good in [
            json!({"restore": restore}),
            json!({"clone": clone}),
            json!({"import": {"backupRef": {"name": "monday"}}}),
            json!({"initSql": ["SELECT 1"]}),
            json!({"initSqlFrom": [entry]}),
            json!({"initSql": ["SELECT 1"], "initSqlFrom": [entry]}),
        ] {
            assert!(found(&good).is_empty(), "{good}: {:?}", found(&good));
        }
        for bad in [
            json!({}),
            json!({"restore": restore, "clone": clone}),
            json!({"restore": restore, "import": {"backupRef": {"name": "monday"}}}),
            json!({"clone": clone, "initSql": ["SELECT 1"]}),
            json!({"restore": restore, "initSqlFrom": [entry]}),
        ] {
            assert!(found(&bad)[0].starts_with("spec.bootstrap: name one way to begin"), "{bad}");
        }
    }

    #[test]
    fn statements_have_a_bound_and_a_place() {
        let long = json!({"initSql": vec!["x".repeat(32_768); 17]});
        assert!(
            found(&long)[0].contains("spec.bootstrap.initSql: the statements have 557056 bytes"),
            "{long}"
        );
        for bad in [
            json!({}),
            json!({"secretKeyRef": {"name": "a", "key": "b"}, "configMapKeyRef": {"name": "a", "key": "b"}}),
        ] {
            let problems = found(&json!({"initSqlFrom": [bad]}));
            assert_eq!(
                problems,
                ["spec.bootstrap.initSqlFrom[0]: name either secretKeyRef or configMapKeyRef"]
            );
        }
    }
}
