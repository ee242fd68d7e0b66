//! How many requests, how fast: the table of endpoints, and what the response time consists of.

use crate::measure::metric::Metric;
use crate::measure::sample::StepId;
use crate::measure::summary::{Adjusted, Figures, Latency, samples_needed};
use crate::report::format;
use crate::report::model::{Cell, Column, Note, Section, Table, Text};

use crate::schedule::LoadModel;

use super::Source;
use super::notes::{self, Notes};

/// One row a step, and all together.
pub fn endpoints(source: &Source<'_>, notes: &mut Notes) -> Section {
    let response = notes.metric(Metric::ResponseTime);
    let count = notes.refer(notes::COUNT);
    let exact = notes.refer(notes::EXACT);
    let percentile = notes.refer(notes::PERCENTILE);
    let fail = notes.refer(notes::FAIL);
    let rps = notes.refer(notes::RPS);
    let mut table = Table::new([
        Column::words("Step"),
        Column::words("Request").expendable(6),
        Column::figures("Count").note(count),
        Column::figures("Mean ms").note(exact),
        Column::figures("Min ms").note(exact).expendable(5),
        Column::figures("Max ms").note(exact).expendable(4),
        Column::figures("p50 ms").note(percentile),
        Column::figures("p95 ms").note(percentile),
        Column::figures("p99 ms").note(percentile),
        Column::figures("Fail %").note(fail),
        Column::figures("RPS").note(rps),
    ]);
    table.caption =
        Some(Text::from("Response time of successes").note(response).plain(", in milliseconds."));
    for (step, figures) in source.plan().steps.iter().zip(&source.summary().steps) {
        let request = Text::literal(format!("{} {}", step.method, step.path));
        table.rows.push(row(step.name.as_str().into(), request.into(), figures, notes));
    }
    table.total = Some(row("total".into(), "".into(), &source.summary().total, notes));
    let section = Section::new("Endpoints").brief(true);
    match source.summary().total.count() {
        0 => section
            .with("No request ended in the measured part: there are no latencies.")
            .with(table),
        _ => section.with(table),
    }
}

fn row(name: Cell, request: Cell, figures: &Figures, notes: &mut Notes) -> Vec<Cell> {
    let mut row = vec![name, request, Cell::Figure(format::count(figures.count()), None)];
    let latency = figures.latency(Metric::ResponseTime);
    let exact = |value: Pick| -> Cell {
        Cell::figure(latency.map(|latency| format::millis(value(latency))), format::NO_DATA)
    };
    row.extend([exact(|l| l.mean_ms), exact(|l| l.min_ms), exact(|l| l.max_ms)]);
    row.extend(percentiles(latency, notes));
    row.push(Cell::figure(figures.failure_share().map(format::share), format::NO_DATA));
    row.push(Cell::figure(figures.rps.map(format::rate), format::NOT_MEASURED));
    row
}

/// Takes one figure.
type Pick = fn(&Latency) -> f64;

/// p50, p95, p99; each with a caveat where the slowest value alone sets it.
pub(super) fn percentiles(latency: Option<&Latency>, notes: &mut Notes) -> [Cell; 3] {
    let values: [(f64, Pick); 3] =
        [(0.50, |l| l.p50_ms), (0.95, |l| l.p95_ms), (0.99, |l| l.p99_ms)];
    values.map(|(q, value)| match latency {
        None => Cell::Missing(format::NO_DATA.to_owned()),
        Some(latency) => {
            let is_weak = latency.count < samples_needed(q);
            let caveat: Option<Note> = is_weak.then(|| notes.few_samples());
            Cell::Figure(format::millis(value(latency)), caveat)
        }
    })
}

/// Percentiles in which a failure counts as infinite, beside the plain ones; empty where nothing
/// failed.
pub fn adjusted(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Percentiles with failures").nested().brief(true);
    let (plan, merged) = (source.plan(), &source.assessment.merged);
    let mut table = Table::new([
        Column::words("Time"),
        Column::words("Step"),
        Column::figures("Failed"),
        Column::figures("p50 ms"),
        Column::figures("p50 adj."),
        Column::figures("p95 ms"),
        Column::figures("p95 adj."),
        Column::figures("p99 ms"),
        Column::figures("p99 adj."),
    ]);
    for metric in [Metric::ResponseTime, Metric::Ttft] {
        let of_metric = |step: StepId| {
            let streams = plan.steps.get(usize::from(step.0)).is_some_and(|step| step.streams);
            metric == Metric::ResponseTime || streams
        };
        let mut push = |name: &str, figures: &Figures, adjusted: Option<Adjusted>| {
            if let Some(adjusted) = adjusted.filter(|adjusted| adjusted.failed > 0) {
                let row = adjusted_row(metric, name, figures.latency(metric), &adjusted, notes);
                table.rows.push(row);
            }
        };
        for ((step, figures), id) in plan.steps.iter().zip(&source.summary().steps).zip(0..) {
            let is_it = |of: StepId| of == StepId(id) && of_metric(of);
            push(&step.name, figures, merged.adjusted(metric, is_it));
        }
        if plan.steps.len() > 1 {
            push("all", &source.summary().total, merged.adjusted(metric, of_metric));
        }
    }
    if table.rows.is_empty() {
        return section;
    }
    table.caption = Some(
        Text::from(
            "Percentiles of successes, and adjusted: failures as infinitely slow (\u{221e})",
        )
        .note(notes.refer(notes::ADJUSTED))
        .plain("."),
    );
    section.with(table)
}

