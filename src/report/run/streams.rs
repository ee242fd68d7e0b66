//! What streams brought, and when: times of tokens and chunks, tokens, goodput, cost.

use crate::measure::metric::Metric;
use crate::measure::sample::Tokens;
use crate::measure::summary::{Figures, Latency};
use crate::plan::StepRecord;
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text};
use crate::scenario::model::Goodput;
use crate::schedule::LoadModel;

use super::Source;
use super::latency::percentiles;
use super::notes::{self, Notes};

/// Where responses reported tokens, and none of them this kind.
const NOT_REPORTED: &str = "not reported";

/// Times of streams, tokens and goodput; empty where no step streams, reports tokens or has limits.
pub fn streams(source: &Source<'_>, notes: &mut Notes) -> Section {
    let mut section = Section::new("Streams and tokens").brief(true);
    if source.plan().steps.iter().any(|step| step.streams) {
        section = match times(source, notes) {
            Some(table) => section.with(table),
            None => section
                .with("No stream of the measured part was a success: there are no times of it."),
        };
    }
    section = tokens(source, section, notes);
    match goodput(source, notes) {
        Some(table) => section.with(table),
        None => section,
    }
}

/// Steps with their figures.
fn steps<'a>(source: &'a Source<'_>) -> impl Iterator<Item = (&'a StepRecord, &'a Figures)> {
    source.plan().steps.iter().zip(&source.summary().steps)
}

fn times(source: &Source<'_>, notes: &mut Notes) -> Option<Table> {
    let is_open = matches!(source.load(), LoadModel::Open(_));
    let mut table = Table::new([
        Column::words("Time"),
        Column::words("Step"),
        Column::figures("Count"),
        Column::figures("Mean ms"),
        Column::figures("p50 ms"),
        Column::figures("p95 ms"),
        Column::figures("p99 ms"),
        Column::figures("Max ms"),
    ]);
    let mut metrics = vec![Metric::Ttft];
    if is_open {
        metrics.push(Metric::TtftFromSend);
    }
    metrics.extend([Metric::FirstReasoning, Metric::InterChunk, Metric::Tpot]);
    for (step, figures) in steps(source).filter(|(step, _)| step.streams) {
        for metric in &metrics {
            if let Some(latency) = figures.latency(*metric) {
                table.rows.push(time(*metric, step, latency, notes));
            }
        }
    }
    let from = match is_open {
        true => "",
        false => {
            " Under users, a request is due when it is sent: times to the first token are those from the send."
        }
    };
    table.caption = Some(Text::from(format!(
        "Successful streams of the measured part, in milliseconds.{from}"
    )));
    (!table.rows.is_empty()).then_some(table)
}

fn time(metric: Metric, step: &StepRecord, latency: &Latency, notes: &mut Notes) -> Vec<Cell> {
    let name = Text::from(metric.label()).note(notes.metric(metric));
    let figure = |ms: f64| Cell::Figure(format::millis(ms), None);
    let mut row = vec![
        name.into(),
        step.name.as_str().into(),
        Cell::Figure(format::count(latency.count), None),
        figure(latency.mean_ms),
    ];
    row.extend(percentiles(Some(latency), notes));
    row.push(figure(latency.max_ms));
    row
}

fn tokens(source: &Source<'_>, section: Section, notes: &mut Notes) -> Section {
    let reports = |figures: &Figures| figures.traffic.tokens.reported > 0;
    let told: Vec<_> =
        steps(source).filter(|(step, figures)| step.streams || reports(figures)).collect();
    let total = &source.summary().total;
    if told.is_empty() {
        return section;
    }
    if !reports(total) {
        return section.with(
            "No response of the measured part reported its tokens: tokens, tokens per second, time per token and cost are not measured. Many services report them in a stream only if the request says so, as with `stream_options = { include_usage = true }`.",
        );
    }
    let rate = notes.refer(notes::TOKEN_RATE);
    let reported = notes.refer(notes::TOKENS);
    let prices = &source.plan().prices;
    let has_prices = !prices.models.is_empty();
    let mut table = Table::new([
        Column::words("Step"),
        Column::figures("Reported").note(reported),
        Column::figures("Not reported").note(reported),
        Column::figures("Input"),
        Column::figures("Cached").expendable(2),
        Column::figures("Output"),
        Column::figures("Reasoning").expendable(3),
        Column::figures("Input/s").note(rate),
        Column::figures("Output/s").note(rate),
    ]);
    if has_prices {
        let cost = notes.refer(notes::COST);
        let heading = |what: &str| format!("{what}, {}", prices.currency);
        table.columns.push(Column::figures(heading("Cost")).note(cost));
        table.columns.push(Column::figures(heading("Per 1000")).note(cost));
    }
    table.caption = Some("Tokens of the measured part, as the service reported them.".into());
    for (step, figures) in &told {
        table.rows.push(token_row(step.name.as_str(), figures, has_prices));
    }
    if told.len() > 1 {
        table.total = Some(token_row("total", total, has_prices));
    }
    let section = section.with(table);
    match has_prices {
        true => section.with(Text::from(whole_cost(source))),
        false => section,
    }
}

