//! The tables of a sweep.

use crate::analysis::capacity::search::Judged;
use crate::analysis::capacity::{Capacity, Group, Level, Point};
use crate::measure::summary::samples_needed;
use crate::report::format;
use crate::report::model::{Cell, Column, Note, Table, Text, Tone};
use crate::store::sweep::{Dimension, Stage, SweepRecord};

/// Footnotes, numbered in the order of their first mention.
#[derive(Debug, Default)]
pub struct Footnotes(Vec<String>);

impl Footnotes {
    fn refer(&mut self, text: &str) -> Note {
        let known = self.0.iter().position(|seen| seen == text);
        let index = known.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        Note(index + 1)
    }

    /// The footnote on the law, and on what its N is.
    pub fn law(&mut self, record: &SweepRecord) -> Note {
        let n = match record.axes.first().map(|axis| &axis.dimension) {
            Some(Dimension::Users) => {
                "the number of users, those that think included: with think time, \u{3bb} is the rate \
                 of one user who thinks"
            }
            Some(Dimension::Service(_)) => "the value of the setting, the load being the same",
            _ => "the load",
        };
        self.refer(&format!(
            "X(N) = \u{3bb}N / (1 + \u{3c3}(N\u{2212}1) + \u{3ba}N(N\u{2212}1)) (Gunther 2007). N is {n}. Least squares of the \
             errors relative to the law, \u{3c3} and \u{3ba} at least 0, over the valid runs; intervals by a \
             parametric bootstrap (percentiles of 2000 replicates, seeded), which takes the errors of \
             runs for independent."
        ))
    }

    /// The texts, in order.
    pub fn into_texts(self) -> Vec<String> {
        self.0
    }
}

const MEDIANS: &str = "Medians over the valid runs of a point; failures and requests are sums. Percentiles are of successes, as in the runs' own reports.";
const EFFICIENCY: &str = "Expected is linear growth from the first valid point: its RPS times the growth of the load. Efficiency is RPS over that, speed-up is RPS over that of the first point.";
const SPREAD: &str = "Spread: largest difference between the valid runs' RPS, over their median.";
const IN_FLIGHT: &str = "In flight: successes per second times their mean response time (Little's law), the mean number of requests that the target had.";
const FEW: &str = "From so few values that the slowest alone sets it.";

fn name(record: &SweepRecord) -> &str {
    record.axes.first().map_or("", |axis| axis.dimension.name())
}

/// One row a level.
pub fn levels(record: &SweepRecord, group: &Group, notes: &mut Footnotes) -> Table {
    let searches = !record.until.is_empty();
    let has_trials = group.levels.iter().any(|level| level.used.all > 1);
    let medians = notes.refer(MEDIANS);
    let mut columns = vec![
        Column::figures(name(record)),
        Column::figures("RPS").note(medians),
        Column::figures("Expected").note(notes.refer(EFFICIENCY)).expendable(2),
        Column::figures("Speed-up").note(notes.refer(EFFICIENCY)),
        Column::figures("Efficiency").note(notes.refer(EFFICIENCY)),
        Column::figures("p50 (ms)").note(medians).expendable(3),
        Column::figures("p95 (ms)").note(medians).expendable(1),
        Column::figures("p99 (ms)").note(medians),
        Column::figures("Failures").note(medians),
        Column::figures("In flight").note(notes.refer(IN_FLIGHT)).expendable(5),
    ];
    if has_trials {
        columns.push(Column::figures("Spread").note(notes.refer(SPREAD)).expendable(4));
    }
    if searches {
        columns.push(Column::words("Rules"));
    }
    columns.push(Column::words("Runs"));
    let mut table = Table::new(columns);
    for level in &group.levels {
        table.rows.push(row(level, group, has_trials, searches, notes));
    }
    table
}

