//! One random schedule: what happens, in which order, is drawn from the seed.

use super::dice::Dice;
use super::member::NAMES;
use super::planted::Planted;
use super::transaction::Kind;
use super::world::World;
use std::cell::RefCell;

/// Kinds of trouble; each schedule has some of them, so that few do not hide behind many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    ServerCrash,
    MemberCrash,
    NodeCrash,
    Pause,
    MemberCut,
    OperatorCut,
    OperatorCrash,
    Late,
    Scale,
    Volume,
    Split,
    Clock,
    Slow,
}

const TROUBLES: [Trouble; 13] = [
    Trouble::ServerCrash,
    Trouble::MemberCrash,
    Trouble::NodeCrash,
    Trouble::Pause,
    Trouble::MemberCut,
    Trouble::OperatorCut,
    Trouble::OperatorCrash,
    Trouble::Late,
    Trouble::Scale,
    Trouble::Volume,
    Trouble::Split,
    Trouble::Clock,
    Trouble::Slow,
];

/// The troubles in which a planted bug shows soonest; half of its schedules have just these.
fn theme(planted: Planted) -> &'static [Trouble] {
    use Trouble::{
        Clock, Late, MemberCrash, MemberCut, NodeCrash, OperatorCrash, OperatorCut, Pause, Scale,
        ServerCrash, Split, Volume,
    };
    match planted {
        Planted::OneSealTooFew
        | Planted::ExecutedInsteadOfReceived
        | Planted::LengthAlone
        | Planted::HistoryByFollowedPrimary
        | Planted::ClientsBeforeTermRecord
        | Planted::SealKeepsReceiving
        | Planted::TailKept
        | Planted::RelayLogRecovery
        | Planted::SemiSyncTimesOut => &[MemberCrash, ServerCrash, MemberCut, Clock],
        Planted::RelayNotSynced => &[NodeCrash, MemberCut, Clock],
        Planted::PromiseNotPersisted => &[Late, Late, MemberCrash, MemberCut, Clock],
        Planted::OrderWithoutTermCheck | Planted::OrderWithoutSeen => {
            &[Late, Scale, MemberCut, OperatorCut, MemberCrash, ServerCrash, Split]
        }
        Planted::NonMemberAcknowledges => &[Scale, MemberCut, MemberCrash, Volume],
        Planted::ClaimTooEarly
        | Planted::ClaimTooLate
        | Planted::LoweredTooLate
        | Planted::LeavesTooEarly => &[Scale, MemberCrash, MemberCut, Clock],
        Planted::StraysForgotten => &[Pause, Volume, MemberCrash, ServerCrash],
        Planted::OwnedForgotten => &[Volume, ServerCrash],
        Planted::IntentLost => &[ServerCrash, MemberCrash, Volume, Volume],
        Planted::CloneKeepsUuid => &[ServerCrash, MemberCrash, MemberCut, Volume, Clock],
        Planted::RecordWithoutCompareAndSwap => &[Split, Split, OperatorCrash, MemberCrash, Scale],
    }
}

/// A world that became well, by number of instances.
pub(super) fn well(instances: usize) -> World {
    thread_local! {
        static WELL: RefCell<[Option<World>; 5]> = const { RefCell::new([const { None }; 5]) };
    }
    WELL.with_borrow_mut(|known| {
        known[instances - 1]
            .get_or_insert_with(|| {
                let mut world = World::new(instances, Dice::new(0));
                world.recover();
                assert_eq!(world.violation, None, "a new cluster of {instances} comes up");
                world.calm = false;
                world
            })
            .clone()
    })
}

/// Runs the schedule of a seed to its end, with or without a trace.
pub(super) fn run(seed: u64, planted: Option<Planted>, traced: bool) -> World {
    let mut schedule = Schedule::new(seed, planted, traced);
    let steps = schedule.steps;
    for _ in 0..steps {
        schedule.step();
        if schedule.world.violation.is_some() {
            return schedule.world;
        }
    }
    let mut world = schedule.world;
    world.note(|| "everything heals".to_owned());
    world.recover_and_rest();
    world
}

struct Schedule {
    world: World,
    troubles: Vec<Trouble>,
    steps: usize,
    may_lose_volume: bool,
}

impl Schedule {
    fn new(seed: u64, planted: Option<Planted>, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let instances = match dice.roll(16) {
            0 => 1,
            1..=3 => 2,
            4..=11 => 3,
            12 | 13 => 4,
            _ => 5,
        };
        let founded = !dice.once_in(8);
        let mut world = if founded { well(instances) } else { World::new(instances, dice.clone()) };
        let rate = 1 + dice.roll(5);
        let mut troubles: Vec<Trouble> = TROUBLES.into_iter().filter(|_| dice.roll(6) < rate).collect();
        if let Some(planted) = planted
            && dice.once_in(2)
        {
            troubles = theme(planted).to_vec();
        }
        let steps = if dice.once_in(8) { 100 + dice.below(200) } else { 20 + dice.below(60) };
        world.planted = planted;
        world.ledger.offset = seed;
        world.trace = traced.then(Vec::new);
        world.dice = dice;
        world.lagging = world.dice.once_in(3);
        world.stored.degradable = world.dice.once_in(3);
        world.operators[1].skew = if world.dice.once_in(4) { -3_000 } else { 0 };
        world.note(|| {
            format!("seed {seed}: {instances} instances, founded {founded}, {steps} steps, {troubles:?}")
        });
        Self { world, troubles, steps, may_lose_volume: true }
    }

