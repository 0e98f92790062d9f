//! Chance that replays: a small generator (xorshift64*), the same on every machine.

/// A source of choices that depends on its seed alone.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // The first numbers of neighbouring seeds are much alike.
        for _ in 0..4 {
            dice.roll(2);
        }
        dice
    }

    /// A number from 0 to `sides` - 1.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides.max(1)
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    /// An index below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let sides = u64::try_from(count).unwrap_or(u64::MAX);
        usize::try_from(self.roll(sides)).unwrap_or_default()
    }
}
