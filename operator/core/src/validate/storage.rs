//! The volumes.

use super::{Problem, Stored};
use crate::quantity::{Amount, whole_gibibytes};
use crate::view::References;
use porpoise_crds::Storage;

const SMALLEST: u64 = 1 << 30;

pub(super) fn problems(storage: &Storage, references: &References, stored: &Stored) -> Vec<Problem> {
    [size(storage, stored), class_changed(storage, stored), class_missing(storage, references)]
        .into_iter()
        .flatten()
        .collect()
}

fn size(storage: &Storage, stored: &Stored) -> Option<Problem> {
    let text = &storage.size.0;
    let refuse = |reason, message| Some(Problem::new("spec.storage.size", reason, message));
    let Ok(amount) = Amount::parse(text) else {
        return refuse("InvalidQuantity", format!("{text:?} is not a quantity; write it as 20Gi"));
    };
    if amount.units() < SMALLEST {
        let units = amount.units();
        let message = format!("{text} is {units} bytes; ask for at least 1Gi, with its unit, such as 20Gi");
        return refuse("StorageTooSmall", message);
    }
    let plain = stored.size_bytes.filter(|now| amount.units() < *now);
    let restored = stored.restored_bytes.filter(|now| whole_gibibytes(amount.units()) < *now);
    let now = plain.max(restored)?;
    let now = Amount::from_bytes(now);
    refuse(
        "StorageShrinks",
        format!("the volumes have {now} and cannot shrink to {text}; ask for at least {now}"),
    )
}

fn class_changed(storage: &Storage, stored: &Stored) -> Option<Problem> {
    let wanted = class(storage)?;
    let now = stored.storage_class.as_deref().filter(|now| *now != wanted)?;
    let message = format!(
        "the volumes are of class {now} and cannot change to {wanted}; set {now}, or restore into a new cluster"
    );
    Some(Problem::new("spec.storage.storageClassName", "StorageClassChanged", message))
}

fn class_missing(storage: &Storage, references: &References) -> Option<Problem> {
    let wanted = class(storage).filter(|_| references.storage_class_exists == Some(false))?;
    let message =
        format!("there is no StorageClass {wanted}; create it, or name one of `kubectl get storageclass`");
    Some(Problem::new("spec.storage.storageClassName", "StorageClassMissing", message))
}

fn class(storage: &Storage) -> Option<&str> {
    storage.storage_class_name.as_deref().filter(|class| !class.is_empty())
}