fn row(
    level: &Level,
    group: &Group,
    has_trials: bool,
    searches: bool,
    notes: &mut Footnotes,
) -> Vec<Cell> {
    let figures = &level.figures;
    let shown = |value: Option<f64>, form: fn(f64) -> String| {
        Cell::figure(value.map(form), format::NO_DATA)
    };
    let successes = figures.count - figures.failed;
    let mut percentile = |value: Option<f64>, q: f64| match value {
        Some(ms) => {
            let few = successes < samples_needed(q) * u64::from(level.used.did.max(1));
            Cell::Figure(format::millis(ms), few.then(|| notes.refer(FEW)))
        }
        None => Cell::Missing(format::NO_DATA.to_owned()),
    };
    let (p50, p95, p99) = (
        percentile(figures.p50_ms, 0.5),
        percentile(figures.p95_ms, 0.95),
        percentile(figures.p99_ms, 0.99),
    );
    let expected = figures.rps.zip(level.efficiency).filter(|(_, efficiency)| *efficiency > 0.0);
    let failures = match figures.count {
        0 => Cell::Missing(format::NO_DATA.to_owned()),
        count => Cell::Figure(format::share(figures.failed as f64 / count as f64), None),
    };
    let mut cells = vec![
        Cell::Figure(level.value.clone(), None),
        shown(figures.rps, format::rate),
        shown(expected.map(|(rps, efficiency)| rps / efficiency), format::rate),
        shown(level.speed_up, |up| format!("{}x", format::rate(up))),
        shown(level.efficiency, format::share),
        p50,
        p95,
        p99,
        failures,
        shown(figures.in_flight, format::rate),
    ];
    if level.efficiency > Some(1.0) {
        // More than linear is shown as it is.
        cells[4] = shown(level.efficiency, |share| format!("{:.1}%", share * 100.0));
    }
    if has_trials {
        cells.push(shown(level.spread, format::share));
    }
    if searches {
        cells.push(match (level.broke.did, level.broke.all) {
            (_, 0) => Text::emphasis(Tone::Warning, "undecided").into(),
            (0, _) => Text::emphasis(Tone::Good, "held").into(),
            (all, of) if all == of => Text::emphasis(Tone::Bad, "broken").into(),
            (some, of) => Text::emphasis(Tone::Warning, format!("broken in {some} of {of}")).into(),
        });
    }
    let is_first = group.levels.iter().find(|level| level.speed_up.is_some()) == Some(level);
    cells.push(match (level.is_valid, is_first) {
        (false, _) => Text::emphasis(Tone::Bad, "INVALID").into(),
        (true, true) => Text::from(format!("{} valid, the base", runs_of(level))).into(),
        (true, false) => Text::from(format!("{} valid", runs_of(level))).into(),
    });
    cells
}

fn runs_of(level: &Level) -> String {
    match level.used.did == level.used.all {
        true => format::count(u64::from(level.used.did)),
        false => format!("{} of {}", level.used.did, level.used.all),
    }
}

/// Requests per second: the first axis down, the second across.
pub fn matrix(record: &SweepRecord, capacity: &Capacity) -> Table {
    let mut columns = vec![Column::figures(name(record))];
    let heading = |group: &Group| super::heading(record, group).unwrap_or_default();
    columns.extend(capacity.groups.iter().map(|group| Column::figures(heading(group))));
    let mut table = Table::new(columns);
    let values = record.axes.first().map(|axis| axis.values.as_slice()).unwrap_or_default();
    for value in values {
        let mut cells = vec![Cell::Figure(value.clone(), None)];
        cells.extend(capacity.groups.iter().map(|group| {
            let level = group.levels.iter().find(|level| level.value == *value);
            match level {
                None => Cell::Missing("not measured".to_owned()),
                Some(level) if !level.is_valid => Text::emphasis(Tone::Bad, "INVALID").into(),
                Some(level) => Cell::figure(level.figures.rps.map(format::rate), format::NO_DATA),
            }
        }));
        table.rows.push(cells);
    }
    table
}

/// One row a run, in the order in which they were made.
pub fn runs(record: &SweepRecord, capacity: &Capacity) -> Table {
    let mut table = Table::new([
        Column::words("Point"),
        Column::words("Why"),
        Column::figures("RPS"),
        Column::figures("p99 (ms)"),
        Column::words("What it says"),
        Column::words("Folder"),
    ]);
    for point in &capacity.points {
        let place = point.record.at.iter().zip(&record.axes);
        let place: Vec<String> =
            place.map(|(value, axis)| axis.dimension.in_words(value)).collect();
        let why = match point.record.stage {
            Stage::Listed => "listed",
            Stage::Climb => "climb",
            Stage::Bisect => "bisect",
            Stage::Confirm => "confirm",
        };
        table.rows.push(vec![
            Text::from(place.join(", ")).into(),
            Text::from(format!("{why}, run {}", point.record.trial)).into(),
            Cell::figure(point.figures.rps.map(format::rate), format::NO_DATA),
            Cell::figure(point.figures.p99_ms.map(format::millis), format::NO_DATA),
            says(point).into(),
            Text::literal(&point.record.folder).into(),
        ]);
    }
    table
}

fn says(point: &Point) -> Text {
    if point.partial.is_some() {
        return Text::emphasis(Tone::Warning, "cut short").plain(match point.reasons.is_empty() {
            true => String::new(),
            false => format!(": {}", point.reasons.join("; ")),
        });
    }
    let invalid = match point.reasons.is_empty() {
        true => Text::default(),
        false => {
            Text::emphasis(Tone::Bad, "INVALID").plain(format!(": {}", point.reasons.join("; ")))
        }
    };
    if point.verdicts.is_empty() {
        return if point.is_valid() { "valid".into() } else { invalid };
    }
    let measured: Vec<String> =
        point.verdicts.iter().map(|v| format!("{}: {}", v.rule, v.measured)).collect();
    let measured = measured.join("; ");
    match (point.is_valid(), point.judged()) {
        (false, _) => invalid.plain(format!(" ({measured})")),
        (_, Judged::Held) => Text::emphasis(Tone::Good, "held").plain(format!(" ({measured})")),
        (_, Judged::Broke) => Text::emphasis(Tone::Bad, "broken").plain(format!(" ({measured})")),
        (_, Judged::Undecided) => {
            Text::emphasis(Tone::Warning, "undecided").plain(format!(" ({measured})"))
        }
    }
}
