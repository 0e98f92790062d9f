//! Where backups are kept.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::LocalReference;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where backups are kept: exactly one place.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.s3), has(self.gcs), has(self.azure), has(self.volume)].exists_one(named, named)")
    .message("name one target: s3, gcs, azure or volume"))]
pub struct BackupTarget {
    /// A bucket of S3 or of a compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Target>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsTarget>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureTarget>,
    /// A volume of this Kubernetes. For small data: it is lost with the storage that it is insured against, and grows by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeTarget>,
}

/// What every sort of target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The field that names it: `s3`, `gcs`, `azure` or `volume`.
    pub field: &'static str,
    /// Bucket, container or volume claim.
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
        let gcs = || self.gcs.as_ref().map(GcsTarget::place);
        let azure = || self.azure.as_ref().map(AzureTarget::place);
        s3.or_else(gcs).or_else(azure).or_else(|| self.volume.as_ref().map(VolumeTarget::place))
    }

    /// The same place, named so that it is found without the cluster: a volume by its claim.
    #[must_use]
    pub fn settled(&self, cluster: &str) -> Self {
        let settle = |volume: &VolumeTarget| VolumeTarget {
            claim_name: Some(volume.claim(cluster)),
            size: None,
            storage_class_name: None,
        };
        Self { volume: self.volume.as_ref().map(settle), ..self.clone() }
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

/// Whether an address is Google's own: the identity of a Pod is shown to nobody else.
pub fn is_googles(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("https://").map(|host| host.trim_end_matches('/'));
    host.is_some_and(|host| host.ends_with(".googleapis.com"))
}

/// A bucket of Google Cloud Storage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.credentialsSecretRef) || !has(self.endpoint) || self.endpoint.matches('^https://[^/]*[.]googleapis[.]com/?$')")
    .message("the Pod's identity is shown to https://....googleapis.com only: name a credentialsSecretRef, or leave endpoint out").field_path(".endpoint"))]
pub struct GcsTarget {
    /// Name of the bucket. It must exist.
    #[schemars(length(min = 3, max = 222), regex(pattern = r"^[a-z0-9][-._a-z0-9]*[a-z0-9]$"))]
    pub bucket: String,
    /// Folder inside the bucket, such as `prod/mysql`. Default: its root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512), regex(pattern = r"^([-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]+)*)?$"))]
    pub prefix: String,
    /// Address of a private endpoint or a compatible store, such as `https://storage-vault.p.googleapis.com`. Absent:
    /// `https://storage.googleapis.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^/\s]+/?$"))]
    pub endpoint: Option<String>,
    /// Secret of this namespace with `serviceAccountKey`, the JSON key of a service account. Absent: the identity that the
    /// cloud gives the Pod's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Secret of this namespace whose `ca.crt` signed the store's certificate. Absent: the well-known authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_secret_ref: Option<LocalReference>,
}

impl GcsTarget {
    fn place(&self) -> Place<'_> {
        Place {
            field: "gcs",
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

/// A volume of this Kubernetes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.claimName) != has(self.size)")
        .message("name either claimName, a PersistentVolumeClaim of this namespace, or size, for one that is made"),
    validation = Rule::new("!has(self.storageClassName) || has(self.size)")
        .message("storageClassName goes with size only: a claim that exists has its class"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || !isQuantity(self.size) || !isQuantity(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("the volume cannot shrink; keep the size, or name another claim with claimName"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || (has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName))")
        .message("the class of a volume cannot change; name a claim of another class with claimName")
)]
pub struct VolumeTarget {
    /// A `PersistentVolumeClaim` of this namespace, with a file system. One Pod of the cluster mounts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub claim_name: Option<String>,
    /// Makes the claim `NAME-backups` of this size, such as `50Gi`. At least 1Gi. It may grow, never shrink. It stays when
    /// the cluster is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0")
        .message("size must be a quantity of at least 1Gi, such as 50Gi"))]
    pub size: Option<Quantity>,
    /// Class of the claim that is made. Absent: the default of this Kubernetes. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

// A quantity is a text, and so equal to itself.
impl Eq for VolumeTarget {}

impl VolumeTarget {
    /// Name of the claim for the backups of `cluster`.
    pub fn claim(&self, cluster: &str) -> String {
        self.claim_name.clone().unwrap_or_else(|| format!("{cluster}-backups"))
    }

    fn place(&self) -> Place<'_> {
        Place {
            field: "volume",
            bucket: self.claim_name.as_deref().unwrap_or_default(),
            account: "",
            prefix: "",
            endpoint: None,
            credentials: None,
            authority: None,
        }
    }
}
