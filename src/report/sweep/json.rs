//! The figures of a sweep for machines: `summary` of `sweep.json`, and `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `scenario`, `started_at` | what was swept |
//! | `variant`, `settings` | what was laid over the scenario: `null` or a name, and a list of `KEY=VALUE` |
//! | `axes` | a list of `dimension` and `values`, the first in the law's place of N |
//! | `end` | `done`, `interrupted`, `terminated`; `dead`, `budget` or `failed` with what was seen; or `killed` |
//! | `answer` | of a search: `found` (`limit`, `no_limit`, `none_safe`, `unclear`) and its loads; else `null` |
//! | `groups` | a list of `other` (value of the second axis), `levels`, `fit`, `not_fitted`, `recommended` |
//! | `points` | every run: `at`, `trial`, `stage`, `folder`, `valid`, `reasons`, `verdicts` and figures |
//! | `diagnosis` | as of a run (`report::diagnosis::json`) |
//!
//! Levels: `value`, `valid`, `runs_used`, `runs`, `speed_up`, `efficiency` (1 is linear), `rps_spread`,
//! and figures: medians over the valid runs, but `count` and `failed` are sums. Ends of intervals that
//! nothing bounds, and what was not measured, are `null`.

use serde_json::{Map, Value, json};

use crate::analysis::capacity::search::{Of, Outcome};
use crate::analysis::capacity::{Capacity, Group, Level, Point, PointFigures};
use crate::stats::bootstrap::Interval;
use crate::stats::usl::Fit;
use crate::store::sweep::SweepRecord;

/// The figures of the sweep.
pub fn summary(record: &SweepRecord, capacity: &Capacity) -> Value {
    json!({
        "scenario": record.scenario,
        "variant": record.variant,
        "settings": record.settings,
        "started_at": record.started_at,
        "axes": record.axes,
        "end": record.end.as_ref().map_or(json!("killed"), |end| json!(end)),
        "answer": capacity.answer.as_ref().map(answer),
        "groups": capacity.groups.iter().map(group).collect::<Vec<_>>(),
        "points": capacity.points.iter().map(point).collect::<Vec<_>>(),
    })
}

fn of(of: &Of) -> Value {
    json!({ "runs": of.did, "of": of.all })
}

fn answer(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Limit { safe, held, next, broke, always_held, always_broke, mixed, above } => {
            json!({
                "found": "limit",
                "safe": safe,
                "held": of(held),
                "next": next,
                "broke": of(broke),
                "always_held": always_held,
                "always_broke": always_broke,
                "held_and_broke": mixed,
                "held_above": above,
            })
        }
        Outcome::NoLimit { safe, held, mixed } => json!({
            "found": "no_limit",
            "safe": safe,
            "held": of(held),
            "held_and_broke": mixed,
        }),
        Outcome::NoneSafe { smallest, broke } => {
            json!({ "found": "none_safe", "smallest": smallest, "broke": of(broke) })
        }
        Outcome::Unclear { why, safe } => {
            json!({ "found": "unclear", "why": why, "safe": safe })
        }
    }
}

fn group(group: &Group) -> Value {
    json!({
        "other": group.other,
        "levels": group.levels.iter().map(level).collect::<Vec<_>>(),
        "fit": group.fit.as_ref().ok().map(fit),
        "not_fitted": group.fit.as_ref().err(),
        "recommended": group.gain.as_ref().map(|gain| {
            json!({ "from": gain.from, "to": gain.to, "times": gain.times })
        }),
    })
}

/// A number; `null` where it is infinite.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

fn fit(fit: &Fit) -> Value {
    let interval = |Interval { low, high }: Interval| json!([finite(low), finite(high)]);
    json!({
        "lambda": fit.law.lambda,
        "lambda_95": interval(fit.lambda),
        "sigma": fit.law.sigma,
        "sigma_95": interval(fit.sigma),
        "kappa": fit.law.kappa,
        "kappa_95": interval(fit.kappa),
        "peak": finite(fit.law.peak()),
        "peak_95": interval(fit.peak),
        "ceiling_rps": finite(fit.law.ceiling()),
        "r_squared": fit.r_squared,
        "worst_residual": fit.worst_residual,
        "points": fit.points,
    })
}

fn level(level: &Level) -> Value {
    let mut all = figures(&level.figures);
    all.insert("value".to_owned(), json!(level.value));
    all.insert("valid".to_owned(), json!(level.is_valid));
    all.insert("runs_used".to_owned(), json!(level.used.did));
    all.insert("runs".to_owned(), json!(level.used.all));
    all.insert("speed_up".to_owned(), json!(level.speed_up));
    all.insert("efficiency".to_owned(), json!(level.efficiency));
    all.insert("rps_spread".to_owned(), json!(level.spread));
    Value::Object(all)
}

fn point(point: &Point) -> Value {
    let mut all = figures(&point.figures);
    all.insert("at".to_owned(), json!(point.record.at));
    all.insert("trial".to_owned(), json!(point.record.trial));
    all.insert("stage".to_owned(), json!(point.record.stage));
    all.insert("folder".to_owned(), json!(point.record.folder));
    all.insert("valid".to_owned(), json!(point.is_valid()));
    all.insert("reasons".to_owned(), json!(point.reasons));
    all.insert("partial".to_owned(), json!(point.partial));
    all.insert("verdicts".to_owned(), json!(point.verdicts));
    Value::Object(all)
}

fn figures(figures: &PointFigures) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in [
        ("rps", figures.rps),
        ("mean_ms", figures.mean_ms),
        ("p50_ms", figures.p50_ms),
        ("p95_ms", figures.p95_ms),
        ("p99_ms", figures.p99_ms),
        ("in_flight", figures.in_flight),
    ] {
        all.insert(name.to_owned(), json!(value));
    }
    all.insert("count".to_owned(), json!(figures.count));
    all.insert("failed".to_owned(), json!(figures.failed));
    all
}
