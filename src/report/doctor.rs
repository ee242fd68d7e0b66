//! What a machine lets gander measure, as a report and for machines.
//!
//! The JSON form: `schema_version`; `can_measure`; `findings`, each with `check`, `state` (`good`,
//! `limits`, `missing`, `prevents`), `found`, `means` and `mend` (a command, or `null`); `machine`, the
//! facts behind them, where `null` stands for what could not be found out.

use serde_json::{Value, json};

use crate::analysis::machine::{Finding, State};
use crate::measure::machine::Machine;

use super::format;
use super::model::{Cell, Column, Report, Section, Table, Text, Tone};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of `findings`.
pub fn build(findings: &[Finding]) -> Report {
    let columns = [
        Column::words("Check"),
        Column::words("State"),
        Column::words("Found"),
        Column::words("What it means").expendable(1),
    ];
    let mut table = Table::new(columns);
    table.rows.extend(findings.iter().map(|finding| {
        let state = Text::emphasis(tone(finding.state), finding.state.words());
        let found = Text::from(finding.found.as_str());
        vec![
            Cell::from(finding.check),
            Cell::Text(state),
            Cell::Text(found),
            Cell::Text(Text::from(finding.means.as_str())),
        ]
    }));
    let mends = findings.iter().filter_map(|finding| {
        Some((finding.check.to_owned(), Text::literal(finding.mend.as_deref()?)))
    });
    let mends: Vec<_> = mends.collect();
    let mut sections = vec![Section::new("This machine").brief(true).with(table)];
    if !mends.is_empty() {
        let facts = super::model::Block::Facts(mends);
        sections.push(Section::new("What mends it").brief(true).with(facts));
    }
    Report {
        title: "gander doctor".to_owned(),
        subtitle: vec![verdict(findings)],
        sections,
        ..Report::default()
    }
}

fn tone(state: State) -> Tone {
    match state {
        State::Good => Tone::Good,
        State::Limits | State::Missing => Tone::Warning,
        State::Prevents => Tone::Bad,
    }
}

fn verdict(findings: &[Finding]) -> Text {
    let number = |state| findings.iter().filter(|finding| finding.state == state).count() as u64;
    let (prevents, limits) = (number(State::Prevents), number(State::Limits));
    if prevents > 0 {
        let checks = format::counted(prevents, "check", "checks");
        return Text::emphasis(Tone::Bad, "gander cannot measure here")
            .plain(format!(": {checks} must be mended first"));
    }
    let rest = match (limits, number(State::Missing)) {
        (0, 0) => ", and nothing limits it".to_owned(),
        (limits, missing) => format!(
            "; {} it, and {} missing",
            match limits {
                1 => "1 thing limits".to_owned(),
                n => format!("{n} things limit"),
            },
            match missing {
                1 => "1 is".to_owned(),
                n => format!("{n} are"),
            }
        ),
    };
    Text::emphasis(Tone::Good, "gander can measure here").plain(rest)
}

/// `findings` and the facts behind them, for machines.
pub fn json(machine: &Machine, findings: &[Finding]) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "can_measure": findings.iter().all(|finding| finding.state != State::Prevents),
        "findings": findings,
        "machine": machine,
    })
}
