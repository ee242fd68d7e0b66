//! What a gate looked at, one by one, as CI systems count it: each figure, each rule, and the gate
//! itself where that is what went wrong.

use crate::analysis::gate::{Decision, Judged};
use crate::analysis::{Ruling, Verdict};

use super::{Told, words};

/// The name of the case that stands for the gate itself.
const ITSELF: &str = "gate";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The figure as reports name it, the rule as written, or `gate`.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The same in a sentence.
    pub says: String,
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Worse, or a rule does not hold.
    Failed,
    /// Neither can be said: never a pass.
    Unclear,
    /// Not judged, by what was decided before the first round.
    Skipped,
}

/// All cases. Some fail exactly where the gate failed, and all pass or are skipped exactly where it
/// passed.
pub fn cases(told: &Told<'_>) -> Vec<Case> {
    let figures = told.judged.iter().map(figure);
    let rules = told.rules.iter().map(rule);
    let left_out = told.record.left_out.iter().map(|(figure, why)| Case {
        name: figure.clone(),
        outcome: Outcome::Skipped,
        says: format!("not judged: {why}"),
    });
    let mut cases: Vec<Case> = figures.chain(rules).chain(left_out).collect();
    cases.extend(itself(told, &cases));
    cases
}

fn figure(judged: &Judged) -> Case {
    let outcome = match (judged.call.is_decided(), judged.call.passes()) {
        (false, _) => Outcome::Unclear,
        (true, true) => Outcome::Passed,
        (true, false) => Outcome::Failed,
    };
    let reason = judged.reason.as_ref().map_or(String::new(), |reason| format!("; {reason}"));
    let says = words::clause(judged) + &reason;
    Case { name: judged.subject.label(), outcome, says }
}

fn rule(rule: &Verdict) -> Case {
    let (outcome, is) = match rule.ruling {
        Ruling::Passed => (Outcome::Passed, "holds"),
        Ruling::Failed => (Outcome::Failed, "does not hold"),
        Ruling::Unknown => (Outcome::Unclear, "cannot be judged"),
    };
    let says = format!("{} {is}: {}", rule.rule, rule.measured);
    Case { name: rule.rule.clone(), outcome, says }
}

/// The gate itself, where it was cut short, or where the other cases do not say how it ended.
fn itself(told: &Told<'_>, others: &[Case]) -> Option<Case> {
    let wanted = match told.decision {
        Decision::Passed => Outcome::Passed,
        Decision::Failed => Outcome::Failed,
        Decision::Inconclusive => Outcome::Unclear,
    };
    let is_said = wanted == Outcome::Passed || others.iter().any(|case| case.outcome == wanted);
    let early = words::ended_early(told.record);
    if is_said && early.is_none() && !told.judged.is_empty() {
        return None;
    }
    let outcome = match is_said && wanted == Outcome::Failed {
        // The failure is said by another case; being cut short is none.
        true => Outcome::Unclear,
        false => wanted,
    };
    let says = early.unwrap_or_else(|| words::verdict(told));
    Some(Case { name: ITSELF.to_owned(), outcome, says })
}
