//! A gate's figures, for machines.

use serde_json::{Value, json};

use crate::analysis::gate::Judged;

use super::{Told, words};

/// The summary of a gate.
pub fn summary(told: &Told<'_>) -> Value {
    let record = told.record;
    let figure = |judged: &Judged| {
        json!({
            "name": judged.subject.name(),
            "step": judged.subject.step,
            "base": judged.base,
            "head": judged.head,
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
        "not_judged": record.left_out.iter().map(|(figure, why)| json!({ "figure": figure, "why": why })).collect::<Vec<_>>(),
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
