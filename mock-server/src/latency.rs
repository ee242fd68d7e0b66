//! How long a request is meant to take: pure functions of a seed and a sequence number.
//!
//! Every draw has its own generator, made from (seed, sequence number). No generator is shared
//! between requests, so the order in which concurrent requests happen to run cannot change what
//! any of them draws.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A distribution of service times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// The same time for every request.
    Fixed(Duration),
    /// Every time from `low` to `high`, both included, is equally likely.
    Uniform {
        /// The shortest time.
        low: Duration,
        /// The longest time, at least `low`.
        high: Duration,
    },
}

impl Distribution {
    /// `mean` give or take `jitter`, uniformly; none where `jitter` is longer than `mean`, since no
    /// time can be negative.
    pub fn around(mean: Duration, jitter: Duration) -> Option<Distribution> {
        if jitter.is_zero() {
            return Some(Distribution::Fixed(mean));
        }
        Some(Distribution::Uniform { low: mean.checked_sub(jitter)?, high: mean + jitter })
    }

    fn draw(&self, generator: &mut impl Rng) -> Duration {
        match *self {
            Distribution::Fixed(time) => time,
            Distribution::Uniform { low, high } => {
                let span = high.saturating_sub(low).as_nanos() + 1;
                let share = (u128::from(generator.next_u64()) * span) >> 64;
                low + Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
            }
        }
    }

    fn is_zero(&self) -> bool {
        match *self {
            Distribution::Fixed(time) => time.is_zero(),
            Distribution::Uniform { high, .. } => high.is_zero(),
        }
    }
}

/// The service time of a request: one draw for the request, and a fixed time for each of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Drawn once a request.
    pub base: Distribution,
    /// Added once an item.
    pub per_item: Duration,
}

impl Latency {
    /// No time at all: the service answers as fast as it can.
    pub const ZERO: Latency =
        Latency { base: Distribution::Fixed(Duration::ZERO), per_item: Duration::ZERO };

    /// The intended service time of request number `sequence` with `items` items:
    /// `base(seed, sequence) + per_item x items`.
    pub fn draw(&self, seed: u64, sequence: u64, items: u32) -> Duration {
        self.base.draw(&mut generator(seed, sequence)) + self.per_item * items
    }

    /// Whether every request takes no time at all.
    pub fn is_zero(&self) -> bool {
        self.base.is_zero() && self.per_item.is_zero()
    }
}

/// The generator of request number `sequence`. The seed is hashed before the number is added, so
/// that neighbouring seeds do not share streams that are merely shifted.
fn generator(seed: u64, sequence: u64) -> Xoshiro256PlusPlus {
    let hashed = Xoshiro256PlusPlus::seed_from_u64(seed).next_u64();
    Xoshiro256PlusPlus::seed_from_u64(hashed.wrapping_add(sequence))
}

/// Numbers requests 0, 1, 2, … in the order in which they are accepted for work.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// The next number; no two callers get the same one.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts at 0 again.
    pub fn restart(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
