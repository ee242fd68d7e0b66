//! How long a request is meant to take: pure functions of a seed and the number of a request.

mod text;

use std::sync::Arc;
use std::time::Duration;

use rand_distr::{Distribution as _, Exp1, StandardNormal};
use rand_xoshiro::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Purpose, unit};
use crate::duration;

/// A distribution of times.
///
/// Written as text: `50ms`, `20ms..80ms`, `50ms +- 20ms`, `normal(100ms, 20ms)`,
/// `lognormal(100ms, 0.5)`, `exponential(50ms)`; or as a list of measured times, each as likely as
/// the others. No draw is negative or longer than a day: what falls outside is the bound.
#[derive(Debug, Clone, PartialEq)]
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
    /// The normal distribution, cut off at 0.
    Normal {
        /// Its mean, before it is cut off.
        mean: Duration,
        /// Its standard deviation, before it is cut off.
        deviation: Duration,
    },
    /// The lognormal distribution: `median x exp(sigma x N(0, 1))`.
    Lognormal {
        /// Half of the times are at most this long.
        median: Duration,
        /// Standard deviation of the time's natural logarithm.
        sigma: f64,
    },
    /// The exponential distribution.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// One of these times, each as likely as the others; at least one.
    Empirical(Arc<[Duration]>),
}

impl Distribution {
    /// No time at all.
    pub const ZERO: Distribution = Distribution::Fixed(Duration::ZERO);

    /// `mean` give or take `jitter`, uniformly; none where `jitter` is longer than `mean`, since no
    /// time can be negative.
    pub fn around(mean: Duration, jitter: Duration) -> Option<Distribution> {
        if jitter.is_zero() {
            return Some(Distribution::Fixed(mean));
        }
        Some(Distribution::Uniform { low: mean.checked_sub(jitter)?, high: mean + jitter })
    }

    /// The next time from a generator.
    pub fn draw(&self, generator: &mut impl Rng) -> Duration {
        match self {
            Distribution::Fixed(time) => *time,
            Distribution::Uniform { low, high } => {
                let span = high.saturating_sub(*low).as_nanos() + 1;
                let share = (u128::from(generator.next_u64()) * span) >> 64;
                *low + Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
            }
            Distribution::Normal { mean, deviation } => {
                let z: f64 = StandardNormal.sample(generator);
                bounded(mean.as_secs_f64() + z * deviation.as_secs_f64())
            }
            Distribution::Lognormal { median, sigma } => {
                let z: f64 = StandardNormal.sample(generator);
                bounded(median.as_secs_f64() * (sigma * z).exp())
            }
            Distribution::Exponential { mean } => {
                let e: f64 = Exp1.sample(generator);
                bounded(mean.as_secs_f64() * e)
            }
            Distribution::Empirical(times) => {
                // Rounding cannot reach the length: `unit` is below 1 by more than its last bit.
                times[(unit(generator) * times.len() as f64) as usize]
            }
        }
    }

    /// Whether every draw is no time at all.
    pub fn is_zero(&self) -> bool {
        match self {
            Distribution::Fixed(time) => time.is_zero(),
            Distribution::Uniform { high, .. } => high.is_zero(),
            Distribution::Normal { mean, deviation } => mean.is_zero() && deviation.is_zero(),
            Distribution::Lognormal { median, .. } => median.is_zero(),
            Distribution::Exponential { mean } => mean.is_zero(),
            Distribution::Empirical(times) => times.iter().all(Duration::is_zero),
        }
    }

    /// The same shape, `factor` times as long.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Distribution {
        let scale = |time: &Duration| bounded(time.as_secs_f64() * factor);
        match self {
            Distribution::Fixed(time) => Distribution::Fixed(scale(time)),
            Distribution::Uniform { low, high } => {
                Distribution::Uniform { low: scale(low), high: scale(high) }
            }
            Distribution::Normal { mean, deviation } => {
                Distribution::Normal { mean: scale(mean), deviation: scale(deviation) }
            }
            Distribution::Lognormal { median, sigma } => {
                Distribution::Lognormal { median: scale(median), sigma: *sigma }
            }
            Distribution::Exponential { mean } => Distribution::Exponential { mean: scale(mean) },
            Distribution::Empirical(times) => {
                Distribution::Empirical(times.iter().map(scale).collect())
            }
        }
    }
}

/// Seconds as a duration from 0 to [`duration::LONGEST`].
fn bounded(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, duration::LONGEST.as_secs_f64()))
}

/// The service time of a request: one draw for the request, a fixed time for each of its items, and
/// one draw for each token of its answer.
///
/// Written as a distribution, which is then the base, or as a table of these fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Drawn once a request.
    pub base: Distribution,
    /// Added once an item.
    #[serde(with = "duration")]
    pub per_item: Duration,
    /// Time to the first token of a stream, in place of the base; none: the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Distribution>,
    /// Drawn for each token of an answer after the first: the time between two tokens of a stream;
    /// an answer that is no stream takes the sum.
    pub per_token: Distribution,
}

impl Latency {
    /// No time at all: the service answers as fast as it can.
    pub const ZERO: Latency = Latency::of(Distribution::ZERO);

    /// This base and nothing else.
    pub const fn of(base: Distribution) -> Latency {
        Latency { base, per_item: Duration::ZERO, first_token: None, per_token: Distribution::ZERO }
    }

    /// The intended service time of a request with `items` items and no tokens:
    /// `base + per_item x items`.
    pub fn draw(&self, draws: Draws, items: u32) -> Duration {
        self.base.draw(&mut draws.generator(Purpose::Latency)) + self.per_item * items
    }

    /// The intended times at which the tokens of an answer are ready, counted from the request:
    /// the first after `first_token` (or the base), each other `per_token` after the one before.
    pub fn tokens(&self, draws: Draws) -> impl Iterator<Item = Duration> + use<> {
        let first = self.first_token.as_ref().unwrap_or(&self.base);
        let first = first.draw(&mut draws.generator(Purpose::Latency));
        let per_token = self.per_token.clone();
        let mut generator = draws.generator(Purpose::Tokens);
        std::iter::successors(Some(first), move |at| Some(*at + per_token.draw(&mut generator)))
    }

    /// Whether every request takes no time at all.
    pub fn is_zero(&self) -> bool {
        self.base.is_zero()
            && self.per_item.is_zero()
            && self.per_token.is_zero()
            && self.first_token.as_ref().is_none_or(Distribution::is_zero)
    }

    /// The same shape, `factor` times as long.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Latency {
        Latency {
            base: self.base.scaled(factor),
            per_item: bounded(self.per_item.as_secs_f64() * factor),
            first_token: self.first_token.as_ref().map(|first| first.scaled(factor)),
            per_token: self.per_token.scaled(factor),
        }
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::latency(deserializer)
    }
}
