//! Certificates that something else issues (G18) and renews (G8): `spec.tls.mode: Secret`.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn g18_a_cluster_serves_and_replicates_with_a_certificate_of_ones_own() -> Result<()> {
    crate::beside_others("certificates", async |namespace| {
        let mut shop = small("shop", 2);
        shop["spec"]["tls"] =
            json!({"mode": "Secret", "secretName": "own-certificate", "requireClients": true});
        let shop = Database::apply(namespace, &shop).await?;
        let said = shop.until_condition("ConfigurationValid", "False", "SecretMissing").await?;
        ensure!(said.contains("own-certificate"), "{said}");
        let authority = authority()?;
        store(namespace, &authority, 2049).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        until_shown(&client, &account, "2049").await?;
        let before = pods(namespace).await?;
        store(namespace, &authority, 2048).await?;
        until_shown(&client, &account, "2048").await?;
        ensure!(pods(namespace).await? == before, "a renewed certificate restarted a member");
        Ok(())
    })
    .await
}

/// Waits until clients are shown a certificate that ends in this year. The kubelet looks after its volumes once a minute.
async fn until_shown(client: &Client<'_>, account: &Account, year: &str) -> Result<()> {
    until(&format!("the server shows a certificate of {year}"), HEALTHY_WITHIN, async || {
        match client.sql(account, "SHOW SESSION STATUS LIKE 'Ssl_server_not_after'").await {
            Ok(shown) if shown.contains(year) => Ok(Seen::Done(())),
            Ok(shown) => Ok(Seen::Not(shown)),
            Err(error) => Ok(Seen::Not(format!("{error:#}"))),
        }
    })
    .await
}

/// The members' Pods, and how often each was started again.
async fn pods(namespace: &Namespace) -> Result<BTreeMap<Option<String>, i32>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let list = pods.list(&ListParams::default().labels("app.kubernetes.io/instance=shop")).await?;
    let restarts = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.map(|container| container.restart_count).sum()
    };
    Ok(list.items.iter().map(|pod| (pod.uid(), restarts(pod))).collect())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of one name with its issuer a certificate would pass for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "an authority of one's own");
    Ok(CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?)
}

/// A certificate that ends in a year which nobody else would choose.
async fn store(
    namespace: &Namespace,
    authority: &CertifiedIssuer<'static, KeyPair>,
    year: i32,
) -> Result<()> {
    let domain = format!("{}.svc", namespace.name());
    let mut names = vec![format!("shop.{domain}"), format!("shop-ro.{domain}")];
    names.extend((0..2).map(|ordinal| format!("shop-{ordinal}.shop-members.{domain}")));
    let mut params = CertificateParams::new(names).context("use the names")?;
    params.distinguished_name.push(DnType::CommonName, "shop");
    params.not_after = date_time_ymd(year, 12, 1);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "own-certificate"},
        "stringData": {
            "ca.crt": authority.pem(), "tls.crt": certificate.pem(), "tls.key": key.serialize_pem(),
        },
    });
    let secrets: Api<Secret> = Api::namespaced(namespace.client(), namespace.name());
    secrets.patch("own-certificate", &PatchParams::apply("scenario").force(), &Patch::Apply(&secret)).await?;
    Ok(())
}
