//! Where the time of a request goes, against what it was before the optimisation.

use serde_json::{Map, Value, json};

use super::{Operation, Stats};

/// The 95th percentile before the optimisation, milliseconds.
const BASELINE_MS: f64 = 90_000.0;

/// What it should be, milliseconds.
const TARGET_MS: f64 = 30_000.0;

/// The components of a request, and how its 95th percentile compares with baseline and target:
/// `improvement_percentage = (baseline - current) / baseline x 100`. Before the first request,
/// there is no percentile, no improvement, and no target that is met.
pub(in super::super) fn breakdown(stats: &[Stats]) -> Value {
    let components: Map<String, Value> = stats
        .iter()
        .filter(|stats| stats.operation != Operation::TimeTravelTotal)
        .map(|stats| (stats.operation.name().to_owned(), json!(stats)))
        .collect();
    let total = stats.iter().find(|stats| stats.operation == Operation::TimeTravelTotal);
    let current = total.filter(|total| total.count > 0).map(|total| total.p95_ms);
    json!({
        "breakdown": components,
        "baseline_ms": BASELINE_MS,
        "current_p95_ms": current,
        "improvement_percentage": current.map(|p95| (BASELINE_MS - p95) / BASELINE_MS * 100.0),
        "target_ms": TARGET_MS,
        "on_target": current.is_some_and(|p95| p95 <= TARGET_MS),
    })
}
