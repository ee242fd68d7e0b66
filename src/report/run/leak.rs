//! Whether the target leaks.

use crate::analysis::leak::{Growth, Leakage, Resource, ResourceVerdict, judge};
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};

use super::Source;
use super::notes::{self, Notes};

/// Shorter runs say nothing about leaks but gross ones, and are not made to.
const WORTH_SAYING_SECONDS: f64 = 300.0;

/// A verdict on each resource: of long runs, and of all that grow grossly; of soaks [`of_soak`] says it.
/// Nothing is said of a target that was not measured: the resources say why.
pub fn leaks(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Leaks").brief(true);
    if source.assessment.soak.is_some() {
        return section;
    }
    let verdicts = judge(source.run);
    let is_leaking = verdicts.iter().any(|found| found.verdict == Leakage::Leak);
    let is_long = source.window().length().as_secs_f64() >= WORTH_SAYING_SECONDS;
    let is_measured = verdicts.iter().any(|found| found.verdict != Leakage::NotMeasured);
    match is_measured && (is_leaking || is_long) {
        true => section.with(table(&verdicts, notes)),
        false => section,
    }
}

/// A verdict on each resource of the target of a soak; empty of other runs.
pub fn of_soak(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Leaks").brief(true);
    let Some(soak) = &source.assessment.soak else { return section };
    let section = section.with(table(&soak.resources, notes));
    match soak.resources_since {
        Some(since) => section.with(Text::from(format!(
            "Judged from {since:.0} s on, where the target was started again: what it used before was \
             given back with its process."
        ))),
        None => section,
    }
}

/// What leaks and what was not given back, for the head of the report of a soak.
pub fn in_short(source: &Source<'_>) -> Vec<Text> {
    let Some(soak) = &source.assessment.soak else { return Vec::new() };
    let leaking = soak.resources.iter().filter(|found| found.verdict == Leakage::Leak);
    let leaking: Vec<String> = leaking.map(|found| found.resource.name().to_lowercase()).collect();
    let kept: Vec<String> = soak
        .returned
        .iter()
        .filter(|one| one.is_back() == Some(false))
        .filter_map(|one| {
            let more = one.after?.saturating_sub(one.before?);
            Some(format!("{} {more} more", one.resource.name().to_lowercase()))
        })
        .collect();
    let mut lines = Vec::new();
    if !leaking.is_empty() {
        lines.push(Text::emphasis(Tone::Bad, "LEAK").plain(format!(": {}", leaking.join(", "))));
    }
    if !kept.is_empty() {
        let text = Text::emphasis(Tone::Warning, "Not given back");
        lines.push(text.plain(format!(" after the load: {}", kept.join(", "))));
    }
    lines
}

fn table(verdicts: &[ResourceVerdict], notes: &mut Notes) -> Table {
    let mut table = Table::new([
        Column::words("Target's"),
        Column::words("Verdict").note(notes.refer(notes::LEAKS)),
        Column::figures("Growth an hour (95%)"),
        Column::figures("For 1000 rows").note(notes.refer(notes::PER_1000_ROWS)).expendable(2),
        Column::figures("Grew by").expendable(1),
        Column::figures("Would be seen, an hour")
            .note(notes.refer(notes::DETECTABLE))
            .expendable(3),
        Column::words("Why"),
    ]);
    for found in verdicts {
        let amount = |value: f64| amount(found.resource, value);
        let of_growth = |figure: &dyn Fn(&Growth) -> String| {
            Cell::figure(found.growth.as_ref().map(figure), format::NOT_MEASURED)
        };
        table.rows.push(vec![
            found.resource.name().into(),
            verdict(found.verdict).into(),
            of_growth(&|growth| {
                let [low, high] = [growth.interval.low, growth.interval.high];
                let [slope, low, high] = [growth.slope, low, high].map(|s| amount(s * 3600.0));
                format!("{slope} ({low} to {high})")
            }),
            Cell::figure(found.per_1000_rows.map(amount), format::NO_DATA),
            of_growth(&|growth| amount(growth.grown)),
            of_growth(&|growth| amount(growth.detectable * 3600.0)),
            found.why.as_str().into(),
        ]);
    }
    table
}

fn verdict(leakage: Leakage) -> Text {
    match leakage {
        Leakage::Leak => Text::emphasis(Tone::Bad, "LEAK"),
        Leakage::NoLeak => Text::emphasis(Tone::Good, "no leak"),
        Leakage::TooEarly => Text::emphasis(Tone::Warning, "too early to say"),
        Leakage::NotMeasured => Text::emphasis(Tone::Warning, format::NOT_MEASURED),
    }
}

/// Bytes or counts, with their sign.
fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Memory => format::growth(value as i64),
        Resource::OpenFiles | Resource::Sockets | Resource::Threads => {
            let sign = if value < 0.0 { "\u{2212}" } else { "+" };
            format!("{sign}{}", format::amount(value.abs()))
        }
    }
}
