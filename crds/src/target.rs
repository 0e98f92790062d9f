//! Where backups are kept.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::LocalReference;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where backups are kept: exactly one place.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.s3) != has(self.azure)")
    .message("name one target: s3 or azure"))]
pub struct BackupTarget {
    /// A bucket of S3 or of a compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Target>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureTarget>,
}

/// What every sort of target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The field that names it: `s3` or `azure`.
    pub field: &'static str,
    /// Bucket or container.
    pub bucket: &'a str,
    /// The account that it belongs to, where names are not the world's.
    pub account: &'a str,
    /// Folder inside it.
    pub prefix: &'a str,
    /// Address of a store that is not the cloud's own.
    pub endpoint: Option<&'a str>,
    /// Secret with what lets in.
    pub credentials: Option<&'a LocalReference>,
    /// Secret with the store's certificate authority.
    pub authority: Option<&'a LocalReference>,
}

impl BackupTarget {
    /// The place that is named. The schema sees to it that it is one.
    pub fn place(&self) -> Option<Place<'_>> {
        let s3 = self.s3.as_ref().map(S3Target::place);
        s3.or_else(|| self.azure.as_ref().map(AzureTarget::place))
    }
}

/// A bucket of S3 or of a compatible store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Target {
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$"))]
    pub bucket: String,
    /// Folder inside the bucket, such as `prod/mysql`. Default: its root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512), regex(pattern = r"^([-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]+)*)?$"))]
    pub prefix: String,
    /// Address of a compatible store, such as `https://minio.example:9000`. Absent: AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^/\s]+/?$"))]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default `us-east-1`.
    #[serde(default = "first_region")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[-a-z0-9]+$"))]
    pub region: String,
    /// Secret of this namespace with `accessKeyId`, `secretAccessKey` and, if need be, `sessionToken`. Absent: the identity
    /// that the cloud gives the Pod's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Secret of this namespace whose `ca.crt` signed the store's certificate. Absent: the well-known authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_secret_ref: Option<LocalReference>,
    /// Put the bucket's name into the path instead of the host name, as most compatible stores want. Default true.
    #[serde(default = "yes")]
    pub force_path_style: bool,
}

fn first_region() -> String {
    "us-east-1".to_owned()
}

fn yes() -> bool {
    true
}

impl S3Target {
    fn place(&self) -> Place<'_> {
        Place {
            field: "s3",
            bucket: &self.bucket,
            account: "",
            prefix: &self.prefix,
            endpoint: self.endpoint.as_deref(),
            credentials: self.credentials_secret_ref.as_ref(),
            authority: self.authority_secret_ref.as_ref(),
        }
    }
}

/// A container of Azure Blob Storage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureTarget {
    /// Name of the storage account.
    #[schemars(length(min = 3, max = 24), regex(pattern = r"^[a-z0-9]+$"))]
    pub account: String,
    /// Name of the container. It must exist.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9](-?[a-z0-9])*$"))]
    pub container: String,
    /// Folder inside the container, such as `prod/mysql`. Default: its root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512), regex(pattern = r"^([-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]+)*)?$"))]
    pub prefix: String,
    /// Address of another cloud's or a compatible store, with the account if that is in its path, such as
    /// `https://store.example:10000/account`. Absent: `https://ACCOUNT.blob.core.windows.net`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^/\s]+(/[a-z0-9]+)?/?$"))]
    pub endpoint: Option<String>,
    /// Secret of this namespace with `accountKey`. Absent: the identity that the cloud gives the Pod's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Secret of this namespace whose `ca.crt` signed the store's certificate. Absent: the well-known authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_secret_ref: Option<LocalReference>,
}

impl AzureTarget {
    fn place(&self) -> Place<'_> {
        Place {
            field: "azure",
            bucket: &self.container,
            account: &self.account,
            prefix: &self.prefix,
            endpoint: self.endpoint.as_deref(),
            credentials: self.credentials_secret_ref.as_ref(),
            authority: self.authority_secret_ref.as_ref(),
        }
    }
}
