//! Sets of numbers as intervals.

use std::fmt;

/// Inclusive intervals: ascending, apart from each other, never touching.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).fold(0, u64::saturating_add)
    }

    pub(super) fn has(&self, number: u64) -> bool {
        let from = self.0.partition_point(|(_, end)| *end < number);
        self.0.get(from).is_some_and(|(start, _)| *start <= number)
    }

    /// Adds `first..=last` and merges what touches it. `first` is at least 1 and at most `last`.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        let from = self.0.partition_point(|(_, end)| *end < first - 1);
        let to = self.0.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let merged = self.0[from..to]
            .iter()
            .fold((first, last), |(low, high), (start, end)| (low.min(*start), high.max(*end)));
        self.0.splice(from..to, [merged]);
    }

    pub(super) fn insert_all(&mut self, other: &Self) {
        for (first, last) in &other.0 {
            self.insert(*first, *last);
        }
    }

    pub(super) fn intersect(&self, other: &Self) -> Self {
        let mut common = Vec::new();
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some((first, last)), Some((start, end))) = (mine.peek(), theirs.peek()) {
            let (low, high) = (*first.max(start), *last.min(end));
            if low <= high {
                common.push((low, high));
            }
            // The interval that ends first meets nothing more.
            if last <= end {
                mine.next()
            } else {
                theirs.next()
            };
        }
        Self(common)
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (first, last) in &self.0 {
            let mut low = *first;
            let from = other.0.partition_point(|(_, end)| *end < low);
            for (start, end) in other.0[from..].iter().take_while(|(start, _)| start <= last) {
                if low < *start {
                    left.push((low, start - 1));
                }
                low = end + 1;
            }
            if low <= *last {
                left.push((low, *last));
            }
        }
        Self(left)
    }
}

/// `:1-5:7`
impl fmt::Display for Intervals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (first, last) in &self.0 {
            if first == last {
                write!(formatter, ":{first}")?;
            } else {
                write!(formatter, ":{first}-{last}")?;
            }
        }
        Ok(())
    }
}
