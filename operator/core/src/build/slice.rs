//! The `EndpointSlice` of the rw Service.

use super::metadata::{object_meta, texts};
use crate::names::MYSQL_PORT;
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};

/// Where writes go: `target` is `(instance, address, node)` of the writable primary, or nobody.
///
/// The address type of a stored slice cannot be changed; with nobody it is IPv4.
pub fn primary_slice(cluster: &Cluster, target: Option<(&str, &str, Option<&str>)>) -> EndpointSlice {
    let mut metadata = object_meta(cluster, cluster.names.primary_slice());
    metadata.labels.get_or_insert_default().extend(texts(&[
        ("kubernetes.io/service-name", cluster.names.cluster()),
        ("endpointslice.kubernetes.io/managed-by", "porpoise"),
    ]));
    let is_v6 = target.is_some_and(|(_, address, _)| address.contains(':'));
    EndpointSlice {
        metadata,
        address_type: if is_v6 { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints: target
            .map(|(instance, address, node)| endpoint(cluster, instance, address, node))
            .into_iter()
            .collect(),
        ports: Some(vec![EndpointPort {
            name: Some("mysql".to_owned()),
            port: Some(i32::from(MYSQL_PORT)),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        }]),
    }
}

fn endpoint(cluster: &Cluster, instance: &str, address: &str, node: Option<&str>) -> Endpoint {
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
        node_name: node.map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(instance.to_owned()),
            namespace: Some(cluster.names.namespace().to_owned()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}
