//! Chance that replays: a small generator (xorshift64*), the same on every machine. A search does without it.

/// A source of choices that depends on its seed alone.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    state: u64,
    /// Nothing is left to chance: a search tries the events one by one. No mishap comes by itself then, and whatever may
    /// happen at a step does, since the search also tries to leave the step out.
    searching: bool,
}

impl Dice {
    /// Dice for a search of all events.
    pub(super) fn searching() -> Self {
        Self { searching: true, ..Self::new(0) }
    }

    pub(super) fn is_searching(&self) -> bool {
        self.searching
    }

    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, searching: false };
        // The first numbers of neighbouring seeds are much alike.
        for _ in 0..4 {
            dice.roll(2);
        }
        dice
    }

    /// A number from 0 to `sides` - 1.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides.max(1)
    }

    /// True once in `times`: a mishap, or a detour.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        !self.searching && self.roll(times) == 0
    }

    /// True once in `times`: something that comes sooner or later.
    pub(super) fn at_last(&mut self, times: u64) -> bool {
        self.searching || self.roll(times) == 0
    }

    /// An index below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let sides = u64::try_from(count).unwrap_or(u64::MAX);
        usize::try_from(self.roll(sides)).unwrap_or_default()
    }
}
