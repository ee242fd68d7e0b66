//! What is said of a gate in a line.

use crate::analysis::compare::Scale;
use crate::analysis::gate::{Call, Decision, Judged};
use crate::report::format;
use crate::report::quantity::change;
use crate::store::gate::{GateEnd, GateRecord};

use super::Told;

/// A change and its interval: `+5.2% (+3.9% to +6.6%)`.
pub fn effect(judged: &Judged) -> Option<String> {
    let quantity = judged.subject.quantity;
    let effect = change(quantity, judged.effect?);
    let interval = judged
        .interval
        .map(|it| format!(" ({} to {})", change(quantity, it.low), change(quantity, it.high)));
    Some(effect + &interval.unwrap_or_default())
}

/// The line of a round: how many there are, and what is known where there was a look.
pub fn progress(rounds: u32, most: u32, judged: Option<&[Judged]>) -> String {
    let mut line = format!("  round {rounds} of at most {most}");
    if let Some(judged) = judged {
        let open = judged.iter().filter(|it| !it.call.is_decided()).count();
        let worse: Vec<&Judged> = judged.iter().filter(|it| it.call == Call::Regressed).collect();
        let said: Vec<String> = match (worse.is_empty(), open) {
            (false, _) => worse.iter().map(|it| clause(it)).collect(),
            (true, 0) => vec!["everything is decided".to_owned()],
            (true, open) => {
                vec![format!("{} of {} figures decided", judged.len() - open, judged.len())]
            }
        };
        line += &format!(": {}", said.join("; "));
    }
    line
}

/// `Response time p95 regressed: +5.2% (+3.9% to +6.6%)`.
pub fn clause(judged: &Judged) -> String {
    let effect = effect(judged).map_or(String::new(), |effect| format!(": {effect}"));
    format!("{} {}{effect}", judged.subject.label(), judged.call.name())
}

/// The verdict in one sentence.
pub fn verdict(told: &Told<'_>) -> String {
    let of = |call: Call| told.judged.iter().filter(move |it| it.call == call);
    let worse: Vec<String> = of(Call::Regressed).map(clause).collect();
    let broken = told.broken_rules();
    let said = [worse, broken].concat();
    match told.decision {
        Decision::Failed => match &told.record.end {
            Some(GateEnd::Gone { round, .. }) if said.is_empty() => {
                format!("the head ended by itself in round {round}")
            }
            _ => said.join("; "),
        },
        Decision::Passed => {
            let better: Vec<String> = of(Call::Improved).map(clause).collect();
            let rest = match better.is_empty() {
                true => String::new(),
                false => format!("; {}", better.join("; ")),
            };
            format!("no figure is worse by its margin{rest}")
        }
        Decision::Inconclusive => {
            let why = ended_early(told.record).unwrap_or_else(|| {
                let open: Vec<String> =
                    of(Call::Inconclusive).map(|it| it.subject.label()).collect();
                match open.is_empty() {
                    true => "nothing could be judged".to_owned(),
                    false => format!("not decided: {}", open.join(", ")),
                }
            });
            format!("neither worse nor fine can be said; {why}")
        }
    }
}

/// Why the gate ended before it was to, where it did.
pub fn ended_early(record: &GateRecord) -> Option<String> {
    match &record.end {
        Some(GateEnd::Decided | GateEnd::AllRounds | GateEnd::TimeOver) => None,
        Some(GateEnd::Gone { is_head, round, said }) => {
            let side = if *is_head { "head" } else { "base" };
            Some(format!("the {side} ended by itself in round {round}: {said}"))
        }
        Some(GateEnd::Interrupted | GateEnd::Terminated) => Some("it was interrupted".to_owned()),
        Some(GateEnd::Failed(why)) => Some(why.clone()),
        None => Some("it was killed".to_owned()),
    }
}

/// The smallest worsening that would have been found: `4.1%`, in points of failures.
pub fn detectable(judged: &Judged) -> Option<String> {
    let found = judged.detectable?;
    Some(match judged.subject.quantity.scale() {
        Scale::Points => format!("{:.2} pt", found * 100.0),
        Scale::Relative => format!("{:.1}%", found * 100.0),
    })
}

/// How the rate of a gate came about.
pub fn rate(record: &GateRecord) -> String {
    let rate = format!("{} iterations/s at each version", format::amount(record.rate.per_second));
    match record.rate.of_alone {
        None => rate,
        Some(alone) => {
            let share = record.rate.per_second / alone * 100.0;
            let alone = format::amount(alone);
            format!("{rate}: {share:.0}% of what the base did alone in closed load ({alone}/s)")
        }
    }
}
