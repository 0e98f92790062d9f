//! Whose MySQL is newer. A server may receive from an older one and from none that is newer (A34).
//!
//! Source: MySQL 9.7 Reference Manual, "Replication Compatibility Between MySQL Versions".

use super::roster::Roster;
use crate::protocol::MemberState;

/// Numbers of a release, such as those of `9.7.4`.
pub(super) type Release = (u32, u32, u32);

/// The release that the member runs; absent while its mysqld does not answer.
pub(super) fn of(state: &MemberState) -> Option<Release> {
    let mut parts = state.version.as_deref()?.split(['.', '-']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Whether another replica runs an older release than this one, and could not follow it. The primary is not asked: as the
/// last one it is older, and it gets another Pod as soon as it is none any more.
pub(super) fn outruns(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> bool {
    let Some(own) = of(state) else { return false };
    let others = roster.answered().filter(|other| other.instance != primary.instance);
    others.filter_map(of).any(|other| other < own)
}
