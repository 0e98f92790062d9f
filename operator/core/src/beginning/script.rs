//! The statements of `spec.bootstrap.initSql` and `initSqlFrom`, put together.

use super::{Origin, ScriptPart};
use porpoise_crds::{Bootstrap, EntryReference, MOST_INIT_SQL, SqlReference};
use std::collections::BTreeMap;

/// Entries of the Secrets and `ConfigMaps` that are named, by kind and name; one that does not exist is absent.
pub type FoundEntries = BTreeMap<(&'static str, String), BTreeMap<String, String>>;

/// Kind, name and entry that a reference leads to. The schema sees to it that it is one.
pub fn reference(named: &SqlReference) -> Option<(&'static str, &'static str, &EntryReference)> {
    let secret = named.secret_key_ref.as_ref().map(|entry| ("Secret", "secretKeyRef", entry));
    secret.or_else(|| named.config_map_key_ref.as_ref().map(|entry| ("ConfigMap", "configMapKeyRef", entry)))
}

/// All statements, in order.
///
/// # Errors
/// What is missing or too long, in a sentence with field and remedy.
pub fn from_script(bootstrap: &Bootstrap, found: &FoundEntries) -> Result<Origin, String> {
    let own = bootstrap.init_sql.iter().enumerate().map(|(index, text)| ScriptPart {
        name: format!("spec.bootstrap.initSql[{index}]"),
        text: text.clone(),
        secret: false,
    });
    let mut parts: Vec<ScriptPart> = own.collect();
    for (index, named) in bootstrap.init_sql_from.iter().enumerate() {
        parts.push(entry(index, named, found)?);
    }
    let bytes: usize = parts.iter().map(|part| part.text.len()).sum();
    if bytes > MOST_INIT_SQL {
        return Err(format!(
            "spec.bootstrap.initSqlFrom: the statements have {bytes} bytes in all, and {MOST_INIT_SQL} is the most; load the \
             rest after the cluster is Healthy"
        ));
    }
    Ok(Origin::Script { parts })
}

fn entry(index: usize, named: &SqlReference, found: &FoundEntries) -> Result<ScriptPart, String> {
    let field = format!("spec.bootstrap.initSqlFrom[{index}]");
    let Some((kind, part, EntryReference { name, key })) = reference(named) else {
        return Err(format!("{field}: name either secretKeyRef or configMapKeyRef"));
    };
    let field = format!("{field}.{part}");
    let Some(entries) = found.get(&(kind, name.clone())) else {
        return Err(format!("{field}: {kind} {name} does not exist; make it with {key}, or name another"));
    };
    let Some(text) = entries.get(key) else {
        return Err(format!("{field}: {kind} {name} has no entry {key} with text; add it"));
    };
    Ok(ScriptPart {
        name: format!("entry {key} of {kind} {name}"),
        text: text.clone(),
        secret: kind == "Secret",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bootstrap() -> Bootstrap {
        serde_json::from_value(json!({
            "initSql": ["CREATE TABLE a (id INT)", "INSERT INTO a VALUES (1)"],
            "initSqlFrom": [
                {"configMapKeyRef": {"name": "schema", "key": "b.sql"}},
                {"secretKeyRef": {"name": "users", "key": "c.sql"}},
            ],
        }))
        .unwrap()
    }

    fn found(kind: &'static str, name: &str, key: &str, text: &str) -> FoundEntries {
        let entries = BTreeMap::from([(key.to_owned(), text.to_owned())]);
        FoundEntries::from([((kind, name.to_owned()), entries)])
    }

    #[test]
    fn statements_come_in_the_order_of_the_spec_and_secrets_are_marked() {
        let mut all = found("ConfigMap", "schema", "b.sql", "B");
        all.extend(found("Secret", "users", "c.sql", "C"));
        let Origin::Script { parts } = from_script(&bootstrap(), &all).unwrap() else { panic!() };
        let told: Vec<(&str, &str, bool)> =
            parts.iter().map(|part| (part.name.as_str(), part.text.as_str(), part.secret)).collect();
        let want = [
            ("spec.bootstrap.initSql[0]", "CREATE TABLE a (id INT)", false),
            ("spec.bootstrap.initSql[1]", "INSERT INTO a VALUES (1)", false),
            ("entry b.sql of ConfigMap schema", "B", false),
            ("entry c.sql of Secret users", "C", true),
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn what_is_missing_is_said_with_field_and_remedy() {
        let schema = || found("ConfigMap", "schema", "b.sql", "B");
        let with = |more: FoundEntries| schema().into_iter().chain(more).collect::<FoundEntries>();
        for (found, want) in [
            (FoundEntries::new(), "initSqlFrom[0].configMapKeyRef: ConfigMap schema does not exist; make it"),
            // A ConfigMap of the Secret's name is another thing.
            (
                with(found("ConfigMap", "users", "c.sql", "C")),
                "initSqlFrom[1].secretKeyRef: Secret users does not",
            ),
            (
                with(found("Secret", "users", "d.sql", "C")),
                "Secret users has no entry c.sql with text; add it",
            ),
            (with(found("Secret", "users", "c.sql", &"x".repeat(MOST_INIT_SQL))), "524288 is the most"),
        ] {
            let error = from_script(&bootstrap(), &found).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
