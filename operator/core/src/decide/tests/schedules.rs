//! Random schedules over the small world: crashes, lost and late orders, partial delivery, scaling. Whatever was
//! acknowledged must be on the primary at the end (ha.md I1), and two primaries never complete writes in turn (I2).
//!
//! A failing schedule prints its seed; `PORPOISE_SEED=n` is not needed: the seed is the test's only input.

use super::world::World;
use crate::protocol::{Order, Role};
use std::collections::BTreeSet;

const SCHEDULES: u64 = 300;
const STEPS: usize = 160;

/// A small generator (xorshift64*), so that a seed replays on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(items.len()).unwrap();
        if count == 0 { None } else { items.get(usize::try_from(self.roll(count)).unwrap()) }
    }
}

struct Schedule {
    seed: u64,
    dice: Dice,
    world: World,
    late: Vec<Order>,
    acknowledged: BTreeSet<String>,
    completed_in: i64,
    trace: Vec<String>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let instances = i32::try_from(1 + dice.roll(5)).unwrap();
        let mut world = World::new(instances);
        world.passes(usize::try_from(dice.roll(30)).unwrap());
        Self {
            seed,
            dice,
            world,
            late: Vec::new(),
            acknowledged: BTreeSet::new(),
            completed_in: 0,
            trace: Vec::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.late.clear();
        self.recover();
        self.check();
    }

    fn step(&mut self) {
        let names: Vec<String> = self.world.members.keys().cloned().collect();
        let name = self.dice.pick(&names).cloned().unwrap_or_default();
        match self.dice.roll(20) {
            0..=8 => self.operator(),
            9..=13 => self.write(),
            14 => self.note(format!("crash {name}"), |world| {
                if world.members.contains_key(&name) {
                    world.crash(&name);
                }
            }),
            15 => self.note(format!("boot {name}"), |world| {
                if world.can_run(&name) {
                    world.boot(&name);
                }
            }),
            16 => self.note(format!("boot {name}, held"), |world| {
                if world.can_run(&name) {
                    world.boot_held(&name);
                }
            }),
            17 => self.scale(),
            _ => self.deliver_late(),
        }
    }

    fn note(&mut self, what: String, act: impl FnOnce(&mut World)) {
        self.trace.push(what);
        act(&mut self.world);
    }

    /// A pass of the operator; some of its orders are lost, some come late.
    fn operator(&mut self) {
        let (lose, delay) = (self.dice.roll(8) == 0, self.dice.roll(6) == 0);
        let orders = self.world.pass_with(lose || delay);
        self.trace.push(format!(
            "pass (lost {lose}, late {delay}): {} | term {:?} primary {:?} claim {:?}",
            self.world.last.reason,
            self.world.status().term,
            self.world.status().primary,
            self.world
                .status()
                .quorum
                .map(|claim| (claim.members.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), claim.k)),
        ));
        if delay && !lose {
            self.late.extend(orders);
        }
    }

    fn deliver_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let index = usize::try_from(self.dice.roll(u64::try_from(self.late.len()).unwrap())).unwrap();
        let order = self.late.swap_remove(index);
        self.trace.push(format!("late {:?} to {} in term {}", order.action, order.instance, order.term));
        self.world.receive(&order);
    }

    /// A client writes to whoever lets it in, not only to the recorded primary.
    fn write(&mut self) {
        let open: Vec<String> = self.world.open_primaries();
        let Some(name) = self.dice.pick(&open).cloned() else {
            return;
        };
        let reach = self.dice.roll(4) != 0;
        let (transaction, complete) = self.world.commit(&name, reach);
        self.trace.push(format!("write {transaction} on {name}: acknowledged {complete}"));
        if complete {
            let Role::Primary { term, .. } = self.world.members[&name].state.role else {
                return;
            };
            assert!(
                term >= self.completed_in,
                "seed {}: {name} completed a write in term {term} after one in {}\n{}",
                self.seed,
                self.completed_in,
                self.trace.join("\n")
            );
            self.completed_in = term;
            self.acknowledged.insert(transaction);
        }
    }

    fn scale(&mut self) {
        if self.dice.roll(3) == 0 {
            let instances = i32::try_from(1 + self.dice.roll(5)).unwrap();
            self.trace.push(format!("scale to {instances}"));
            self.world.object.spec.instances = instances;
        }
    }

    fn recover(&mut self) {
        for _ in 0..300 {
            let names: Vec<String> = self.world.members.keys().cloned().collect();
            for name in names {
                if self.world.can_run(&name) {
                    self.world.boot(&name);
                }
            }
            self.world.pass();
            if self.world.phase() == Some(porpoise_crds::Phase::Healthy) {
                return;
            }
        }
        panic!(
            "seed {}: never Healthy again: {:?} because {}\n{}",
            self.seed,
            self.world.phase(),
            self.world.last.reason,
            self.trace.join("\n")
        );
    }

    fn check(&self) {
        let primary = self.world.primary();
        let executed = super::world::set(&self.world.members[&primary].state.data.as_ref().unwrap().executed);
        for transaction in &self.acknowledged {
            assert!(
                executed.contains(&super::world::set(transaction)),
                "seed {}: {transaction} was acknowledged and is not on {primary}\n{}",
                self.seed,
                self.trace.join("\n")
            );
        }
    }
}

#[test]
fn i1_i2_random_schedules_lose_nothing_that_was_acknowledged() {
    let (mut acknowledged, mut rejoined, mut cut) = (0, 0, 0);
    for seed in 1..=SCHEDULES {
        let mut schedule = Schedule::new(seed);
        schedule.run();
        acknowledged += schedule.acknowledged.len();
        rejoined += schedule.world.rejoined.0;
        cut += schedule.world.rejoined.1;
    }
    println!("acknowledged {acknowledged}, rejoined {rejoined} times, cut off {cut}");
    assert!(
        rejoined > 20 && cut > 10,
        "hardly anybody rejoined: {rejoined} times, {cut} transactions cut off"
    );
    assert!(acknowledged > 1_000, "the schedules hardly wrote anything: {acknowledged}");
}
