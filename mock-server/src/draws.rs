//! Randomness as a pure function of a seed and the number of a request.
//!
//! Every draw has its own generator, made from (seed, number, purpose). No generator is shared
//! between requests, so the order in which concurrent requests happen to run cannot change what
//! any of them draws.

use std::sync::atomic::{AtomicU64, Ordering};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What is drawn: draws for one purpose do not move when another draws more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The service time of a request.
    Latency,
    /// The times between the tokens of a stream.
    Tokens,
    /// Whether and how a request fails.
    Fault,
    /// What an answer says.
    Reply,
    /// How long a client pauses before it repeats a call.
    Backoff,
}

/// The draws of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
    number: u64,
}

impl Draws {
    /// The draws of request `number`, counted from 0, of a service with this seed.
    pub fn new(seed: u64, number: u64) -> Draws {
        Draws { seed, number }
    }

    /// The number of the request: 0, 1, 2, … in the order of arrival.
    pub fn number(self) -> u64 {
        self.number
    }

    /// The generator of this request for one purpose. The seed is hashed before the number is added,
    /// so that neighbouring seeds do not share streams that are merely shifted.
    pub fn generator(self, purpose: Purpose) -> Xoshiro256PlusPlus {
        let purpose = (purpose as u64) << 56;
        let hashed = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ purpose).next_u64();
        Xoshiro256PlusPlus::seed_from_u64(hashed.wrapping_add(self.number))
    }
}

/// A number from 0 up to but without 1, evenly distributed, with 53 random bits.
pub fn unit(generator: &mut impl Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Numbers requests 0, 1, 2, … in the order in which they arrive.
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
