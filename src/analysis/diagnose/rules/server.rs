//! Rules on what the target says of itself.

use crate::analysis::diagnose::Confidence;
use crate::analysis::diagnose::evidence::Facts;
use crate::analysis::diagnose::words::{count, number, percent};
use crate::stats::normal;

use super::{Found, Judgement};

const NOT_ASKED: &str = "the target's own numbers were not asked for: see --scrape and [scrape]";
/// Answers of a cache that helps, as a share of what it is asked.
const HELPS: f64 = 0.05;
/// Fewer questions than this say little.
const FEWEST: f64 = 20.0;

/// A circuit breaker that is open.
pub(super) fn breaker_open(facts: &Facts<'_, '_>) -> Judgement {
    let Some(server) = &facts.evidence.server else {
        return Judgement::NotJudged(NOT_ASKED.to_owned());
    };
    let is_breaker = |state: &str| state.to_lowercase().contains("breaker");
    if !server.states.iter().any(|state| is_breaker(&state.state)) {
        return Judgement::NotJudged("the target shows no circuit breaker".to_owned());
    }
    let is_open = |state: &str| state.to_lowercase().ends_with("=\"open\"}");
    let open = server.states.iter().find(|it| is_breaker(&it.state) && is_open(&it.state));
    let Some(open) = open else { return Judgement::Clear };
    Judgement::Found(Found {
        advice: "Look at what stands behind the service: the breaker opens when calls to it fail, and refuses them until its recovery time is over.".to_owned(),
        gain: "Requests that are refused without a call succeed again when what is behind does.".to_owned(),
        // A state is seen or not: nothing is drawn.
        confidence: Some(Confidence::Seen),
        ..Found::with(vec![format!(
            "{} was so in {} of {} looks, first at {} s and last at {} s.",
            open.state,
            open.looks,
            open.of_looks,
            number(open.first_seconds),
            number(open.last_seconds)
        )])
    })
}

/// A cache that hardly ever has the answer.
pub(super) fn cache_useless(facts: &Facts<'_, '_>) -> Judgement {
    let Some(server) = &facts.evidence.server else {
        return Judgement::NotJudged(NOT_ASKED.to_owned());
    };
    let sum = |words: [&str; 2]| {
        let of_cache = server.series.iter().filter(|series| {
            let name = series.series.to_lowercase();
            name.contains("cache") && words.iter().any(|word| name.contains(word))
        });
        of_cache.filter_map(|series| series.increase).reduce(f64::max)
    };
    let Some((hits, misses)) = sum(["hits", "hit_"]).zip(sum(["misses", "miss_"])) else {
        return Judgement::NotJudged("the target shows no hits and misses of a cache".to_owned());
    };
    let asked = hits + misses;
    if asked < FEWEST {
        return Judgement::NotJudged(format!("its cache was asked {} times only", count(asked)));
    }
    let share = hits / asked;
    if share >= HELPS {
        return Judgement::Clear;
    }
    // Binomial, at the threshold: the share of no hits has no spread of its own.
    let error = (HELPS * (1.0 - HELPS) / asked).sqrt();
    Judgement::Found(Found {
        advice: "Leave the cache out, or make its key coarser: normalise questions before they are looked up.".to_owned(),
        gain: format!(
            "Time saved is hit share x time of a miss: at {} next to nothing.",
            percent(share)
        ),
        confidence: Some(Confidence::Sampled { share: normal::below((HELPS - share) / error) }),
        ..Found::with(vec![format!(
            "It had the answer {} of {} times ({}).",
            count(hits),
            count(asked),
            percent(share)
        )])
    })
}
