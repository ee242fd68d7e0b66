//! A distribution of durations: an HDR histogram beside exact count, sum, minimum and maximum.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Values below this many nanoseconds share a bucket.
const RESOLUTION_NS: u64 = 100;
/// Longer values are counted at this one; exact sum and maximum are kept beside.
const LONGEST_NS: u64 = 24 * 3_600 * 1_000_000_000;
/// Significant decimal digits of a histogram value: a relative error of at most 0.05%.
const DIGITS: u8 = 3;
/// Largest encoded histogram that is decoded; a full one is about 60 KB.
const MAX_ENCODED: usize = 1 << 20;

/// A histogram that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("damaged histogram: {0}")]
pub struct Damaged(String);

/// Durations, with three significant digits in quantiles and exact moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    histogram: Histogram<u64>,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Distribution { histogram: empty_histogram(), sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

fn empty_histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(RESOLUTION_NS, 1_000_000_000, DIGITS)
        .expect("invariant: the constant bounds are valid");
    histogram.auto(true);
    histogram
}

impl Distribution {
    /// Adds one value.
    pub fn record(&mut self, value: Duration) {
        let ns = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.histogram
            .record(ns.min(LONGEST_NS))
            .expect("invariant: an auto-resizing histogram takes every value up to LONGEST_NS");
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Distribution) {
        self.histogram
            .add(&other.histogram)
            .expect("invariant: an auto-resizing histogram takes every value up to LONGEST_NS");
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        if self.count() > 0 {
            self.histogram.reset();
            self.sum_ns = 0;
            self.min_ns = u64::MAX;
            self.max_ns = 0;
        }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Exact arithmetic mean.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum_ns.checked_div(u128::from(self.count()))?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// Exact smallest value.
    pub fn min(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(self.min_ns))
    }

    /// Exact largest value.
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(self.max_ns))
    }

    /// The smallest recorded value with at least a share `q` (0 to 1) of all values at or below
    /// it, to three significant digits, and never outside the exact minimum and maximum.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        (!self.is_empty()).then(|| {
            let ns = self.histogram.value_at_quantile(q);
            Duration::from_nanos(ns.clamp(self.min_ns, self.max_ns))
        })
    }

    /// Occupied buckets in rising order: upper edge and number of values.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.histogram.iter_recorded().map(|bucket| {
            (Duration::from_nanos(bucket.value_iterated_to()), bucket.count_since_last_iteration())
        })
    }

    /// The form that is stored.
    pub fn encode(&self) -> EncodedDistribution {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("invariant: writing to a Vec does not fail");
        EncodedDistribution {
            count: self.count(),
            sum_ns: self.sum_ns.to_string(),
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            hdr: BASE64.encode(bytes),
        }
    }
}

/// A distribution as it is stored: exact moments and a base64 HDR V2 deflate histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodedDistribution {
    /// Number of values.
    pub count: u64,
    /// Exact sum in nanoseconds, as text, for it may exceed what JSON readers keep exactly.
    pub sum_ns: String,
    /// Exact smallest value in nanoseconds.
    pub min_ns: u64,
    /// Exact largest value in nanoseconds.
    pub max_ns: u64,
    /// The histogram.
    pub hdr: String,
}

impl EncodedDistribution {
    /// Back to the distribution; checks that histogram and moments agree.
    pub fn decode(&self) -> Result<Distribution, Damaged> {
        if self.hdr.len() > MAX_ENCODED {
            return Err(Damaged(format!(
                "{} bytes encoded, at most {MAX_ENCODED}",
                self.hdr.len()
            )));
        }
        let bytes = BASE64.decode(&self.hdr).map_err(|e| Damaged(e.to_string()))?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| Damaged(e.to_string()))?;
        let mut histogram = empty_histogram();
        histogram.add(&read).map_err(|e| Damaged(e.to_string()))?;
        if histogram.len() != self.count {
            return Err(Damaged(format!("{} values, {} announced", histogram.len(), self.count)));
        }
        let sum_ns = self.sum_ns.parse().map_err(|_| Damaged(format!("sum {:?}", self.sum_ns)))?;
        Ok(Distribution { histogram, sum_ns, min_ns: self.min_ns, max_ns: self.max_ns })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distribution(values: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        values.iter().for_each(|ns| distribution.record(Duration::from_nanos(*ns)));
        distribution
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(1u64..100_000_000_000, 1..200)
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_thousandth_of_the_sorted_sample(mut values in values(), q in 0.0f64..=1.0) {
            let found = distribution(&values).quantile(q).expect("not empty").as_nanos() as f64;
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            // HDR's own rank arithmetic is floating point: a neighbour is right where q sits on an edge.
            let near = [rank.saturating_sub(1).max(1), rank, (rank + 1).min(values.len())];
            prop_assert!(near.iter().any(|rank| {
                let exact = values[rank - 1] as f64;
                (found - exact).abs() <= exact * 0.001 + RESOLUTION_NS as f64
            }), "{found} at {q} of {values:?}");
        }

        #[test]
        fn merging_parts_equals_recording_all(left in values(), right in values()) {
            let mut merged = distribution(&left);
            merged.merge(&distribution(&right));
            let whole = distribution(&[left, right].concat());
            prop_assert_eq!(merged.count(), whole.count());
            prop_assert_eq!(merged.mean(), whole.mean());
            prop_assert_eq!(merged.min(), whole.min());
            prop_assert_eq!(merged.max(), whole.max());
            prop_assert_eq!(merged.quantile(0.95), whole.quantile(0.95));
        }

        #[test]
        fn storing_loses_nothing(values in values()) {
            let original = distribution(&values);
            let text = serde_json::to_string(&original.encode()).expect("plain data");
            let stored: EncodedDistribution = serde_json::from_str(&text).expect("own output");
            let back = stored.decode().expect("own output");
            prop_assert_eq!(back.mean(), original.mean());
            prop_assert_eq!(back.buckets().collect::<Vec<_>>(), original.buckets().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_wrong_count_is_damage() {
        let mut stored = distribution(&[1_000, 2_000]).encode();
        stored.count = 3;
        assert!(stored.decode().is_err());
    }

    #[test]
    fn nothing_recorded_has_no_figures() {
        let empty = Distribution::default();
        assert_eq!((empty.mean(), empty.min(), empty.quantile(0.5)), (None, None, None));
    }
}
