//! A set of numbers that fills up from below: which iterations of a run are done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A set of numbers as the fewest ranges. Iterations end nearly in the order in which they begin, so
/// that it holds one range, and one more for each hole that those under way leave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Numbers {
    /// Begin and end (not in it) of each; none touches another.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Adds `number`; says whether it was not there before.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back().map(|(&from, &to)| (from, to));
        if before.is_some_and(|(_, to)| number < to) {
            return false;
        }
        let end = self.ranges.remove(&(number + 1)).unwrap_or(number + 1);
        match before {
            Some((from, to)) if to == number => self.ranges.insert(from, end),
            _ => self.ranges.insert(number, end),
        };
        true
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, &to)| number < to)
    }

    /// The smallest number from `from` on that is not in it.
    pub fn missing_from(&self, from: u64) -> u64 {
        let before = self.ranges.range(..=from).next_back();
        before.map(|(_, &to)| to).filter(|to| *to > from).unwrap_or(from)
    }

    /// How many numbers from `from` on are not in it, and are below one of it that is below `to`.
    pub fn holes(&self, from: u64, to: u64) -> u64 {
        let (mut at, mut holes) = (self.missing_from(from), 0);
        while let Some((&begin, &end)) = self.ranges.range(at..to.max(at)).next() {
            holes += begin - at;
            at = end;
        }
        holes
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| to - from).sum()
    }

    /// The ranges from which it is made.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }
}

impl From<Vec<(u64, u64)>> for Numbers {
    fn from(ranges: Vec<(u64, u64)>) -> Self {
        Numbers { ranges: ranges.into_iter().filter(|(from, to)| from < to).collect() }
    }
}

impl From<Numbers> for Vec<(u64, u64)> {
    fn from(numbers: Numbers) -> Self {
        numbers.ranges.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_as_the_fewest_ranges(
            inserted in prop::collection::vec(0u64..60, 0..90)
        ) {
            let (mut numbers, mut plain) = (Numbers::default(), BTreeSet::new());
            for number in inserted {
                prop_assert_eq!(numbers.insert(number), plain.insert(number));
            }
            for from in 0..61 {
                let missing = (from..).find(|number| !plain.contains(number));
                prop_assert_eq!(Some(numbers.missing_from(from)), missing);
                let last = plain.range(from..from.max(40)).next_back().copied().unwrap_or(from);
                let holes = (from..last).filter(|number| !plain.contains(number)).count() as u64;
                prop_assert_eq!(numbers.holes(from, from.max(40)), holes);
            }
            prop_assert_eq!(numbers.count(), plain.len() as u64);
            (0..61).for_each(|number| assert_eq!(numbers.contains(number), plain.contains(&number)));
            let begins = plain.iter().filter(|n| **n == 0 || !plain.contains(&(**n - 1)));
            prop_assert_eq!(numbers.ranges(), begins.count());
            let text = serde_json::to_string(&numbers).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Numbers>(&text).expect("the same"), numbers);
        }
    }
}
