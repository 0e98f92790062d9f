//! The `CustomResourceDefinition`s as they are installed.

use crate::{MySQLBackup, MySQLCluster};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use std::collections::BTreeMap;

/// Fields whose types Kubernetes owns. Their own documentation stays out, which keeps the definition small enough for
/// client-side apply.
const FOREIGN: [&[&str]; 5] = [
    &["pod", "affinity"],
    &["pod", "tolerations"],
    &["pod", "topologySpreadConstraints"],
    &["pod", "env"],
    &["networkPolicy", "allowFrom"],
];

/// Texts inside of them that rules look at, and their longest values: without a bound a rule costs too much.
const BOUNDS: [(&[&str], i64); 2] =
    [(&["pod", "env", "name"], 253), (&["networkPolicy", "allowFrom", "ipBlock", "cidr"], 64)];

/// Every definition, in the order in which they are installed.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [definition(), backup_definition()]
}

/// The definition of `MySQLBackup`.
pub fn backup_definition() -> CustomResourceDefinition {
    let mut definition = MySQLBackup::crd();
    for version in &mut definition.spec.versions {
        if let Some(CustomResourceValidation { open_api_v3_schema: Some(root) }) = &mut version.schema
            && let Some(spec) = properties(root).get_mut("spec")
        {
            refuse_null(spec);
        }
    }
    definition
}

/// The definition of `MySQLCluster`: what the types say, less what only costs space.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = MySQLCluster::crd();
    for version in &mut definition.spec.versions {
        let Some(CustomResourceValidation { open_api_v3_schema: Some(root) }) = &mut version.schema else {
            continue;
        };
        if let Some(spec) = properties(root).get_mut("spec") {
            refuse_null(spec);
            for path in FOREIGN {
                if let Some(field) = at(spec, path) {
                    let own = field.description.take();
                    walk(field, &mut |part| part.description = None);
                    field.description = own;
                }
            }
            for (path, longest) in BOUNDS {
                if let Some(field) = at(spec, path) {
                    field.max_length = Some(longest);
                }
            }
        }
    }
    definition
}

fn properties(schema: &mut JSONSchemaProps) -> &mut BTreeMap<String, JSONSchemaProps> {
    schema.properties.get_or_insert_default()
}

/// The field at `path`, through the items of lists.
fn at<'a>(schema: &'a mut JSONSchemaProps, path: &[&str]) -> Option<&'a mut JSONSchemaProps> {
    path.iter().try_fold(schema, |schema, name| {
        let inside = match schema.items {
            Some(JSONSchemaPropsOrArray::Schema(ref mut item)) => item,
            _ => schema,
        };
        properties(inside).get_mut(*name)
    })
}

/// An explicit null is a mistake in a spec: without this, rules would see a field that is present and has no value.
fn refuse_null(schema: &mut JSONSchemaProps) {
    walk(schema, &mut |part| part.nullable = None);
}

fn walk(schema: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    visit(schema);
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        walk(property, visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        walk(values, visit);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => walk(item, visit),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| walk(item, visit)),
        None => {}
    }
}
