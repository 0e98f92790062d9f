//! The rig's own certificate authority, what it signs, and the kubeconfigs that carry it.

use std::{fs, net::IpAddr, path::PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use super::state::Site;

/// One holder of a client certificate.
struct Holder {
    file: String,
    user: String,
    group: Option<&'static str>,
}

impl Holder {
    fn new(file: impl Into<String>, user: impl Into<String>, group: Option<&'static str>) -> Self {
        Self { file: file.into(), user: user.into(), group }
    }
}

/// Makes every key, certificate and kubeconfig of the rig.
///
/// # Errors
/// When one cannot be made or written.
pub(super) fn issue(site: &Site) -> Result<()> {
    fs::create_dir_all(site.pki())?;
    let authority = authority()?;
    write(site, "ca.crt", &authority.pem())?;
    write(site, "ca.key", &authority.key().serialize_pem())?;
    let accounts = KeyPair::generate()?;
    write(site, "accounts.key", &accounts.serialize_pem())?;
    write(site, "accounts.pub", &accounts.public_key_pem())?;
    serve(site, &authority)?;
    for holder in holders(site) {
        let mut params = named(&holder.user, holder.group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        sign(site, &authority, &params, &holder.file)?;
        fs::write(kubeconfig_file(site, &holder.file), kubeconfig(site, &holder.file))?;
    }
    Ok(())
}

fn holders(site: &Site) -> Vec<Holder> {
    let mut holders = vec![
        Holder::new("admin", "rig-admin", Some("system:masters")),
        Holder::new("apiserver-kubelet", "rig-apiserver", Some("system:masters")),
        Holder::new("controller-manager", "system:kube-controller-manager", None),
        Holder::new("scheduler", "system:kube-scheduler", None),
        Holder::new("proxy", "system:kube-proxy", None),
    ];
    for node in site.nodes() {
        holders.push(Holder::new(
            node.name.clone(),
            format!("system:node:{}", node.name),
            Some("system:nodes"),
        ));
    }
    holders
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = named("rig", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn serve(site: &Site, authority: &CertifiedIssuer<'_, KeyPair>) -> Result<()> {
    let mut params = named("kube-apiserver", None);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    {
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
    }
    for address in [site.slot.control_plane(), site.slot.api_service()] {
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
    }
    sign(site, authority, &params, "apiserver")
}

fn named(user: &str, group: Option<&str>) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params
}

fn sign(
    site: &Site,
    authority: &CertifiedIssuer<'_, KeyPair>,
    params: &CertificateParams,
    file: &str,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    write(site, &format!("{file}.crt"), &certificate.pem())?;
    write(site, &format!("{file}.key"), &key.serialize_pem())
}

fn write(site: &Site, file: &str, text: &str) -> Result<()> {
    Ok(fs::write(site.pki().join(file), text)?)
}

/// Where the kubeconfig of `holder` lies; the administrator's is the rig's own.
pub(super) fn kubeconfig_file(site: &Site, holder: &str) -> PathBuf {
    if holder == "admin" { site.kubeconfig() } else { site.pki().join(format!("{holder}.kubeconfig")) }
}

fn kubeconfig(site: &Site, holder: &str) -> String {
    let pki = site.pki();
    let pki = pki.display();
    let (server, name) = (site.server(), &site.options.name);
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
contexts:
- name: {name}
  context: {{cluster: {name}, user: {holder}, namespace: default}}
clusters:
- name: {name}
  cluster: {{server: \"{server}\", certificate-authority: \"{pki}/ca.crt\"}}
users:
- name: {holder}
  user: {{client-certificate: \"{pki}/{holder}.crt\", client-key: \"{pki}/{holder}.key\"}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{address::Slot, state::Options};

    #[test]
    fn every_holder_gets_a_kubeconfig_that_names_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let site =
            Site { options: Options::default(), slot: Slot::new(3).unwrap(), folder: folder.path().into() };
        issue(&site).unwrap();
        let text = fs::read_to_string(kubeconfig_file(&site, "n3")).unwrap();
        let config: serde_json::Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://198.18.96.1:6443");
        let key = config["users"][0]["user"]["client-key"].as_str().unwrap();
        assert!(key.ends_with("/n3.key") && fs::exists(key).unwrap(), "{key}");
    }
}
