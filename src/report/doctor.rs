//! What a machine lets gander measure, as a report and for machines.
//!
//! The JSON form: `schema_version`; `can_measure`; `findings`, each with `check`, `state` (`good`,
//! `limits`, `missing`, `prevents`), `found`, `means` and `mend` (a command, or `null`); `machine`, the
//! facts behind them, where `null` stands for what could not be found out.

use serde_json::{Value, json};

use crate::analysis::machine::{Finding, State};
use crate::measure::machine::Machine;

use super::format;
use super::model::{Block, Cell, Column, Report, Section, Table, Text, Tone};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of `findings`.
pub fn build(findings: &[Finding]) -> Report {
    let columns = [Column::words("Check"), Column::words("State"), Column::words("Found")];
    let mut table = Table::new(columns);
    table.rows.extend(findings.iter().map(|finding| {
        let state = Text::emphasis(tone(finding.state), finding.state.words());
        let found = Text::from(finding.found.as_str());
        vec![Cell::from(finding.check), Cell::Text(state), Cell::Text(found)]
    }));
    let sections = [
        Section::new("This machine").with(table),
        means("What limits you, and what mends it", findings, |state| state != State::Good),
        means("What you can rely on", findings, |state| state == State::Good),
    ];
    let sections = sections.into_iter().map(|section| section.brief(true));
    let sections = sections.filter(|section| !section.blocks.is_empty()).collect();
    Report {
        title: "gander doctor".to_owned(),
        subtitle: vec![verdict(findings)],
        sections,
        ..Report::default()
    }
}

/// What the findings of some states mean for gander's figures, and the commands that mend them.
fn means(title: &str, findings: &[Finding], is_of: fn(State) -> bool) -> Section {
    let of = findings.iter().filter(|finding| is_of(finding.state)).map(|finding| {
        let means = Text::emphasis(tone(finding.state), finding.check)
            .plain(format!(": {}", finding.means));
        match &finding.mend {
            Some(mend) => means.plain(" \u{2192} ").code(mend.as_str()),
            None => means,
        }
    });
    let items: Vec<Text> = of.collect();
    match items.is_empty() {
        true => Section::new(title),
        false => Section::new(title).with(Block::List(items)),
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
