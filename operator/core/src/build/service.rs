//! The three Services (I3).

use super::metadata::{object_meta, object_meta_with, selector_labels};
use crate::names::{AGENT_PORT, MYSQL_PORT, PROBE_PORT, READS_LABEL};
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use porpoise_crds::{ServiceOptions, ServiceType};
use std::collections::BTreeMap;

/// Headless: gives every member its DNS name, ready or not (A18).
pub fn members_service(cluster: &Cluster) -> Service {
    let ports = [("mysql", MYSQL_PORT), ("agent", AGENT_PORT), ("probe", PROBE_PORT)];
    Service {
        metadata: object_meta(cluster, cluster.names.members_service()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(selector_labels(cluster)),
            ports: Some(ports.map(|(name, port)| service_port(name, port)).to_vec()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The rw Service, without selector: the operator writes its one `EndpointSlice` (B22).
pub fn primary_service(cluster: &Cluster) -> Service {
    client_service(cluster, cluster.names.cluster().to_owned(), &cluster.spec.services.primary, None)
}

/// The ro Service: ready Pods with the reads label. Dead replicas leave it even while the operator is down.
pub fn replicas_service(cluster: &Cluster) -> Service {
    let mut selector = selector_labels(cluster);
    selector.insert(READS_LABEL.to_owned(), "true".to_owned());
    let options = &cluster.spec.services.replicas.options;
    client_service(cluster, cluster.names.replicas_service(), options, Some(selector))
}

fn client_service(
    cluster: &Cluster,
    name: String,
    options: &ServiceOptions,
    selector: Option<BTreeMap<String, String>>,
) -> Service {
    let ranges = options.load_balancer_source_ranges.clone();
    Service {
        metadata: object_meta_with(cluster, name, &options.annotations),
        spec: Some(ServiceSpec {
            type_: Some(type_name(options.type_).to_owned()),
            selector,
            ports: Some(vec![service_port("mysql", MYSQL_PORT)]),
            load_balancer_source_ranges: Some(ranges).filter(|ranges| !ranges.is_empty()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn type_name(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(port))),
        ..ServicePort::default()
    }
}
