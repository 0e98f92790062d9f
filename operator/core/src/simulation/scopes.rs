//! Small scopes that are searched completely, deeper ones for those who have time, and where planted bugs show.

use super::event::{Allowance, Fault, Grain};
use super::planted::Planted;
use super::schedule::well;
use super::search::Scope;
use super::world::World;

/// Events in a row; the small scopes end by themselves long before.
const DEPTH: usize = 1_000;
/// What ends processes.
const CRASHES: &[Fault] = &[Fault::Server, Fault::Member];
/// All that can happen to processes and messages.
const EVERYTHING: &[Fault] =
    &[Fault::Server, Fault::Member, Fault::Node, Fault::Cut, Fault::Acknowledgement, Fault::Operator];

fn pair() -> World {
    well(2)
}

fn three() -> World {
    well(3)
}

fn single() -> World {
    well(1)
}

/// One operator, each statement an event, a write and a fault.
fn scope(name: &'static str, start: fn() -> World, kinds: &'static [Fault]) -> Scope {
    let allowance = Allowance {
        grain: Grain::Statement,
        operators: 1,
        writes: 1,
        faults: 1,
        kinds,
        volumes: 1,
        scales: &[],
    };
    Scope { name, start, allowance, planted: None, depth: DEPTH, states: usize::MAX, heals_one_in: 1 }
}

impl Scope {
    fn with(mut self, change: impl Fn(&mut Allowance)) -> Self {
        change(&mut self.allowance);
        self
    }
}

/// Covered completely within seconds each.
pub(super) fn small() -> Vec<Scope> {
    vec![
        scope("2 members, 1 write, 1 crash", pair, CRASHES),
        scope("2 members, 1 write, 1 acknowledgement lost", pair, &[Fault::Acknowledgement]),
        scope("2 members, 1 write, 1 cut, agents whole", pair, &[Fault::Cut])
            .with(|allowed| allowed.grain = Grain::Goal),
        scope(
            "2 members, 2 operators, 1 crash of mysqld or operator, members whole",
            pair,
            &[Fault::Server, Fault::Operator],
        )
        .with(|allowed| {
            (allowed.grain, allowed.operators, allowed.writes) = (Grain::Member, 2, 0);
        }),
        scope("3 members, 2 writes, no fault", three, &[])
            .with(|allowed| (allowed.writes, allowed.faults) = (2, 0)),
        scope("3 members, 1 crash of mysqld, members whole", three, &[Fault::Server])
            .with(|allowed| (allowed.grain, allowed.writes) = (Grain::Member, 0)),
        scope("2 members scaled to 1, 2 writes, no fault", pair, &[])
            .with(|allowed| (allowed.writes, allowed.faults, allowed.scales) = (2, 0, &[1])),
    ]
}

/// Minutes each, with all the memory there is; some end by a bound on states.
pub(super) fn deep() -> Vec<Scope> {
    vec![
        scope("2 members, 1 write, 1 fault of any kind", pair, EVERYTHING),
        scope("2 members, 2 crashes of mysqld", pair, &[Fault::Server])
            .with(|allowed| (allowed.writes, allowed.faults) = (0, 2)),
        scope("2 members, 2 operators, 1 write, 1 crash of mysqld", pair, &[Fault::Server])
            .with(|allowed| allowed.operators = 2),
        scope("3 members, 1 crash, agents whole", three, CRASHES)
            .with(|allowed| (allowed.grain, allowed.writes) = (Grain::Goal, 0)),
        scope("3 members, 1 write, 1 crash of mysqld, members whole", three, &[Fault::Server])
            .with(|allowed| allowed.grain = Grain::Member),
        scope("3 members, 1 cut, members whole", three, &[Fault::Cut])
            .with(|allowed| (allowed.grain, allowed.writes) = (Grain::Member, 0)),
        scope("2 members, 1 write, 1 volume lost, members whole", pair, &[Fault::Volume])
            .with(|allowed| allowed.grain = Grain::Member),
        scope("1 member scaled to 2, 1 write, members whole", single, &[])
            .with(|allowed| (allowed.grain, allowed.faults, allowed.scales) = (Grain::Member, 0, &[2])),
    ]
}

/// The scope in which a planted bug shows soonest; absent for bugs that need larger ones.
pub(super) fn planted(planted: Planted) -> Option<Scope> {
    let goal = |allowed: &mut Allowance| allowed.grain = Grain::Goal;
    let found =
        match planted {
            Planted::ExecutedInsteadOfReceived | Planted::TailKept | Planted::SemiSyncTimesOut => {
                scope("2 members, 1 write, 1 crash", pair, CRASHES)
            }
            Planted::RelayLogRecovery => scope("2 members, 1 write, 2 crashes", pair, &[Fault::Member])
                .with(|allowed| allowed.faults = 2),
            Planted::OneSealTooFew => {
                scope("3 members, 1 write, 1 crash, agents whole", three, &[Fault::Member]).with(goal)
            }
            Planted::ClaimTooLate => scope("2 members scaled to 1, 1 write, 1 crash", pair, &[Fault::Member])
                .with(|allowed| allowed.scales = &[1]),
            Planted::LoweredTooLate => {
                scope("2 members scaled to 1 and to 2, 1 write, 1 crash", pair, &[Fault::Member])
                    .with(|allowed| allowed.scales = &[1, 2])
            }
            Planted::LeavesTooEarly => {
                scope("3 members scaled to 2, 1 write, 1 crash, agents whole", three, &[Fault::Member])
                    .with(|allowed| (allowed.grain, allowed.scales) = (Grain::Goal, &[2]))
            }
            Planted::OwnedForgotten => scope(
                "2 members, 1 write, 1 volume lost and 1 crash of mysqld, members whole",
                pair,
                &[Fault::Server, Fault::Volume],
            )
            .with(|allowed| (allowed.grain, allowed.faults) = (Grain::Member, 2)),
            Planted::OrderWithoutSeen => scope("2 members, 1 write, 1 crash", pair, &[Fault::Member]),
            Planted::ClaimTooEarly => {
                scope("1 member scaled to 2, 1 write, 1 crash, members whole", single, &[Fault::Member])
                    .with(|allowed| (allowed.grain, allowed.scales) = (Grain::Member, &[2]))
            }
            Planted::ClientsBeforeTermRecord => {
                scope("2 members, 1 write, 2 crashes of mysqld, members whole", pair, &[Fault::Server])
                    .with(|allowed| (allowed.grain, allowed.faults) = (Grain::Member, 2))
            }
            Planted::RecordWithoutCompareAndSwap => {
                scope("2 members, 2 operators, 1 crash of mysqld, members whole", pair, &[Fault::Server])
                    .with(|allowed| {
                        (allowed.grain, allowed.operators, allowed.writes) = (Grain::Member, 2, 0);
                    })
            }
            Planted::PromiseNotPersisted
            | Planted::LengthAlone
            | Planted::StraysForgotten
            | Planted::HistoryByFollowedPrimary
            | Planted::SealKeepsReceiving
            | Planted::NonMemberAcknowledges
            | Planted::OrderWithoutTermCheck
            | Planted::IntentLost
            | Planted::CloneKeepsUuid
            | Planted::RelayNotSynced => return None,
        };
    Some(Scope { planted: Some(planted), ..found })
}
