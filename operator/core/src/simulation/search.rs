//! A search of everything that can happen within a small scope, breadth first: the first violation has the shortest trace.

use super::checks::Violation;
use super::dice::Dice;
use super::event::{Allowance, Event, Fault};
use super::planted::Planted;
use super::world::World;
use std::collections::HashSet;
use std::fmt;

/// What a search covers.
#[derive(Clone)]
pub(super) struct Scope {
    /// What it is, in a few words.
    pub(super) name: &'static str,
    /// Where it begins.
    pub(super) start: fn() -> World,
    pub(super) allowance: Allowance,
    pub(super) planted: Option<Planted>,
    /// Events in a row, at most.
    pub(super) depth: usize,
    /// Distinct states, at most.
    pub(super) states: usize,
    /// From one state in so many everything heals, and the cluster must become well.
    pub(super) heals_one_in: u64,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// What was searched, in a few words.
    pub name: &'static str,
    /// Distinct states.
    pub states: usize,
    /// Events that were tried.
    pub events: usize,
    /// States from which everything healed.
    pub healed: usize,
    /// Events in a row after which nothing new was found, or at which the search ended.
    pub depth: usize,
    /// Which bound ended the search, if one did.
    pub cut_off: Option<&'static str>,
    /// The violation, and what led to it.
    pub violation: Option<(Violation, Vec<String>)>,
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, states, events, healed, depth, .. } = self;
        let end = match (self.cut_off, &self.violation) {
            (_, Some((violation, _))) => format!("violation of {}: {}", violation.invariant, violation.seen),
            (Some(bound), None) => format!("CUT OFF by the bound on {bound}"),
            (None, None) => "covered completely".to_owned(),
        };
        write!(
            formatter,
            "{name}: {states} distinct states, {events} events tried, {depth} deep, healed from {healed}: {end}"
        )
    }
}

/// A state, and what may still happen in it.
#[derive(Clone)]
struct Place {
    world: World,
    allowance: Allowance,
    /// Its number in the search.
    number: usize,
}

impl Place {
    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        next.world.ledger.offset = u64::try_from(self.number).unwrap_or_default();
        let Allowance { writes, faults, volumes, scales, grain, .. } = &mut next.allowance;
        match event {
            Event::Write(_) => *writes -= 1,
            Event::Mishap(fault, _) => {
                *faults -= 1;
                *volumes -= u8::from(fault == Fault::Volume);
            }
            Event::Scale(_) => *scales = &scales[1..],
            _ => {}
        }
        next.world.happen(event, *grain);
        next
    }

    fn fingerprint(&self) -> u64 {
        let Allowance { writes, faults, volumes, scales, .. } = &self.allowance;
        let rest = u64::from(*writes) << 24
            | u64::from(*faults) << 16
            | u64::from(*volumes) << 8
            | scales.len() as u64;
        self.world.fingerprint() ^ rest.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// A search on its way.
struct Search<'a> {
    scope: &'a Scope,
    seen: HashSet<u64>,
    /// By number of the state: the one before it, and the event between them.
    before: Vec<(usize, Event)>,
    coverage: Coverage,
}

/// Tries everything within a scope.
pub(super) fn search(scope: &Scope) -> Coverage {
    let start = scope.begin();
    let coverage = Coverage {
        name: scope.name,
        states: 1,
        events: 0,
        healed: 0,
        depth: 0,
        cut_off: None,
        violation: None,
    };
    let seen = HashSet::from([start.fingerprint()]);
    let mut search = Search { scope, seen, before: vec![(0, Event::Wait)], coverage };
    let mut front = vec![start];
    while !front.is_empty() && search.goes_on() {
        front = search.deeper(front);
        search.coverage.depth += usize::from(!front.is_empty());
    }
    search.coverage
}

impl Scope {
    fn begin(&self) -> Place {
        let mut world = (self.start)();
        world.dice = Dice::searching();
        world.planted = self.planted;
        Place { world, allowance: self.allowance.clone(), number: 0 }
    }
}

