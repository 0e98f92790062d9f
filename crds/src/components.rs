//! Components of mysqld that members load on request.

use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Most components that a cluster may list.
pub const MOST_COMPONENTS: usize = 16;
/// Longest name of a component, in characters.
pub const LONGEST_COMPONENT: usize = 48;

/// Refused components and why. A name that ends with `*` is a prefix.
pub const RESERVED_COMPONENTS: &[(&str, &str)] = &[
    ("connection_control", "failed logins of others would delay those of replicas"),
    ("group_replication_*", "Porpoise replicates without Group Replication"),
    (
        "keyring_*",
        "a keyring must be there before mysqld opens its data, and these components come after that",
    ),
    ("log_*", "the agent reads the error log as mysqld writes it by itself"),
    (
        "validate_password",
        "it could refuse the passwords that Porpoise makes, and then no member becomes primary",
    ),
];

/// Why a component is refused, if it is.
pub fn reserved_component(name: &str) -> Option<&'static str> {
    let found = RESERVED_COMPONENTS.iter().find(|(entry, _)| match entry.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *entry,
    });
    found.map(|(_, why)| *why)
}

/// Names of components.
pub(crate) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MOST_COMPONENTS,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_COMPONENT},
    })
}

/// Schema rule: each is the name of a component and not of its file.
pub(crate) fn named() -> Rule {
    Rule::new("self.all(c, c.matches('^[a-z][a-z0-9_]*$') && !c.startsWith('component_'))").message(
        "a component is named by lower case letters, digits and underscores, without the component_ of its file, such as \
         classic_hashing",
    )
}

/// Schema rule: each is there once.
pub(crate) fn distinct() -> Rule {
    Rule::new("self.all(c, self.exists_one(d, d == c))")
        .message("every component must be there once; remove the others")
}

/// Schema rule: none that Porpoise refuses; the message names the refused one.
pub(crate) fn not_reserved() -> Rule {
    let names: Vec<String> = RESERVED_COMPONENTS.iter().map(|(entry, _)| entry.replace('*', ".*")).collect();
    let hit = format!("c.matches('^({})$')", names.join("|"));
    Rule::new(format!("self.all(c, !{hit})")).message(Message::Expression(format!(
        "self.filter(c, {hit})[0] + ' does not go with what Porpoise does; remove it'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_components_table() {
        for (name, refused) in [
            ("classic_hashing", false),
            ("query_attributes", false),
            ("validate_password", true),
            ("validate_passwords", false),
            ("keyring_file", true),
            ("log_sink_json", true),
            ("group_replication_flow_control_stats", true),
            ("connection_control", true),
        ] {
            assert_eq!(reserved_component(name).is_some(), refused, "{name}");
        }
    }
}