    fn step(&mut self) {
        let index = self.target();
        let world = &mut self.world;
        world.now += 10 + i64::try_from(world.dice.roll(200)).unwrap_or_default();
        let operator = world.dice.below(2);
        match world.dice.roll(32) {
            0..=4 => world.pass(operator),
            5..=7 => work(world),
            8 | 9 => {
                world.settle_members();
            }
            10..=12 => self.client(),
            13 => world.fence(index),
            14 | 15 => {
                world.progress(index);
            }
            16 | 17 => {
                world.pursue(index);
            }
            18..=21 => self.replicate(index),
            22 => {
                world.start_server(index);
            }
            23 | 24 => {
                if world.can_boot(index) {
                    world.boot(index);
                }
            }
            _ => self.trouble(index, operator),
        }
    }

    /// A member; often the one that lets clients write, since what happens there matters most.
    fn target(&mut self) -> usize {
        let open = self.world.open_members();
        match open.first() {
            Some(index) if self.world.dice.once_in(3) => *index,
            _ => self.world.dice.below(self.world.members.len()),
        }
    }

    fn client(&mut self) {
        let open = self.world.open_members();
        if open.is_empty() {
            return;
        }
        let index = open[self.world.dice.below(open.len())];
        if self.world.dice.once_in(4) {
            self.world.read_by_client(index);
        } else {
            for _ in 0..=self.world.dice.below(3) {
                self.world.write(index, Kind::Write);
            }
        }
    }

    fn replicate(&mut self, index: usize) {
        let world = &mut self.world;
        match world.dice.roll(6) {
            0 | 1 => {
                world.receive(index);
            }
            2 if !world.network.acks.is_empty() => {
                let which = world.dice.below(world.network.acks.len());
                world.acknowledge(which);
            }
            3 => {
                world.apply(index);
            }
            4 => {
                world.connect(index);
            }
            _ => {
                world.complete(index);
            }
        }
    }

    fn trouble(&mut self, index: usize, operator: usize) {
        if self.troubles.is_empty() {
            return;
        }
        let which = self.world.dice.below(self.troubles.len());
        let world = &mut self.world;
        match self.troubles[which] {
            Trouble::ServerCrash => {
                world.note(|| format!("mysqld of {} crashes", NAMES[index]));
                world.lose_server(index);
            }
            Trouble::MemberCrash => world.crash(index),
            Trouble::NodeCrash => {
                world.crash(index);
                world.lose_page_cache(index);
                world.members[index].pod_is_gone = world.dice.once_in(2);
            }
            Trouble::Pause => pause(world, index),
            Trouble::MemberCut => cut_member(world, index),
            Trouble::OperatorCut => cut_operator(world, index, operator),
            Trouble::OperatorCrash => world.operators[operator].crash(),
            Trouble::Late => deliver_late(world),
            Trouble::Scale => scale(world),
            Trouble::Volume => self.lose_volume(index),
            Trouble::Split => split_pass(world, operator),
            Trouble::Clock => world.now += 4_000,
            Trouble::Slow => world.slow = !world.slow,
        }
    }

    /// One volume in a schedule, while the claim says that others have everything.
    fn lose_volume(&mut self, index: usize) {
        let k = self.world.stored.status.quorum.as_ref().map_or(0, |claim| claim.k);
        if k > 0 && self.may_lose_volume {
            self.may_lose_volume = false;
            self.world.lose_volume(index);
        }
    }
}

/// Some passes without trouble, so that what was begun may come to its end.
fn work(world: &mut World) {
    let operator = world.dice.below(2);
    for _ in 0..world.dice.roll(8) {
        world.settle_members();
        world.now += 250;
        world.pass(operator);
    }
}

fn pause(world: &mut World, index: usize) {
    if let Some(agent) = &mut world.members[index].agent {
        agent.paused = !agent.paused;
        let paused = agent.paused;
        world.note(|| format!("agent of {} is paused: {paused}", NAMES[index]));
    }
}

fn cut_member(world: &mut World, index: usize) {
    let other = world.dice.below(world.members.len());
    let fate = world.dice.roll(4);
    world.note(|| format!("cut {fate} between {} and {}", NAMES[index], NAMES[other]));
    match fate {
        0 => world.network.heal(),
        1 => world.network.cut_members(index, other),
        2 => world.network.cut_members(other, index),
        _ => {
            world.network.cut_members(index, other);
            world.network.cut_members(other, index);
        }
    }
}

fn cut_operator(world: &mut World, index: usize, operator: usize) {
    let fate = world.dice.roll(3);
    world.note(|| format!("cut {fate} between operator {operator} and {}", NAMES[index]));
    match fate {
        0 => world.network.heal(),
        1 => world.network.cut_answers(operator, index),
        _ => world.network.cut_orders(operator, index),
    }
}

fn deliver_late(world: &mut World) {
    if world.network.late.is_empty() {
        return;
    }
    let which = world.dice.below(world.network.late.len());
    let (operator, order) = world.network.late.swap_remove(which);
    world.deliver(operator, &order);
}

fn scale(world: &mut World) {
    let instances = 1 + world.dice.below(5);
    world.note(|| format!("scale to {instances}"));
    world.stored.instances = instances;
    world.stored.version += 1;
}

/// A step of an operator's pass, so that others come in between.
fn split_pass(world: &mut World, operator: usize) {
    match world.dice.roll(3) {
        0 => world.read(operator),
        1 => world.decide(operator),
        _ => world.act(operator),
    }
}