impl Search<'_> {
    fn goes_on(&mut self) -> bool {
        if self.coverage.depth >= self.scope.depth {
            self.coverage.cut_off = Some("depth");
        }
        self.coverage.cut_off.is_none() && self.coverage.violation.is_none()
    }

    /// All new states that are one event away from these.
    fn deeper(&mut self, front: Vec<Place>) -> Vec<Place> {
        let mut next = Vec::new();
        for place in front {
            for event in place.world.enabled(&place.allowance) {
                next.extend(self.step(&place, event));
                if self.coverage.violation.is_some() || self.coverage.cut_off.is_some() {
                    return Vec::new();
                }
            }
        }
        next
    }

    /// The state after an event, if it is new.
    fn step(&mut self, place: &Place, event: Event) -> Option<Place> {
        self.coverage.events += 1;
        let mut next = place.after(event);
        if let Some(violation) = next.world.violation.take() {
            self.report(violation, place.number, event, false);
            return None;
        }
        let fingerprint = next.fingerprint();
        if !self.seen.insert(fingerprint) {
            return None;
        }
        next.number = self.before.len();
        self.before.push((place.number, event));
        self.coverage.states += 1;
        if fingerprint.is_multiple_of(self.scope.heals_one_in) {
            self.coverage.healed += 1;
            if let Some(violation) = heal(&next.world).violation {
                self.report(violation, place.number, event, true);
            }
        }
        if self.coverage.states >= self.scope.states {
            self.coverage.cut_off = Some("states");
        }
        Some(next)
    }

    /// Goes the way to a violation once more, for people to read.
    fn report(&mut self, violation: Violation, number: usize, event: Event, heals: bool) {
        let mut way = vec![event];
        let mut number = number;
        while number > 0 {
            let (before, event) = self.before[number];
            way.push(event);
            number = before;
        }
        let mut place = self.scope.begin();
        place.world.trace = Some(Vec::new());
        for event in way.into_iter().rev() {
            place = place.after(event);
        }
        let world = if heals { heal(&place.world) } else { place.world };
        self.coverage.violation = Some((violation, world.trace.unwrap_or_default()));
    }
}

/// Fair weather from here on; at rest everything must be in place.
fn heal(world: &World) -> World {
    let mut world = world.clone();
    world.dice = Dice::new(1);
    world.note(|| "everything heals".to_owned());
    world.recover_and_rest();
    world
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::scopes;
    use std::collections::{BTreeSet, HashMap, VecDeque};

    /// States of a scope that are compared.
    const STATES: usize = 3_000;
    /// Of those reached again, one in so many is compared with the one that was there first.
    const SAMPLE: usize = 16;

    fn following(place: &Place) -> BTreeSet<u64> {
        let events = place.world.enabled(&place.allowance);
        events.into_iter().map(|event| place.after(event).fingerprint()).collect()
    }

    /// Otherwise the search would leave out what only one of them leads to.
    fn compare(scope: &Scope) -> usize {
        let start = scope.begin();
        let mut known = HashMap::from([(start.fingerprint(), start.clone())]);
        let (mut queue, mut again) = (VecDeque::from([start]), 0);
        while let Some(place) = queue.pop_front().filter(|_| known.len() < STATES) {
            for event in place.world.enabled(&place.allowance) {
                let next = place.after(event);
                if let Some(first) = known.get(&next.fingerprint()) {
                    again += 1;
                    let is_sampled = again % SAMPLE == 0;
                    assert!(!is_sampled || following(first) == following(&next), "{}: {event}", scope.name);
                } else {
                    known.insert(next.fingerprint(), next.clone());
                    queue.push_back(next);
                }
            }
        }
        again / SAMPLE
    }

    #[test]
    fn states_with_the_same_fingerprint_lead_to_the_same_states() {
        let compared: usize = scopes::small().iter().chain(&scopes::deep()).map(compare).sum();
        println!("{compared} pairs of states compared");
        assert!(compared > 5_000);
    }
}
