//! Where the time of a prediction goes, and what each way of saving some of it saves.
//!
//! The latency model says what the service takes as it was first written: text after text, features
//! computed anew, a line logged for each text. Each optimisation takes its share of what the ones
//! before it have left.

use std::time::Duration;

use super::Inference;

/// Share of the time of a large batch that one pass over it saves; of `n` texts `1 - 1/n` of that,
/// so that nothing is saved for a single one.
const VECTORISED_SAVES: f64 = 0.5;

/// Share of the rest that goes into features, in equal parts for all texts.
const FEATURES: f64 = 0.25;

/// Share of what is left then that goes into the log.
const LOGGING: f64 = 0.075;

/// The time of one request, by what it is spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub features: Duration,
    pub model: Duration,
    pub logging: Duration,
}

impl Parts {
    /// Parts of a request with `items` texts, `cached` of them with known features, that would take
    /// `drawn` without any optimisation.
    pub(super) fn new(behaviour: &Inference, drawn: Duration, items: u32, cached: u32) -> Parts {
        let texts = f64::from(items.max(1));
        let saved = match behaviour.vectorised {
            true => VECTORISED_SAVES * (1.0 - 1.0 / texts),
            false => 0.0,
        };
        let whole = drawn.mul_f64(1.0 - saved);
        let features = whole.mul_f64(FEATURES);
        let known = features.mul_f64(f64::from(cached) / texts);
        let logging = (whole - known).mul_f64(LOGGING);
        Parts {
            features: features - known,
            model: (whole - features).saturating_sub(logging),
            logging: if behaviour.logging { logging } else { Duration::ZERO },
        }
    }

    pub(super) fn total(self) -> Duration {
        self.features + self.model + self.logging
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(vectorised: bool, feature_cache: bool, logging: bool, items: u32) -> Duration {
        let behaviour = Inference { vectorised, feature_cache, logging, ..Inference::default() };
        let cached = if feature_cache { items } else { 0 };
        Parts::new(&behaviour, Duration::from_millis(1_000), items, cached).total()
    }

    #[test]
    fn the_service_as_first_written_takes_what_was_drawn() {
        for items in [1, 5, 100] {
            assert_eq!(parts(false, false, true, items), Duration::from_millis(1_000));
        }
    }

    #[test]
    fn each_optimisation_saves_what_it_is_said_to_save() {
        let saves = |before: Duration, after: Duration| 1.0 - after.div_duration_f64(before);
        for items in [5, 10, 25, 50, 100] {
            let first = parts(false, false, true, items);
            let vectorised = parts(true, false, true, items);
            let cached = parts(true, true, true, items);
            let quiet = parts(true, true, false, items);
            assert!((0.40..=0.60).contains(&saves(first, vectorised)), "{items}");
            assert!((0.20..=0.30).contains(&saves(vectorised, cached)), "{items}");
            assert!((0.05..=0.10).contains(&saves(cached, quiet)), "{items}");
        }
        assert_eq!(parts(true, false, true, 1), parts(false, false, true, 1), "no batch, no gain");
    }
}
