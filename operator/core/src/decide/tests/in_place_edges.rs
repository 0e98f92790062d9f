//! A restore in place beside what else happens to a cluster (A30, ADR 0028).

use super::archive;
use super::in_place::{asked, planned, restore, until, wish};
use crate::gtid::GtidSet;
use porpoise_crds::{Phase, RestorePhase};

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

/// An operator that knows no lines writes a status without them.
#[test]
fn a30_a_request_is_not_done_again_when_the_status_forgot_it() {
    let mut world = asked();
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    let status = world.object.status.as_mut().unwrap();
    (status.restore, status.line) = (None, None);
    world.passes(30);
    assert_eq!((world.mounted(), restore(&world).phase), (2, RestorePhase::Skipped));
    assert_eq!(restore(&world).past_requests, ["after-the-accident"]);
    world.object.spec.restore = Some(wish("once-more"));
    world.pass();
    until(&mut world, RestorePhase::Done);
    assert_eq!(world.mounted(), 3);
}
