//! When an answer is meant to be there: pure functions of a latency and of draws.

use std::time::Duration;

use crate::draws::Draws;
use crate::latency::Latency;

/// The time of a whole answer, whose longest choice has so many tokens: a draw of the base, the time
/// of an item for each choice, and a draw for each token after the first.
pub(super) fn whole(latency: &Latency, draws: Draws, choices: u32, tokens: u32) -> Duration {
    let base = latency.draw(draws, choices);
    if latency.per_token.is_zero() || tokens < 2 {
        return base;
    }
    let mut times = latency.tokens(draws);
    let first = times.next().unwrap_or_default();
    // The one after `n` others is the last of `n + 1`, and the first is taken already.
    let last = times.nth(tokens as usize - 2).unwrap_or(first);
    base + (last - first)
}

/// The times of the tokens of a stream: the first after `first_token`, or a draw of the base, and the
/// time of an item for each choice; each other a draw after the one before.
pub(super) fn stream(
    latency: &Latency,
    draws: Draws,
    choices: u32,
) -> impl Iterator<Item = Duration> + Send + use<> {
    let of_items = latency.per_item * choices;
    latency.tokens(draws).map(move |time| time + of_items)
}

/// The time of the last of so many tokens of a stream. A stream without tokens ends at the time of
/// its first.
pub(super) fn end_of_stream(
    latency: &Latency,
    draws: Draws,
    choices: u32,
    tokens: u32,
) -> Duration {
    let mut times = stream(latency, draws, choices);
    times.nth(tokens.saturating_sub(1) as usize).unwrap_or_default()
}
