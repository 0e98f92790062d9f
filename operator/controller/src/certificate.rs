//! The certificate of the members: which names it needs, and when it is due.

use crate::agents::CA_CERT;
use jiff::Timestamp;
use porpoise_core::names::ClusterNames;
use porpoise_link::{MEMBER_IDENTITY, certificates};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Key of the certificate in a Secret of type `kubernetes.io/tls`.
pub const TLS_CERT: &str = "tls.crt";
/// Key of its private key.
pub const TLS_KEY: &str = "tls.key";
/// How long a server certificate is valid. It is renewed after two thirds.
pub const SERVER_LIFETIME: Duration = Duration::from_hours(24 * 90);

/// Every name by which a member is called: by its peers, by clients through the Services, and by itself.
pub fn names(names: &ClusterNames) -> Vec<String> {
    let (namespace, members) = (names.namespace(), names.members_service());
    let mut all = vec![
        format!("*.{members}"),
        format!("*.{members}.{namespace}"),
        format!("*.{members}.{namespace}.svc"),
        format!("*.{members}.{namespace}.svc.cluster.local"),
    ];
    let stores = [names.store(), names.source()];
    for service in [names.cluster().to_owned(), names.replicas_service()].into_iter().chain(stores) {
        all.extend([
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]);
    }
    all.push("localhost".to_owned());
    all
}

/// The loopback addresses.
pub fn addresses() -> [IpAddr; 2] {
    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}

/// Whether the certificate in a Secret must be made anew: it is old, of another authority, lacks a name, or is unusable.
pub fn is_due(secret: &BTreeMap<String, String>, authority: &str, wanted: &[String], now: Timestamp) -> bool {
    let (Some(certificate), Some(ca)) = (secret.get(TLS_CERT), secret.get(CA_CERT)) else {
        return true;
    };
    ca.trim() != authority.trim() || is_old(certificate, now) || lacks_name(certificate, wanted)
}

fn is_old(certificate: &str, now: Timestamp) -> bool {
    let Ok((begin, end)) = certificates::period(certificate) else {
        return true;
    };
    let third = (end.as_second() - begin.as_second()) / 3;
    now.as_second() >= end.as_second() - third
}

fn lacks_name(certificate: &str, wanted: &[String]) -> bool {
    let Ok(has) = certificates::names(certificate) else {
        return true;
    };
    !has.iter().any(|name| name == MEMBER_IDENTITY) || !wanted.iter().all(|name| has.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use porpoise_link::Authority;
    use porpoise_link::certificates::Validity;

    const DAY: u64 = 24 * 3600;

    fn at(day: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(1_700_000_000 + day * DAY).unwrap()).unwrap()
    }

    fn authority() -> Authority {
        Authority::generate("shop prod", at(0), Duration::from_secs(3652 * DAY)).unwrap()
    }

    fn secret(authority: &Authority, names: &[String]) -> BTreeMap<String, String> {
        let validity = Validity { now: at(0), lifetime: SERVER_LIFETIME };
        let issued = authority.issue_server(names, &addresses(), MEMBER_IDENTITY, validity).unwrap();
        BTreeMap::from([(TLS_CERT.to_owned(), issued.cert_pem), (CA_CERT.to_owned(), issued.ca_pem)])
    }

    #[test]
    fn renewal_table() {
        let (one, other) = (authority(), authority());
        let wanted = names(&ClusterNames::new("shop", "prod"));
        let good = secret(&one, &wanted);
        let ca = one.certificate_pem();
        for (case, secret, ca, day, want) in [
            ("fresh", good.clone(), ca, 0, false),
            ("almost two thirds", good.clone(), ca, 59, false),
            ("two thirds", good.clone(), ca, 60, true),
            ("expired", good.clone(), ca, 100, true),
            ("other authority", good.clone(), other.certificate_pem(), 0, true),
            ("lacks names", secret(&one, &wanted[..3]), ca, 0, true),
            ("empty", BTreeMap::new(), ca, 0, true),
            (
                "garbage",
                BTreeMap::from([(TLS_CERT.to_owned(), "x".to_owned()), (CA_CERT.to_owned(), ca.to_owned())]),
                ca,
                0,
                true,
            ),
        ] {
            assert_eq!(is_due(&secret, ca, &wanted, at(day)), want, "{case}");
        }
    }
}
