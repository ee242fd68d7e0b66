//! Rows: how the iterations ended, or the rows that responses carried, and what they took.

use serde_json::{Value, json};

use crate::analysis::Assessment;
use crate::measure::rows::{IterationEnd, RowFigures};
use crate::report::format;
use crate::report::model::{Block, Cell, Column, Section, Table, Text};
use crate::store::run::Run;

use super::Source;
use super::notes::{self, Notes};
use super::outcomes::examples;

/// What the rows of a run are called: one and several.
fn names(run: &Run, rows: &RowFigures) -> (&'static str, &'static str) {
    match run.start.plan.rows.is_some() || rows.effort.in_responses > 0 {
        true => ("row", "rows"),
        false => ("iteration", "iterations"),
    }
}

/// Whether there is more to say about rows than about their requests.
fn are_told_of(run: &Run, rows: &RowFigures) -> bool {
    let of_several = rows.effort.requests > rows.count() + rows.of(IterationEnd::Cancelled);
    run.start.plan.rows.is_some() || rows.effort.in_responses > 0 || of_several
}

/// What one of the rows is called, where there is more to say of them than of their requests.
pub fn told_as(run: &Run, assessment: &Assessment) -> Option<&'static str> {
    let rows = assessment.summary.rows.as_ref().filter(|rows| are_told_of(run, rows))?;
    Some(names(run, rows).0)
}

/// Rows of the measured part, their time and what they took; failed rows by class.
pub fn rows(source: &Source<'_>, notes: &mut Notes) -> Section {
    let told = source.summary().rows.as_ref().filter(|rows| are_told_of(source.run, rows));
    let Some(rows) = told else { return Section::new("Rows") };
    let (_, many) = names(source.run, rows);
    let title = if many == "rows" { "Rows" } else { "Iterations" };
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Text| facts.push((name.to_owned(), value));
    let ends = IterationEnd::ALL.into_iter().filter(|end| rows.of(*end) > 0);
    let ends = ends.map(|end| format!("{} {}", format::count(rows.of(end)), end.name()));
    let ends = Some(ends.collect::<Vec<_>>().join(", ")).filter(|ends| !ends.is_empty());
    let ends = ends.unwrap_or_else(|| "none".to_owned());
    fact("Ended", Text::from(ends).note(notes.refer(notes::ROWS)));
    if let Some((all, ok)) = rows.per_second.zip(rows.ok_per_second) {
        let rates = format!("{} {many}/s, {} of them ok", format::rate(all), format::rate(ok));
        fact("Throughput", Text::from(rates).note(notes.refer(notes::ROW_RATE)));
    }
    let time = rows.time.as_ref().map_or_else(
        || Text::from(format!("none of the {many} was ok")),
        |time| {
            Text::from(format!(
                "mean {} ms, p50 {} ms, p95 {} ms, p99 {} ms, max {} ms",
                format::millis(time.mean_ms),
                format::millis(time.p50_ms),
                format::millis(time.p95_ms),
                format::millis(time.p99_ms),
                format::millis(time.max_ms),
            ))
        },
    );
    fact("Time", time.note(notes.refer(notes::ROW_TIME)));
    if let Some(requests) = rows.requests_per_row() {
        fact("Requests each", format::rate(requests).into());
    }
    if let Some(share) = rows.slowest_share() {
        let share = format!("{} of the time, on average", format::share(share));
        fact("Slowest request", Text::from(share).note(notes.refer(notes::SLOWEST)));
    }
    if rows.of(IterationEnd::Failed) > 0 && rows.effort.in_responses == 0 {
        fact("Wasted", Text::from(wasted(rows)).note(notes.refer(notes::WASTED)));
    }
    let section = Section::new(title).brief(true).with(Block::Facts(facts));
    match failures(source, notes) {
        Some(table) => section.with(table),
        None => section,
    }
}

fn wasted(rows: &RowFigures) -> String {
    let requests = format::counted(rows.effort.wasted_requests, "request", "requests");
    let tokens = rows.effort.wasted_tokens;
    let of_them = match tokens.reported {
        0 => "tokens not reported".to_owned(),
        _ => format!("{} tokens", format::count(tokens.known())),
    };
    format!("{requests}, {of_them}")
}

fn failures(source: &Source<'_>, notes: &mut Notes) -> Option<Table> {
    let failures = &source.assessment.merged.rows.failures;
    if failures.is_empty() {
        return None;
    }
    let moment = notes.refer(notes::MOMENT);
    let mut table = Table::new([
        Column::words("Why they failed"),
        Column::figures("Whole run"),
        Column::figures("First").note(moment),
        Column::figures("Last").note(moment),
        Column::words("Examples").note(notes.refer(notes::EXAMPLES)),
    ]);
    let mut classes: Vec<_> = failures.iter().collect();
    classes.sort_by_key(|(_, record)| std::cmp::Reverse(record.count));
    for (class, record) in classes {
        table.rows.push(vec![
            Text::literal(class).into(),
            Cell::Figure(format::count(record.count), None),
            Cell::Figure(format!("{:.1}", record.first.as_secs_f64()), None),
            Cell::Figure(format!("{:.1}", record.last.as_secs_f64()), None),
            examples(&record.examples, usize::MAX).into(),
        ]);
    }
    Some(table)
}

/// The rows of a run for machines: `null` where none was due in the measured part.
///
/// `counts_rows` (whether these are rows, or iterations), `ok`, `partial`, `failed`, `cancelled`,
/// `dropped`; `per_second`, `ok_per_second`; `time` of successful ones; `requests`, `attempts`,
/// `requests_per_row`, `slowest_share`; `wasted_requests`, `wasted_tokens`; `failures` of the whole
/// run: a list of `class`, `count`, `first_s`, `last_s`, `examples`.
pub fn json(run: &Run, assessment: &Assessment) -> Value {
    let Some(rows) = &assessment.summary.rows else { return Value::Null };
    let failures = assessment.merged.rows.failures.iter().map(|(class, record)| {
        json!({
            "class": class,
            "count": record.count,
            "first_s": record.first.as_secs_f64(),
            "last_s": record.last.as_secs_f64(),
            "examples": record.examples,
        })
    });
    let mut all = json!({
        "counts_rows": names(run, rows).1 == "rows",
        "per_second": rows.per_second,
        "ok_per_second": rows.ok_per_second,
        "time": rows.time,
        "requests": rows.effort.requests,
        "attempts": rows.effort.attempts,
        "requests_per_row": rows.requests_per_row(),
        "slowest_share": rows.slowest_share(),
        "wasted_requests": rows.effort.wasted_requests,
        "wasted_tokens": rows.effort.wasted_tokens,
        "failures": failures.collect::<Vec<_>>(),
    });
    for end in IterationEnd::ALL {
        all[end.name()] = json!(rows.of(end));
    }
    all
}