fn token_row(name: &str, figures: &Figures, has_prices: bool) -> Vec<Cell> {
    let tokens = figures.traffic.tokens;
    let count = |number: u64| Cell::Figure(format::count(number), None);
    let known = |number: Option<u64>| match tokens.reported {
        0 => Cell::Missing(format::NOT_MEASURED.to_owned()),
        _ => Cell::figure(number.map(format::count), NOT_REPORTED),
    };
    let rate = |rate: Option<f64>, number: Option<u64>| match (tokens.reported, number) {
        (1.., None) => Cell::Missing(NOT_REPORTED.to_owned()),
        _ => Cell::figure(rate.map(format::rate), format::NOT_MEASURED),
    };
    let mut row = vec![
        name.into(),
        count(tokens.reported),
        count(figures.count().saturating_sub(tokens.reported)),
        known(tokens.input),
        known(tokens.cached),
        known(tokens.output),
        known(tokens.reasoning),
        rate(figures.input_tokens_per_s, tokens.input),
        rate(figures.output_tokens_per_s, tokens.output),
    ];
    if has_prices {
        let cost = tokens.cost().map(format::money);
        let each = tokens.cost().map(|cost| format::money(cost / tokens.priced as f64 * 1000.0));
        row.push(Cell::figure(cost, "no price"));
        row.push(Cell::figure(each, "no price"));
    }
    row
}

/// What the whole run cost, as far as that is known.
fn whole_cost(source: &Source<'_>) -> String {
    let mut tokens = Tokens::default();
    for (_, _, traffic) in source.run.intervals.iter().flat_map(|interval| &interval.traffic) {
        tokens += traffic.tokens;
    }
    let unpriced = tokens.reported - tokens.priced;
    let but = match unpriced {
        0 => String::new(),
        some => format!(
            " {} reported tokens of a model that has no price here; what they cost is not known.",
            format::counted(some, "response", "responses")
        ),
    };
    let currency = &source.plan().prices.currency;
    match tokens.cost() {
        Some(cost) => format!(
            "The whole run, warm-up and cool-down included, cost {} {currency}, for the {} that reported tokens with a price.{but}",
            format::money(cost),
            format::counted(tokens.priced, "response", "responses"),
        ),
        None => format!("The cost of the run is not known.{but}"),
    }
}

fn goodput(source: &Source<'_>, notes: &mut Notes) -> Option<Table> {
    let note = notes::GOODPUT;
    let mut table = Table::new([
        Column::words("Step"),
        Column::words("Limits"),
        Column::figures("Requests"),
        Column::figures("Good"),
        Column::figures("Good %"),
        Column::figures("Good/s"),
    ]);
    for (step, figures) in steps(source) {
        let Some(limits) = &step.goodput else { continue };
        let (judged, good) = (figures.traffic.judged, figures.traffic.good);
        let share = figures.good_share().map(format::share);
        table.rows.push(vec![
            step.name.as_str().into(),
            shown(limits).into(),
            Cell::Figure(format::count(judged), None),
            Cell::Figure(format::count(good), None),
            Cell::figure(share, format::NO_DATA),
            Cell::figure(figures.good_per_s.map(format::rate), format::NOT_MEASURED),
        ]);
    }
    if table.rows.is_empty() {
        return None;
    }
    table.caption = Some(Text::from("Goodput").note(notes.refer(note)).plain("."));
    Some(table)
}

/// The limits in words: `TTFT <= 500 ms, TPOT <= 20 ms`.
fn shown(limits: &Goodput) -> Text {
    let named =
        [("response time", limits.response_time), ("TTFT", limits.ttft), ("TPOT", limits.tpot)];
    let said = named
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} \u{2264} {}", format::duration(limit?))));
    Text::from(said.collect::<Vec<_>>().join(", "))
}
