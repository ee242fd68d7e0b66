//! Random words.

use rand_xoshiro::rand_core::Rng;

use super::written::Words;

/// Every word has at most four letters and so is one token: a number of words is a number of tokens.
const LIST: [&str; 64] = [
    "the", "a", "this", "that", "it", "we", "they", "you", "one", "each", "some", "many", "most",
    "data", "test", "case", "plan", "time", "load", "rate", "wait", "work", "task", "user", "call",
    "line", "page", "path", "code", "text", "word", "name", "is", "has", "can", "may", "will",
    "runs", "gets", "sees", "asks", "says", "goes", "ends", "low", "high", "fast", "slow", "new",
    "old", "good", "same", "next", "last", "in", "on", "at", "by", "for", "with", "from", "into",
    "and", "or",
];

/// Appends that many words, with spaces between them.
pub(super) fn append(text: &mut String, count: u32, generator: &mut impl Rng) {
    // A word and its space have five bytes at most.
    text.reserve(5 * count as usize);
    let (mut bits, mut left) = (0, 0);
    for number in 0..count {
        if left == 0 {
            (bits, left) = (generator.next_u64(), 10);
        }
        if number > 0 {
            text.push(' ');
        }
        text.push_str(LIST[(bits % 64) as usize]);
        (bits, left) = (bits / 64, left - 1);
    }
}

impl Words {
    /// A number of words.
    pub(super) fn draw(self, generator: &mut impl Rng) -> u32 {
        between(self.low.into(), self.high.into(), generator) as u32
    }
}

/// An integer from `low` to `high`, which is not below it; both included, each equally likely.
pub(super) fn between(low: i64, high: i64, generator: &mut impl Rng) -> i64 {
    if low == high {
        return low;
    }
    let span = (i128::from(high) - i128::from(low) + 1) as u128;
    let share = ((u128::from(generator.next_u64()) * span) >> 64) as i128;
    // From 0 to the span without it: the sum is from `low` to `high`.
    (i128::from(low) + share) as i64
}