fn adjusted_row(
    metric: Metric,
    step: &str,
    plain: Option<&Latency>,
    adjusted: &Adjusted,
    notes: &mut Notes,
) -> Vec<Cell> {
    let name = Text::from(metric.label()).note(notes.metric(metric));
    let failed = Cell::Figure(format::count(adjusted.failed), None);
    let mut row = vec![name.into(), step.into(), failed];
    let with_failures = [adjusted.p50_ms, adjusted.p95_ms, adjusted.p99_ms];
    for (plain, value) in percentiles(plain, notes).into_iter().zip(with_failures) {
        let value = value.map_or_else(|| "\u{221e}".to_owned(), format::millis);
        row.extend([plain, Cell::Figure(value, None)]);
    }
    row
}

/// Time to first byte of each step; connecting, TLS and send lag over all steps. What it took to
/// open connections is that of the whole run: each is opened once, mostly in its first second.
pub fn phases(source: &Source<'_>, notes: &mut Notes) -> Section {
    let mut table = Table::new([
        Column::words("Time"),
        Column::words("Step"),
        Column::figures("Count"),
        Column::figures("Mean ms"),
        Column::figures("Min ms"),
        Column::figures("Max ms"),
        Column::figures("p50 ms"),
        Column::figures("p95 ms"),
        Column::figures("p99 ms"),
    ]);
    let summary = source.summary();
    let steps = &source.plan().steps;
    // In the closed model it equals the response time.
    let is_open = matches!(source.load(), LoadModel::Open(_));
    let service = is_open.then_some(Metric::ServiceTime);
    for (step, figures) in steps.iter().zip(&summary.steps).filter(|_| steps.len() > 1) {
        if let Some((metric, latency)) =
            service.and_then(|metric| Some((metric, figures.latency(metric)?)))
        {
            table.rows.push(phase(metric, step.name.as_str().into(), latency, notes));
        }
    }
    let first = Metric::FirstByte;
    for (step, figures) in steps.iter().zip(&summary.steps).filter(|_| steps.len() > 1) {
        if let Some(latency) = figures.latency(first) {
            table.rows.push(phase(first, step.name.as_str().into(), latency, notes));
        }
    }
    let mut missing = Vec::new();
    let others = [first, Metric::Connect, Metric::Tls, Metric::SendLag];
    for metric in service.into_iter().chain(others) {
        match summary.total.latency(metric) {
            Some(latency) => table.rows.push(phase(metric, "all".into(), latency, notes)),
            None => missing.push(metric.label()),
        }
    }
    let title = match is_open {
        true => "Service time, first byte, connections, send lag",
        false => "First byte, connections, send lag",
    };
    let section = Section::new(title);
    if table.rows.is_empty() {
        return section
            .with("No request succeeded in the measured part, and no connection was opened: there is nothing to show.");
    }
    table.caption = Some(
        "In milliseconds. First byte and send lag: successes of the measured part. Connect and TLS handshake: connections opened in the whole run, by failed requests too.".into(),
    );
    let section = section.with(table);
    match missing.is_empty() {
        true => section,
        false => {
            section.with(Text::from(format!("There is no value for: {}.", missing.join(", "))))
        }
    }
}

fn phase(metric: Metric, step: Cell, latency: &Latency, notes: &mut Notes) -> Vec<Cell> {
    let name = Text::from(metric.label()).note(notes.metric(metric));
    let figure = |ms: f64| Cell::Figure(format::millis(ms), None);
    let mut row = vec![name.into(), step, Cell::Figure(format::count(latency.count), None)];
    row.extend([latency.mean_ms, latency.min_ms, latency.max_ms].map(figure));
    row.extend(percentiles(Some(latency), notes));
    row
}
