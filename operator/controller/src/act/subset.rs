//! Whether an object that exists has everything we want of it. What others put there, and what the API server filled in,
//! is none of our business.

use porpoise_core::quantity::Amount;
use serde_json::{Map, Value};

/// Whether `existing` has all of `wanted`.
///
/// Named entries of lists (containers, ports, variables) are found by name, since others may add theirs; other lists are
/// compared in order and whole. Quantities are equal by value: the API server may write `1Gi` for `1024Mi`.
pub(super) fn covers(existing: &Value, wanted: &Value) -> bool {
    if is_nothing(wanted) {
        return is_nothing(existing) || matches!((existing, wanted), (Value::Object(_), Value::Object(_)));
    }
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => covers_map(existing, wanted),
        (Value::Array(existing), Value::Array(wanted)) if is_named(wanted) => covers_named(existing, wanted),
        (Value::Array(existing), Value::Array(wanted)) => {
            existing.len() == wanted.len()
                && existing.iter().zip(wanted).all(|(one, other)| covers(one, other))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

fn covers_map(existing: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, wanted)| match existing.get(key) {
        Some(existing) if is_quantities(key) => covers_quantities(existing, wanted),
        Some(existing) => covers(existing, wanted),
        None => is_nothing(wanted),
    })
}

fn covers_named(existing: &[Value], wanted: &[Value]) -> bool {
    wanted.iter().all(|wanted| {
        let same = existing.iter().find(|existing| name(existing) == name(wanted));
        same.is_some_and(|existing| covers(existing, wanted))
    })
}

fn is_named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|entry| name(entry).is_some())
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}

/// Fields whose value, or whose values, are quantities.
fn is_quantities(key: &str) -> bool {
    matches!(key, "requests" | "limits" | "sizeLimit")
}

fn covers_quantities(existing: &Value, wanted: &Value) -> bool {
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            existing.get(key).is_some_and(|existing| covers_quantities(existing, wanted))
        }),
        (Value::String(one), Value::String(other)) => match (Amount::parse(one), Amount::parse(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => one == other,
        },
        (one, other) => covers(one, other),
    }
}

/// The API server does not store empty lists and maps everywhere.
fn is_nothing(wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;
    use serde_json::json;

    #[test]
    fn table() {
        for (case, existing, wanted, want) in [
            ("defaults filled in", json!({"a": 1, "protocol": "TCP"}), json!({"a": 1}), true),
            ("changed value", json!({"a": 2}), json!({"a": 1}), false),
            ("missing value", json!({}), json!({"a": 1}), false),
            ("empty is nothing", json!({}), json!({"labels": {}, "list": []}), true),
            (
                "no endpoints, as the API server writes it",
                json!({"endpoints": null}),
                json!({"endpoints": []}),
                true,
            ),
            ("foreign label", json!({"labels": {"x": "1", "y": "2"}}), json!({"labels": {"x": "1"}}), true),
            (
                "foreign container",
                json!([{"name": "b"}, {"name": "a", "image": "i"}]),
                json!([{"name": "a", "image": "i"}]),
                true,
            ),
            (
                "our container changed",
                json!([{"name": "a", "image": "j"}]),
                json!([{"name": "a", "image": "i"}]),
                false,
            ),
            ("our container removed", json!([{"name": "b"}]), json!([{"name": "a"}]), false),
            ("list grew", json!(["a", "b"]), json!(["a"]), false),
            ("list emptied", json!([]), json!(["a"]), false),
            (
                "endpoint added",
                json!({"endpoints": [{"addresses": ["1"]}, {"addresses": ["2"]}]}),
                json!({"endpoints": [{"addresses": ["1"]}]}),
                false,
            ),
            (
                "endpoint left over",
                json!({"endpoints": [{"addresses": ["1"]}]}),
                json!({"endpoints": []}),
                false,
            ),
            (
                "same quantity",
                json!({"requests": {"memory": "1Gi", "cpu": "1"}}),
                json!({"requests": {"memory": "1024Mi", "cpu": "1000m"}}),
                true,
            ),
            (
                "other quantity",
                json!({"limits": {"memory": "1G"}}),
                json!({"limits": {"memory": "1Gi"}}),
                false,
            ),
            ("size limit", json!({"sizeLimit": "1Gi"}), json!({"sizeLimit": "1024Mi"}), true),
            ("text that looks like a quantity", json!({"version": "1.0"}), json!({"version": "1"}), false),
            ("number as float", json!({"a": 1.0}), json!({"a": 1}), true),
            ("type changed", json!({"a": "1"}), json!({"a": 1}), false),
        ] {
            assert_eq!(covers(&existing, &wanted), want, "{case}");
        }
    }
}
