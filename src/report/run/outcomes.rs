//! How requests ended, and what the failures looked like.

use std::collections::BTreeMap;

use crate::measure::interval::{ErrorKey, ErrorRecord};
use crate::measure::sample::Outcome;
use crate::report::format;
use crate::report::inert;
use crate::report::model::{Cell, Column, Section, Table, Text};

use super::Source;
use super::notes::{self, Notes};

/// Characters of an example that are shown.
const LONGEST_EXAMPLE: usize = 160;

type Errors = BTreeMap<ErrorKey, ErrorRecord>;

/// How often each outcome was seen, in the measured part and in the whole run.
pub fn outcomes(source: &Source<'_>, notes: &mut Notes) -> Section {
    let errors = source.run.errors();
    let mut table = Table::new([
        Column::words("Outcome"),
        Column::figures("Measured part"),
        Column::figures("Whole run").note(notes.refer(notes::LEDGER)),
        Column::words("Meaning").expendable(1),
    ]);
    if !errors.is_empty() {
        table.columns.push(Column::words("Example").note(notes.refer(notes::EXAMPLES)));
    }
    let ledger = source.run.ledger();
    let measured = &source.summary().total.outcomes;
    for outcome in Outcome::ALL {
        let whole = match outcome {
            Outcome::Dropped => ledger.dropped,
            other => ledger.ended_in(other),
        };
        let part = measured.get(&outcome).copied().unwrap_or(0);
        if whole == 0 && part == 0 {
            continue;
        }
        let mut row = vec![
            outcome.name().into(),
            Cell::Figure(format::count(part), None),
            Cell::Figure(format::count(whole), None),
            outcome.meaning().into(),
        ];
        if !errors.is_empty() {
            row.push(most_frequent_example(&errors, outcome).into());
        }
        table.rows.push(row);
    }
    let section = Section::new("Outcomes").brief(!errors.is_empty());
    match table.rows.is_empty() {
        true => section.with("No request ended."),
        false => section.with(table),
    }
}

fn most_frequent_example(errors: &Errors, outcome: Outcome) -> Text {
    let alike = errors.iter().filter(|(key, _)| key.outcome == outcome);
    let most = alike.max_by_key(|(_, record)| record.count);
    most.map_or_else(Text::default, |(_, record)| examples(&record.examples, 1))
}

/// The failures of the whole run by step, outcome and status, with examples.
pub fn errors(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Failures").nested();
    let errors = source.run.errors();
    if errors.is_empty() {
        return section.with("No request failed.");
    }
    let moment = notes.refer(notes::MOMENT);
    let mut table = Table::new([
        Column::words("Step"),
        Column::words("Outcome"),
        Column::figures("Status"),
        Column::figures("Whole run"),
        Column::figures("First").note(moment),
        Column::figures("Last").note(moment),
        Column::words("Examples").note(notes.refer(notes::EXAMPLES)),
    ]);
    for (key, record) in &errors {
        let step = source.plan().steps.get(usize::from(key.step.0));
        let status = key.status.map(|status| status.to_string());
        table.rows.push(vec![
            step.map_or("not in the scenario", |step| &step.name).into(),
            key.outcome.name().into(),
            Cell::figure(status, "none"),
            Cell::Figure(format::count(record.count), None),
            Cell::Figure(format!("{:.1}", record.first.as_secs_f64()), None),
            Cell::Figure(format!("{:.1}", record.last.as_secs_f64()), None),
            examples(&record.examples, usize::MAX).into(),
        ]);
    }
    section.with(table)
}

/// The first `most` examples, each cut where it is long.
pub(super) fn examples(examples: &[String], most: usize) -> Text {
    let mut text = Text::default();
    let told = examples.iter().filter(|example| !example.is_empty()).take(most);
    for (index, example) in told.enumerate() {
        let separator = if index > 0 { " \u{b7} " } else { "" };
        text = text.plain(separator).code(cut(example));
    }
    text
}

/// Cut after it was made visible, for one character may become many.
fn cut(example: &str) -> String {
    let shown = inert::visible(example);
    match shown.char_indices().nth(LONGEST_EXAMPLE) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}
