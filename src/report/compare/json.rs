//! The figures of a comparison for machines: `summary` of `compare.json`, and `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `before`, `after` | `runs`: `folder`, `started_at`, `valid`, `reasons`; `requests`, `measured_s` |
//! | `words` | how many figures `regressed`, `improved`, are `unchanged` or `inconclusive` |
//! | `differences` | `what`, `before`, `after`, `weight` (`workload`, `machine`, `noted`) |
//! | `method` | `paired`; of both sides `runs`, `draws_runs`, `block_seconds`, `units` |
//! | `parts` | `step` (`null` for all together) and `figures` |
//!
//! Figures: `name`, `before`, `after`, `difference`, `ratio`, `change_95` (two ends, as shares of what
//! it was; of shares: as a difference), `scale` (`relative`, `points`), `margin` on the same scale,
//! `better` (`lower`, `higher`), `word`, `reason`. Times are in milliseconds, CPU in percent of one
//! processor, memory in bytes. What is not known is `null`.

use serde_json::{Map, Value, json};

use crate::analysis::compare::{Compared, Comparison, Word};

use super::{Compares, Side};

/// The figures of the comparison.
pub fn summary(of: &Compares<'_>) -> Value {
    let comparison = of.comparison;
    let counts = Word::ALL.map(|word| {
        let count = comparison.figures().filter(|(_, it)| it.word == word).count();
        (word.name().to_owned(), json!(count))
    });
    json!({
        "before": side(of.before),
        "after": side(of.after),
        "words": Value::Object(Map::from_iter(counts)),
        "differences": of.differences,
        "method": method(comparison),
        "parts": comparison.parts.iter().map(|part| json!({
            "step": part.step,
            "figures": part.figures.iter().map(figure).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn side(side: &Side) -> Value {
    json!({
        "runs": side.group.runs.iter().zip(&side.folders).zip(&side.validity).map(
            |((run, folder), validity)| json!({
                "folder": folder,
                "started_at": run.start.started_at,
                "valid": validity.is_valid(),
                "reasons": validity.reasons,
            })
        ).collect::<Vec<_>>(),
        "requests": side.group.summary.total.count(),
        "measured_s": side.group.summary.window.length().as_secs_f64(),
    })
}

fn method(comparison: &Comparison) -> Value {
    let [before, after] = &comparison.basis;
    json!({ "paired": comparison.paired, "before": before, "after": after })
}

fn figure(of: &Compared) -> Value {
    let change = of.change;
    let interval = change.and_then(|change| change.interval);
    json!({
        "name": of.quantity.name(),
        "before": of.before,
        "after": of.after,
        "difference": change.map(|change| change.difference),
        "ratio": change.and_then(|change| change.ratio),
        "change_95": interval.map(|interval| [interval.low, interval.high]),
        "scale": of.quantity.scale(),
        "margin": of.margin,
        "better": of.quantity.better(),
        "word": of.word,
        "reason": of.reason,
    })
}
