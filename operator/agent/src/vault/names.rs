//! Names of stores, looked up without libc: in a static program its look-up loads libraries of the image it runs in, and in
//! an image of another libc it fails. The answer comes from `/etc/hosts` and the name servers of `/etc/resolv.conf`, which
//! the kubelet writes into every Pod. Without them there is no answer: no well-known server is asked instead.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use object_store::client::{DnsError, DnsFuture, DnsResolver};
use std::net::{IpAddr, SocketAddr};

/// Reads the files anew for each name: look-ups are rare, since connections are kept.
#[derive(Debug)]
pub(crate) struct Names;

impl DnsResolver for Names {
    fn resolve(&self, host: &str) -> DnsFuture {
        let host = host.to_owned();
        // The connection's own limit bounds it.
        Box::pin(async move { look_up(&host).await })
    }
}

/// For clients that are not the store's own.
impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            // The port comes from the address that the name stands in.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as reqwest::dns::Addrs)
        })
    }
}

/// Addresses of a host. The caller bounds the time.
pub(crate) async fn look_up(host: &str) -> Result<Vec<IpAddr>, DnsError> {
    let mut builder = TokioResolver::builder_tokio()
        .map_err(|error| format!("look up {host}: read /etc/resolv.conf: {error}"))?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let resolver = builder.build().map_err(|error| format!("look up {host}: {error}"))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| format!("look up {host}: {error}"))?;
    Ok(found.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_host_is_known_without_libc() {
        let found = Names.resolve("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[tokio::test]
    async fn an_unknown_name_is_named() {
        let error = Names.resolve("no-such-store.invalid").await.unwrap_err();
        assert!(error.to_string().contains("no-such-store.invalid"), "{error}");
    }
}
