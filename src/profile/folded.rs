//! Folded stacks: the one form that every profile takes, whatever sampled it.

use std::collections::BTreeMap;
use std::fmt;

/// Stacks and how often each was seen. Frames stand from the outermost to the innermost, and are
/// named as the sampler names them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folded {
    stacks: BTreeMap<Vec<String>, u64>,
}

impl Folded {
    /// Counts `stack` `times` times more. A frame holds neither `;` nor line feeds: they become `:`
    /// and spaces.
    pub fn add(&mut self, stack: Vec<String>, times: u64) {
        let clean = |frame: String| frame.replace(';', ":").replace(['\n', '\r'], " ");
        if times > 0 && !stack.is_empty() {
            *self.stacks.entry(stack.into_iter().map(clean).collect()).or_default() += times;
        }
    }

    /// Adds all stacks of `other`.
    pub fn merge(&mut self, other: &Folded) {
        for (stack, times) in &other.stacks {
            *self.stacks.entry(stack.clone()).or_default() += times;
        }
    }

    /// All stacks, in order.
    pub fn stacks(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.stacks.iter().map(|(stack, times)| (stack.as_slice(), *times))
    }

    /// Samples in all.
    pub fn total(&self) -> u64 {
        self.stacks.values().sum()
    }

    /// Reads folded text: a line for each stack, frames joined by `;`, a space, the count. Says which
    /// line is none.
    pub fn parse(text: &str) -> Result<Folded, NotFolded> {
        let mut folded = Folded::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let read = || {
                let (stack, times) = line.rsplit_once(' ')?;
                Some((stack.split(';').map(str::to_owned).collect(), times.parse().ok()?))
            };
            let (stack, times) = read().ok_or(NotFolded { line: number + 1 })?;
            folded.add(stack, times);
        }
        Ok(folded)
    }
}

/// A line that is no folded stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no folded stack: frames joined by `;`, a space, and a count are expected")]
pub struct NotFolded {
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stack, times) in &self.stacks {
            writeln!(f, "{} {times}", stack.join(";"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            stacks in prop::collection::vec((prop::collection::vec("[a-z;:<> ()\n]{1,9}x", 1..5), 1u64..9), 0..9),
        ) {
            let mut folded = Folded::default();
            stacks.into_iter().for_each(|(stack, times)| folded.add(stack, times));
            prop_assert_eq!(Folded::parse(&folded.to_string()), Ok(folded));
        }
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(Folded::parse("a;b 3\n\nmain\n"), Err(NotFolded { line: 3 }));
        assert_eq!(Folded::parse("a;b 3\na 1\na;b 2\n").map(|folded| folded.total()), Ok(6));
    }
}
