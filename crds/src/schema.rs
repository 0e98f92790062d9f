//! Schemas that several fields share.

use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A Kubernetes quantity that is not negative, written as text or as a whole number.
const QUANTITY: &str = r"^[0-9]+(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][0-9]{1,2})?$";

/// A size in bytes as text, such as `20Gi`. Text only, so that a bare number, which is nearly always a mistake, is refused.
pub(crate) fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 32})
}

/// A length of time in whole milliseconds, seconds or minutes.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 8, "pattern": r"^[0-9]{1,5}(ms|s|m)$"})
}

/// The longest that a duration may be.
pub(crate) fn longest(limit: &str) -> Rule {
    Rule::new(format!("duration(self) <= duration('{limit}')"))
        .message(Message::Message(format!("the time must be {limit} or less")))
}

/// Amounts by resource name.
pub(crate) fn amounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
            "pattern": QUANTITY,
        },
    })
}

/// Settings of mysqld by name.
pub(crate) fn settings(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 100,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// Labels by key.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
    })
}

/// Annotations by key.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 16384},
    })
}

/// Keys are what Kubernetes accepts for labels and annotations.
pub(crate) fn qualified_keys() -> Rule {
    Rule::new(
        "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    )
    .message("every key must be a name of at most 63 characters, optionally after a DNS name and a slash, such as example.com/team")
}

/// Keys that carry identity stay Porpoise's own.
pub(crate) fn no_own_keys() -> Rule {
    let prefixes = [
        "app.kubernetes.io/",
        "apps.kubernetes.io/",
        "statefulset.kubernetes.io/",
        "controller-revision-hash",
    ];
    let free: Vec<String> = prefixes.iter().map(|prefix| format!("!k.startsWith('{prefix}')")).collect();
    Rule::new(format!("self.all(k, !k.contains('porpoise.dev/') && {})", free.join(" && "))).message(
        "keys of porpoise.dev, app.kubernetes.io and the StatefulSet are set by Porpoise or Kubernetes; choose a prefix of your own",
    )
}

/// Keys of our domain stay Porpoise's own.
pub(crate) fn no_own_annotations() -> Rule {
    Rule::new("self.all(k, !k.contains('porpoise.dev/'))")
        .message("keys of porpoise.dev are set by Porpoise; choose a prefix of your own")
}

/// Amounts of resources that a container can have.
pub(crate) fn known_resources() -> Rule {
    Rule::new("self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/'))")
        .message("use cpu, memory, ephemeral-storage or the name of a resource with a domain")
}
