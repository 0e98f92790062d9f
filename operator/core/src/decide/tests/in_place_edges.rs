//! A restore in place beside what else happens to a cluster (A30, ADR 0028).

use super::archive;
use super::in_place::{planned, wish};
use crate::gtid::GtidSet;

/// What was archived since the backup that is to be restored is not pruned because a newer one succeeded.
#[test]
fn a30_nothing_of_the_archive_is_needless_while_a_backup_is_to_be_restored() {
    let mut view = archive::archiving();
    archive::add(&mut view, 10, 20);
    let order = planned(&view).archive.remove(0);
    assert!(order.needless.is_some_and(|set| GtidSet::parse(&set).unwrap().count() == 20));
    view.object.spec.restore = Some(wish("after-the-accident"));
    assert!(planned(&view).archive.is_empty(), "what it was told last stays");
}
