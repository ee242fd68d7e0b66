//! Random numbers that belong to one iteration of one user: the same seed gives the same workload,
//! however the users' iterations interleave.

use rand::{Rng, RngExt as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What random numbers are drawn for. Each purpose has its own stream, so that one more draw for
/// one of them changes nothing for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Which transaction an iteration carries out.
    Transaction = 1,
    /// How long a user waits after it.
    Think = 2,
    /// What templates draw: rows in random order, `random()`, `uuid()`.
    Template = 3,
    /// In which order an epoch of shuffled rows is handed out.
    Shuffle = 4,
    /// The part of the waits before failed requests are made again that is drawn.
    Retry = 5,
    /// Which kind of user an arrival of open load is.
    Kind = 6,
    /// Which of two targets an arrival comes to first.
    Order = 7,
}

/// The stream of random numbers for one purpose of one iteration of one user.
///
/// The four parts are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) into the
/// seed of a xoshiro256++ (Blackman and Vigna, 2019).
pub fn stream(seed: u64, user: u32, iteration: u64, purpose: Purpose) -> Xoshiro256PlusPlus {
    let mixed = [purpose as u64, u64::from(user), iteration]
        .into_iter()
        .fold(mix(seed), |state, part| mix(state ^ mix(part)));
    Xoshiro256PlusPlus::seed_from_u64(mixed)
}

/// The index of one of `weights`, each drawn as often as its share of their sum; `None` where that
/// is 0.
pub fn weighted(
    weights: impl Iterator<Item = u32> + Clone,
    generator: &mut impl Rng,
) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut place = generator.random_range(0..total.max(1));
    weights.map(u64::from).position(|weight| {
        let found = place < weight;
        place = place.saturating_sub(weight);
        found
    })
}

fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
