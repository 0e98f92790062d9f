//! Certificates that something else issues (G18): `spec.tls.mode: Secret`.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, small};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::json;

#[tokio::test]
async fn g18_a_cluster_serves_and_replicates_with_a_certificate_of_ones_own() -> Result<()> {
    crate::beside_others("certificates", async |namespace| {
        let mut shop = small("shop", 2);
        shop["spec"]["tls"] =
            json!({"mode": "Secret", "secretName": "own-certificate", "requireClients": true});
        let shop = Database::apply(namespace, &shop).await?;
        let said = shop.until_condition("ConfigurationValid", "False", "SecretMissing").await?;
        ensure!(said.contains("own-certificate"), "{said}");
        store(namespace).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        let until =
            client.sql_until(&account, "SHOW SESSION STATUS LIKE 'Ssl_server_not_after'", HEALTHY_WITHIN);
        let until = until.await?;
        ensure!(until.contains("2049"), "the server shows a certificate that ends {until}");
        Ok(())
    })
    .await
}

/// A certificate that ends in a year which nobody else would choose.
async fn store(namespace: &Namespace) -> Result<()> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of one name with its issuer a certificate would pass for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "an authority of one's own");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let domain = format!("{}.svc", namespace.name());
    let mut names = vec![format!("shop.{domain}"), format!("shop-ro.{domain}")];
    names.extend((0..2).map(|ordinal| format!("shop-{ordinal}.shop-members.{domain}")));
    let mut params = CertificateParams::new(names).context("use the names")?;
    params.distinguished_name.push(DnType::CommonName, "shop");
    params.not_after = date_time_ymd(2049, 12, 1);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
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
