//! A gate's figures for machines: `summary` of `gate.json`, and `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `verdict`, `says` | `passed`, `failed` or `inconclusive`; the same in a sentence |
//! | `scenario`, `base`, `head` | what was compared, in words |
//! | `rounds`, `most_rounds`, `rounds_set_aside` | made and valid; at most, in the time there was; no valid runs |
//! | `seconds` | time that the rounds took |
//! | `rate_per_s` | iterations that started each second at each version |
//! | `figures` | see below |
//! | `not_judged` | `figure` and `why`: decided before the first round |
//! | `rules` | `rule`, `measured` (with its unit), `ruling`: `passed`, `failed`, `unknown` |
//! | `end` | `decided`, `all_rounds`, `time_over`, or what cut it short; `null` where it was killed |
//! | `plan` | of `--plan`, in place of `verdict` and `says`; see below |
//!
//! Figures: `name`, `step` (`null` for all together), `unit`, in which `base` and `head` are (medians of
//! rounds; of failures, of all requests), `scale`, `effect`, `interval_90` (`low`, `high`; `high` is
//! `null` where nothing bounds it), `margin`, `floor`, `detectable`, `verdict` (`regressed`, `improved`,
//! `unchanged`, `no_worse`, `inconclusive`), `reason`, `rounds`. `effect` and what follows it up to
//! `detectable` are shares: of the base where `scale` is `relative` (0.05 is 5% more), differences of
//! two shares where it is `points` (0.01 is one percentage point). What is not known is `null`.
//!
//! Plan: for each figure `subject`, `deviation` (standard deviation of a round, a share of the base) and
//! `rounds`: pairs of a worsening (a share of the base) and the number of rounds after which it is found
//! in four of five gates, `null` where it is out of reach.

use serde_json::{Value, json};

use crate::analysis::gate::Judged;
use crate::report::quantity::unit;

use super::{Told, words};

/// The summary of a gate.
pub fn summary(told: &Told<'_>) -> Value {
    let record = told.record;
    let figure = |judged: &Judged| {
        json!({
            "name": judged.subject.name(),
            "step": judged.subject.step,
            "unit": unit(judged.subject.quantity),
            "base": judged.base,
            "head": judged.head,
            "scale": judged.subject.quantity.scale(),
            "effect": judged.effect,
            "interval_90": judged.interval,
            "margin": judged.margin,
            "floor": judged.floor,
            "verdict": judged.call,
            "reason": judged.reason,
            "detectable": judged.detectable,
            "rounds": judged.rounds,
        })
    };
    let left_out = |(figure, why): &(String, String)| json!({ "figure": figure, "why": why });
    let mut summary = json!({
        "scenario": record.scenario,
        "base": record.sides[0],
        "head": record.sides[1],
        "rounds": told.rounds.len(),
        "most_rounds": record.most_rounds,
        "rounds_set_aside": record.set_aside.len(),
        "seconds": record.took.as_secs_f64(),
        "rate_per_s": record.rate.per_second,
        "figures": told.judged.iter().map(figure).collect::<Vec<_>>(),
        "not_judged": record.left_out.iter().map(left_out).collect::<Vec<_>>(),
        "rules": told.rules,
        "end": record.end,
    });
    match told.is_plan() {
        true => summary["plan"] = json!(told.reach),
        false => {
            summary["verdict"] = json!(told.decision);
            summary["says"] = words::verdict(told).into();
        }
    }
    summary
}
