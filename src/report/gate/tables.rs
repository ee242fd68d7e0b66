//! The tables of a gate.

use crate::analysis::gate::{Call, Judged, Subject};
use crate::analysis::{Ruling, Verdict};
use crate::report::format;
use crate::report::model::{Cell, Column, Note, Table, Text, Tone};
use crate::report::quantity::{change, in_unit, unsigned};

use super::{Told, words};

/// How a word looks.
fn tone(call: Call) -> Tone {
    match call {
        Call::Regressed => Tone::Bad,
        Call::Improved => Tone::Good,
        Call::Unchanged | Call::NoWorse => Tone::Neutral,
        Call::Inconclusive => Tone::Warning,
    }
}

/// The figures.
pub(super) fn figures(judged: &[Judged], [interval, verdict, detectable]: [Note; 3]) -> Table {
    let mut table = Table::new([
        Column::words("Figure"),
        Column::figures("Base"),
        Column::figures("Head"),
        Column::figures("Change"),
        Column::figures("90% interval").note(interval),
        Column::figures("Margin").expendable(1),
        Column::words("Verdict").note(verdict),
        Column::figures("Would have seen").note(detectable).expendable(2),
    ]);
    table.rows = judged.iter().map(row).collect();
    table
}

fn row(judged: &Judged) -> Vec<Cell> {
    let quantity = judged.subject.quantity;
    let [base, head] = sides(judged);
    let interval = judged
        .interval
        .map(|it| format!("{} to {}", change(quantity, it.low), change(quantity, it.high)));
    vec![
        Cell::Text(judged.subject.label().into()),
        base,
        head,
        Cell::figure(judged.effect.map(|effect| change(quantity, effect)), "unknown"),
        Cell::figure(interval, "none"),
        Cell::Figure(unsigned(quantity, judged.margin), None),
        verdict(judged).into(),
        Cell::figure(words::detectable(judged), "unknown"),
    ]
}

/// The figure of base and head.
pub(super) fn sides(judged: &Judged) -> [Cell; 2] {
    let shown = |value: f64| in_unit(judged.subject.quantity, value);
    [judged.base, judged.head].map(|value| Cell::figure(value.map(shown), format::NOT_MEASURED))
}

/// The word, and the reason where there is one.
pub(super) fn verdict(judged: &Judged) -> Text {
    let word = match judged.call {
        Call::Unchanged | Call::NoWorse => Text::from(judged.call.name()),
        call => Text::emphasis(tone(call), call.name()),
    };
    match &judged.reason {
        Some(reason) => word.plain(format!(": {reason}")),
        None => word,
    }
}

/// The rules of the scenario and of the command line.
pub(super) fn rules(rules: &[Verdict]) -> Table {
    let mut table =
        Table::new([Column::words("Rule"), Column::words("Head"), Column::words("Verdict")]);
    for rule in rules {
        let verdict = match rule.ruling {
            Ruling::Passed => Text::emphasis(Tone::Good, "passed"),
            Ruling::Failed => Text::emphasis(Tone::Bad, "failed"),
            Ruling::Unknown => Text::emphasis(Tone::Warning, "not measured"),
        };
        table.rows.push(vec![
            Text::literal(&rule.rule).into(),
            rule.measured.as_str().into(),
            verdict.into(),
        ]);
    }
    table
}

/// What was done, and how quiet the machine was.
pub(super) fn method(told: &Told<'_>) -> Vec<(&'static str, String)> {
    let record = told.record;
    let most = record.most_rounds.map_or(String::new(), |most| format!(" of at most {most}"));
    let restarts = match record.restarts {
        true => "both versions started anew for each round, in an order that is drawn",
        false => {
            "the versions run already and are not started anew: what is peculiar to one process, such \
             as its place in memory, counts as a change"
        }
    };
    let pressures: Vec<f64> = record.rounds.iter().filter_map(|round| round.pressure).collect();
    let pressure = match pressures.iter().copied().reduce(f64::max) {
        None => "not measured: this system does not tell it".to_owned(),
        Some(most) => {
            let mean = pressures.iter().sum::<f64>() / pressures.len() as f64;
            format!("{} of the time on average, {} at most", percent(mean), percent(most))
        }
    };
    let mut facts = vec![
        ("Load", words::rate(record)),
        (
            "Round",
            format!(
                "{} measured after {} of warm-up; the same inputs at the same moments for both",
                format::duration(record.slice),
                format::duration(record.warm_up)
            ),
        ),
        ("Rounds", format!("{}{most}, in {}", told.rounds.len(), format::duration(record.took))),
        ("Versions", restarts.to_owned()),
        ("Waiting for a processor", pressure),
    ];
    if !record.set_aside.is_empty() {
        let why = record.set_aside.iter().flat_map(|round| &round.reasons).next();
        facts.push((
            "Rounds set aside",
            format!(
                "{}, no valid runs: {}",
                record.set_aside.len(),
                why.map_or("no reason is known", String::as_str)
            ),
        ));
    }
    if let Some(why) = words::ended_early(record) {
        facts.push(("Ended early", why));
    }
    facts
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// The change of each figure in each round.
pub(super) fn rounds(told: &Told<'_>) -> Table {
    let subjects: Vec<&Subject> = told
        .rounds
        .first()
        .into_iter()
        .flat_map(|round| &round.values)
        .map(|it| &it.subject)
        .collect();
    let mut table = Table::new(
        std::iter::once(Column::figures("Round"))
            .chain(subjects.iter().map(|subject| Column::figures(subject.label()))),
    );
    table.caption = Some("Change from base to head in each round".into());
    for round in &told.rounds {
        let cell = |subject: &&Subject| {
            let value = round.value(subject);
            let amount = value.and_then(|value| value.change());
            Cell::figure(amount.map(|amount| change(subject.quantity, amount)), "\u{2013}")
        };
        let number = Cell::Figure(round.number.to_string(), None);
        table.rows.push(std::iter::once(number).chain(subjects.iter().map(cell)).collect());
    }
    table
}

/// How long a gate must run for each size of a worsening.
pub(super) fn reach(told: &Told<'_>) -> Table {
    let record = told.record;
    let one = record.took.as_secs_f64() / told.rounds.len().max(1) as f64;
    let mut table = Table::new(
        [Column::words("Figure"), Column::figures("Noise of a round")].into_iter().chain(
            record
                .effects
                .iter()
                .map(|effect| Column::figures(format!("+{}", unsigned_share(*effect)))),
        ),
    );
    table.caption = Some(
        "Rounds, and time, after which a worsening of this size is found in four of five gates"
            .into(),
    );
    for figure in &told.reach {
        let needed = figure.rounds.iter().map(|(_, rounds)| {
            let time = rounds.map(|rounds| {
                let seconds = std::time::Duration::from_secs_f64(f64::from(rounds) * one);
                format!("{rounds} ({})", format::duration(seconds))
            });
            Cell::figure(time, "out of reach")
        });
        let first: [Cell; 2] = [
            Cell::Text(figure.subject.label().into()),
            Cell::Figure(format!("\u{b1}{}", unsigned_share(figure.deviation)), None),
        ];
        table.rows.push(first.into_iter().chain(needed).collect());
    }
    table
}

fn unsigned_share(share: f64) -> String {
    format!("{}%", format::amount(share * 100.0))
}
