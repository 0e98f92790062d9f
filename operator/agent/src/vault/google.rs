//! The key of a Google service account: what of it is used, and what to say if it is none.

use super::VaultError;
use object_store::gcp::ServiceAccountKey;
use serde::{Deserialize, Serialize};

/// Entry of the Secret with the key, as Google hands it out.
pub(super) const KEY_ENTRY: &str = "serviceAccountKey";
/// Where the cloud's own store is.
pub(super) const ADDRESS: &str = "https://storage.googleapis.com";

/// What is used of a key. The client would also heed entries that name another address or switch tokens off.
#[derive(Serialize, Deserialize)]
struct AccountKey {
    #[serde(rename = "type")]
    sort: Sort,
    private_key: String,
    private_key_id: String,
    client_email: String,
}

/// Other sorts of keys have other entries.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    ServiceAccount,
}

/// A key for the client.
///
/// # Errors
/// `UseAccountKey`: it is none. What it holds is not told.
pub(super) fn account_key(text: &str) -> Result<String, VaultError> {
    let wrong = |reason: &str| VaultError::UseAccountKey { reason: reason.to_owned() };
    let key: AccountKey = serde_json::from_str(text).map_err(|error| {
        wrong(if error.is_data() {
            "an entry is missing, or `type` is not service_account"
        } else {
            "it is no whole JSON"
        })
    })?;
    ServiceAccountKey::from_pem(key.private_key.as_bytes())
        .map_err(|_| wrong("`private_key` is no RSA key as PEM"))?;
    serde_json::to_string(&key).map_err(|_| wrong("it cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a29_what_is_no_key_of_a_service_account_is_refused_and_not_told() {
        let key = |sort: &str| {
            format!(
                r#"{{"type": "{sort}", "private_key": "s3cr3t", "private_key_id": "1", "client_email": "vault@example"}}"#
            )
        };
        for (text, words) in [
            ("s3cr3t", "no whole JSON"),
            (r#"{"private_key": "s3cr3t""#, "no whole JSON"),
            (r#"{"private_key": "s3cr3t"}"#, "an entry is missing"),
            (r#""s3cr3t""#, "an entry is missing"),
            (&key("external_account"), "not service_account"),
            (&key("service_account"), "no RSA key"),
        ] {
            let error = account_key(text).unwrap_err();
            let told = error.to_string();
            assert!(told.contains(words) && !told.contains("s3cr3t"), "{told}");
            assert!(matches!(error, VaultError::UseAccountKey { .. }) && error.is_for_good());
        }
    }
}
