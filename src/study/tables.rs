//! Tables that a study's sections are made of.

use std::collections::BTreeMap;

use super::figures::Measured;
use super::model::{Pair, Study};
use super::report::Findings;
use crate::analysis::compare::{Comparison, Margins, Rules, compare};
use crate::measure::distribution::Damaged;
use crate::measure::summary::samples_needed;
use crate::report::compare::{interval, notes, table};
use crate::report::format;
use crate::report::model::{Block, Cell, Column, Note, Section, Table, Text, Tone};
use crate::report::run::few_samples;

/// Slices of both sides from which on the n-th of both are taken as a pair: fewer pairs say less than
/// their slices do one by one.
const FEWEST_PAIRS: usize = 6;

/// How figures and intervals are made: the notes of a study's report.
pub fn footnotes() -> Vec<String> {
    let figures = "Figures of a run are those of its slices together. Percentiles are of successes: the smallest value with at least that share of the values at or below it, to three digits.";
    let drawn = "Of runs with three slices or more, slices were drawn as well; from six on, the n-th of both runs as a pair.";
    let [interval, verdict] = notes(drawn);
    vec![figures.to_owned(), interval, verdict, few_samples()]
}

/// The note on percentiles from too few values.
const FEW: Note = Note(4);
/// The note on figures of runs.
const FIGURES: Note = Note(1);
/// The notes that a comparison refers to.
const COMPARISON: [Note; 2] = [Note(2), Note(3)];

/// Runs side by side.
pub fn runs(names: &[String], findings: &Findings) -> Table {
    let mut table = Table::new([
        Column::words("Run"),
        Column::figures("Slices").expendable(1),
        Column::figures("Requests"),
        Column::figures("RPS"),
        Column::figures("Mean ms").note(FIGURES),
        Column::figures("p50 ms"),
        Column::figures("p95 ms"),
        Column::figures("p99 ms"),
        Column::figures("Fail %"),
        Column::figures("CPU, % of one"),
    ]);
    table.rows.extend(names.iter().map(|name| row(name, findings)));
    table
}

fn row(name: &str, findings: &Findings) -> Vec<Cell> {
    let figure = |figure: &str, write: fn(f64) -> String| {
        let value = findings.figure(name, figure).map(write);
        Cell::figure(value, format::NOT_MEASURED)
    };
    let successes = findings.figure(name, "ok").unwrap_or(0.0) as u64;
    let percentile = |of: &str, quantile: f64| match figure(of, format::millis) {
        Cell::Figure(text, _) if successes < samples_needed(quantile) => {
            Cell::Figure(text, Some(FEW))
        }
        cell => cell,
    };
    vec![
        findings.about(name).into(),
        figure("slices", |slices| format::count(slices as u64)),
        figure("count", |count| format::count(count as u64)),
        figure("rps", format::rate),
        figure("mean", format::millis),
        percentile("p50", 0.50),
        percentile("p95", 0.95),
        percentile("p99", 0.99),
        figure("failure_share", format::share),
        figure("cpu", format::cpu),
    ]
}

fn compared([was, is]: [&Measured; 2], seed: u64) -> Result<Comparison, Damaged> {
    let paired = was.group.runs.len() >= FEWEST_PAIRS;
    compare(&was.group, &is.group, &Rules { margins: Margins::default(), paired, seed })
}

/// The 95% interval of each change of each pair that a section compares, in words.
pub fn intervals(
    study: &Study,
    measured: &BTreeMap<String, Measured>,
    seed: u64,
) -> BTreeMap<[String; 3], String> {
    let pairs = study.sections.iter().flat_map(|section| &section.compare);
    let figures = pairs.flat_map(|pair| {
        let sides = measured.get(&pair.before).zip(measured.get(&pair.after));
        let compared = sides.and_then(|(was, is)| compared([was, is], seed).ok());
        let whole = compared.and_then(|compared| compared.parts.into_iter().next());
        whole.into_iter().flat_map(|part| part.figures).filter_map(move |figure| {
            let key = [pair.before.clone(), pair.after.clone(), figure.quantity.name()];
            Some((key, interval(&figure)?))
        })
    });
    figures.collect()
}

/// Two runs, and how each figure changed; why not, where they cannot be compared.
pub fn pair(pair: &Pair, findings: &Findings) -> Block {
    let (before, after) = (findings.about(&pair.before), findings.about(&pair.after));
    let sides = [&pair.before, &pair.after].map(|name| findings.measured.get(name));
    let [Some(was), Some(is)] = sides else {
        return Text::from(format!("{before} against {after}: not both were measured.")).into();
    };
    let compared = match compared([was, is], findings.record.seed) {
        Ok(compared) => compared,
        Err(damaged) => return Text::from(format!("Not compared: {damaged}.")).into(),
    };
    let Some(whole) = compared.parts.first() else {
        return Text::from(format!("{before} against {after}: nothing to compare.")).into();
    };
    let is_valid = was.validity.is_valid() && is.validity.is_valid();
    let mut table = table(whole, (!is_valid).then_some("INVALID RUN"), COMPARISON);
    let what = pair.what.as_ref().map_or(String::new(), |what| format!("Compared: {what}. "));
    let made = |of: &Measured| {
        let slices = of.group.runs.len() as u64;
        let requests = of.group.summary.total.count();
        format!(
            "{} in {}",
            format::counted(requests, "request", "requests"),
            format::counted(slices, "slice", "slices")
        )
    };
    let sides =
        format!("{what}Before is {before} ({}), after is {after} ({}).", made(was), made(is));
    table.caption = Some(match table.caption.take() {
        Some(flag) => flag.plain(format!(". {sides}")),
        None => Text::from(sides),
    });
    table.into()
}

/// Slices that count, and how many were made again.
fn made(slices: usize, again: usize) -> String {
    match again {
        0 => slices.to_string(),
        _ => format!("{slices} ({again} made again)"),
    }
}

/// The runs that were made, by which command, and how far each can be trusted.
pub fn runs_made(findings: &Findings) -> Section {
    let mut table = Table::new([
        Column::words("Run"),
        Column::words("Command"),
        Column::figures("Slices"),
        Column::words("Valid"),
        Column::words("First folder").expendable(1),
    ]);
    for run in findings.study.runs(findings.record.is_quick) {
        let slices = || findings.record.slices.iter().filter(|slice| slice.run == run.name);
        let valid = match findings.measured.get(&run.name) {
            Some(of) if of.validity.is_valid() => Text::from("yes"),
            Some(_) => Text::emphasis(Tone::Warning, "no, see below"),
            None => Text::emphasis(Tone::Warning, "not made"),
        };
        let set_aside = findings.record.set_aside.iter();
        let again = set_aside.filter(|slice| slice.run == run.name).count();
        let folder = slices().next().map_or("", |slice| slice.folder.as_str());
        table.rows.push(vec![
            Text::literal(&run.name).into(),
            Text::literal(format!("gander {}", run.written)).into(),
            Cell::Figure(made(slices().count(), again), None),
            valid.into(),
            Text::literal(folder).into(),
        ]);
    }
    let doubted = findings.measured.iter().filter(|(_, of)| !of.validity.is_valid());
    let reasons = doubted.map(|(name, of)| {
        Text::literal(name).plain(format!(": {}", of.validity.reasons.join("; ")))
    });
    let reasons: Vec<Text> = reasons.collect();
    let section = Section::new("Runs").with(table);
    match reasons.is_empty() {
        true => section,
        false => section.with("Not valid, and why:").with(Block::List(reasons)),
    }
}
