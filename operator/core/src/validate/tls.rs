//! The certificate that clients see.

use super::Problem;
use crate::names::ClusterNames;
use crate::view::References;
use porpoise_crds::{Tls, TlsMode};

const KEYS: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

pub(super) fn problems(tls: &Tls, names: &ClusterNames, references: &References) -> Vec<Problem> {
    let name = tls.secret_name.as_deref().filter(|name| !name.is_empty());
    let problem = match (tls.mode, name) {
        (TlsMode::Managed, None) => None,
        (TlsMode::Managed, Some(_)) => Some((
            "SecretUnused",
            "secretName is only read with mode Secret; set the mode, or remove the name".to_owned(),
        )),
        (TlsMode::Secret, None) => Some((
            "SecretNameMissing",
            "mode Secret needs the name of a Secret with tls.crt, tls.key and ca.crt; set it".to_owned(),
        )),
        (TlsMode::Secret, Some(name)) => own(name, names).or_else(|| secret(name, references)),
    };
    let at = |(reason, message)| Problem::new("spec.tls.secretName", reason, message);
    problem.map(at).into_iter().collect()
}

/// Porpoise writes these itself: what people put there would be replaced.
fn own(name: &str, names: &ClusterNames) -> Option<(&'static str, String)> {
    let ours = [names.authority_secret(), names.server_secret(), names.accounts_secret(), names.app_secret()];
    let message = || {
        format!("{name} is the name of a Secret that Porpoise makes for this cluster; choose another name")
    };
    ours.iter().any(|taken| taken == name).then(|| ("SecretNameReserved", message()))
}

fn secret(name: &str, references: &References) -> Option<(&'static str, String)> {
    let Some(keys) = &references.tls_secret_keys else {
        return Some(("SecretMissing", format!("there is no Secret {name:?} in this namespace; create it")));
    };
    let missing: Vec<&str> = KEYS.into_iter().filter(|key| !keys.iter().any(|found| found == key)).collect();
    let message = || format!("the Secret {name:?} lacks {}; add what is missing", missing.join(", "));
    (!missing.is_empty()).then(|| ("SecretIncomplete", message()))
}
