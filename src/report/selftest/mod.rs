//! The report of a self-test: gander's figures beside those of the service's own ledger.

pub mod json;

use crate::analysis::accuracy::{
    ALLOWED_MS, ALLOWED_SHARE, Accuracy, Count, Pair, RATE_SHARE, Reach, SEND_LAG_MS, Time, Trial,
};
use crate::measure::metric::Metric;
use crate::measure::summary::samples_needed;
use crate::store::selftest::{Applied, SelftestRecord};

use super::format;
use super::model::{Block, Cell, Column, Note, Report, Section, Table, Text, Tone};
use super::provenance;

/// The footnote of percentiles from few values.
const FEW: Note = Note(1);
/// Footnotes, in the order of their numbers; [`FEW`] is the first.
const FOOTNOTES: [&str; 6] = [
    "From so few values that the slowest alone sets it: p95 needs at least 20, p99 100.",
    "Error: gander's quantile less that of the service's ledger of the same run, over all of its requests. The ledger's clock runs from the complete request to the moment at which the service hands the answer, or a chunk of it, to the connection; gander's from the request handed to the connection to the moment at which it has read the same. So the error holds the kernel and the wire as well as gander, and the service is on the same machine: neither its clock nor its processors are apart.",
    "Allowed: 1 ms or 1% of the ledger's time, whichever is more, for p50, p95 and p99 alike; all counts equal; in open load, p99 of the send lag below 1 ms, and 99.5% of the arrivals that were due.",
    "Counts are of the whole run. Chunks are events with content; tokens are those that the answers state, and those that the service counted.",
    "Send lag: from the moment an arrival was due to the moment gander started its request.",
    "CPU: processor time of gander (user and system) a request, its whole answer or stream included, and what gander needs each second however little it does: with few requests a second, that is most of it. Busy: that of a second over the time of gander's worker threads.",
];
const ERROR: Note = Note(2);
const ALLOWED: Note = Note(3);
const COUNTS: Note = Note(4);
const LAG: Note = Note(5);
const CPU: Note = Note(6);

/// What does not apply.
const NONE: &str = "\u{2013}";

/// The report of the self-test `record`, with the figures of `accuracy`.
pub fn build(record: &SelftestRecord, accuracy: &Accuracy) -> Report {
    let sections = vec![
        times(accuracy),
        counts(accuracy),
        load(accuracy),
        problems(accuracy),
        provenance(record),
    ];
    Report {
        title: "Self-test of gander".to_owned(),
        subtitle: subtitle(record, accuracy),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        footnotes: FOOTNOTES.map(str::to_owned).into(),
        location: None,
    }
}

/// The verdict first; then what was done.
fn subtitle(record: &SelftestRecord, accuracy: &Accuracy) -> Vec<Text> {
    let mut lines = vec![verdict(accuracy)];
    if !record.environment.optimised_build {
        lines.push(Text::emphasis(Tone::Warning, "Build without optimisations").plain(
            ": gander needs more of the processor than it has to; `cargo build --release` for figures that count",
        ));
    }
    let done = record.runs.len();
    if done < record.planned {
        lines.push(
            Text::emphasis(Tone::Warning, "partial:")
                .plain(format!(" {done} of {} runs were made", record.planned)),
        );
    }
    lines.push(Text::from(format!(
        "{} of {} against gander's own llm service, {}",
        format::counted(done as u64, "run", "runs"),
        format::duration(record.each),
        format::counted(record.threads as u64, "worker thread", "worker threads"),
    )));
    lines
}

fn verdict(accuracy: &Accuracy) -> Text {
    if accuracy.trials.is_empty() {
        return Text::emphasis(Tone::Warning, "Nothing was measured");
    }
    if !accuracy.is_exact() {
        return Text::emphasis(Tone::Bad, "COUNTS ARE WRONG").plain(
            ": gander and the service do not agree on what happened; no figure is to be trusted",
        );
    }
    let reaches = [
        accuracy.users().map(|reach| (reach, in_users as fn(f64) -> String)),
        accuracy.rate().map(|reach| (reach, in_arrivals as fn(f64) -> String)),
    ];
    let reaches = || reaches.iter().flatten();
    let listed = |pick: fn(&Reach) -> Option<f64>, last: &str| {
        let all: Vec<_> = reaches().filter_map(|(reach, words)| pick(reach).map(words)).collect();
        (!all.is_empty()).then(|| all.join(last))
    };
    let fails_at_once = |reach: &Reach| reach.fails_at.filter(|_| reach.up_to.is_none());
    let fails_later = |reach: &Reach| reach.fails_at.filter(|_| reach.up_to.is_some());
    let mut text = match (listed(|reach| reach.up_to, " and "), listed(fails_at_once, " and ")) {
        (Some(held), None) => Text::emphasis(Tone::Good, format!("Figures hold up to {held}"))
            .plain(" on this machine"),
        (Some(held), Some(failed)) => Text::from(format!("Figures hold up to {held}, but "))
            .strong(Tone::Bad, format!("do not at {failed}"))
            .plain(" on this machine"),
        (None, failed) => Text::emphasis(Tone::Bad, "Figures do not hold on this machine")
            .plain(format!(", not even at {}", failed.unwrap_or_default())),
    };
    if let Some(worst) = accuracy.worst_p99_ms() {
        text = text.plain(format!(
            ": errors of p99 at most {} ms ({ALLOWED_MS} ms or {}% allowed)",
            format::millis(worst),
            ALLOWED_SHARE * 100.0,
        ));
    }
    if let Some(failed) = listed(fails_later, " and ") {
        text = text.plain("; they do not at ").strong(Tone::Warning, failed);
    }
    text.plain("; all counts are exact")
}

fn in_users(users: f64) -> String {
    format::counted(users as u64, "user", "users")
}

fn in_arrivals(rate: f64) -> String {
    format!("{} a second", shown_rate(rate).replace("/s", " arrivals"))
}

fn shown_rate(rate: f64) -> String {
    match rate.fract() == 0.0 {
        true => format!("{}/s", format::count(rate as u64)),
        false => format!("{rate}/s"),
    }
}

/// `10 users, streams`.
pub(super) fn name(trial: &Trial) -> String {
    let load = match trial.load {
        Applied::Rate(rate) => shown_rate(rate),
        Applied::Users(users) => in_users(f64::from(users)),
    };
    format!("{load}, {}", trial.work.name())
}

fn holds(held: bool) -> Cell {
    match held {
        true => Text::emphasis(Tone::Good, "holds").into(),
        false => Text::emphasis(Tone::Bad, "OFF").into(),
    }
}

/// Times: ours, the ledger's, the error.
fn times(accuracy: &Accuracy) -> Section {
    let mut table = Table::new([
        Column::words("Load"),
        Column::words("Time, ms"),
        Column::figures("Values").expendable(4),
        Column::figures("p50 gander").expendable(3),
        Column::figures("p50 ledger").expendable(3),
        Column::figures("p50 error").note(ERROR),
        Column::figures("p95 error").expendable(2).note(ERROR),
        Column::figures("p99 gander"),
        Column::figures("p99 ledger"),
        Column::figures("p99 error").note(ERROR),
        Column::figures("allowed").expendable(1).note(ALLOWED),
        Column::words("Verdict"),
    ]);
    for trial in &accuracy.trials {
        table.rows.extend(trial.times.iter().map(|time| time_row(trial, time)));
    }
    let section = Section::new("Times").brief(true);
    match table.rows.is_empty() {
        true => section.with("No time was measured on both sides."),
        false => section.with(table).with(
            "Error: gander's less the service's own. It holds the wire and the kernel too, and the service shares this machine.",
        ),
    }
}

fn time_row(trial: &Trial, time: &Time) -> Vec<Cell> {
    let figure = |ms: f64| Cell::Figure(format::millis(ms), None);
    let marked = |text: String, quantile: f64| {
        let is_few = time.count < samples_needed(quantile);
        Cell::Figure(text, is_few.then_some(FEW))
    };
    let label = match time.metric {
        Metric::TtftFromSend => "TTFT",
        Metric::InterChunk => "inter-chunk",
        _ => "whole response",
    };
    vec![
        Text::from(name(trial)).into(),
        label.into(),
        Cell::Figure(format::count(time.count), None),
        figure(time.p50.ours_ms),
        figure(time.p50.service_ms),
        Cell::Figure(error(&time.p50), None),
        marked(error(&time.p95), 0.95),
        marked(format::millis(time.p99.ours_ms), 0.99),
        figure(time.p99.service_ms),
        Cell::Figure(error(&time.p99), None),
        figure(time.p99.allowed_ms()),
        holds(time.holds()),
    ]
}

/// With its sign.
fn error(pair: &Pair) -> String {
    let error = pair.error_ms();
    let sign = match error {
        0.0 => "",
        e if e < 0.0 => "\u{2212}",
        _ => "+",
    };
    format!("{sign}{}", format::millis(error.abs()))
}

/// Counts: one figure where both sides agree, both where they do not.
fn counts(accuracy: &Accuracy) -> Section {
    let names: Vec<&str> = accuracy
        .trials
        .iter()
        .max_by_key(|trial| trial.counts.len())
        .map(|trial| trial.counts.iter().map(|count| count.what).collect())
        .unwrap_or_default();
    let headings = names.iter().map(|name| Column::figures(capital(name)).note(COUNTS));
    let mut table = Table::new(
        std::iter::once(Column::words("Load")).chain(headings).chain([Column::words("Verdict")]),
    );
    for trial in &accuracy.trials {
        let cells = names.iter().map(|name| {
            let count = trial.counts.iter().find(|count| count.what == *name);
            count.map_or(Cell::Missing(NONE.to_owned()), count_cell)
        });
        let verdict = match trial.is_exact() {
            true => Text::emphasis(Tone::Good, "exact").into(),
            false => Text::emphasis(Tone::Bad, "WRONG").into(),
        };
        let load = Cell::Text(name(trial).into());
        table.rows.push(std::iter::once(load).chain(cells).chain([verdict]).collect());
    }
    let section = Section::new("Counts").brief(true);
    match table.rows.is_empty() {
        true => section,
        false => section.with(table),
    }
}

fn count_cell(count: &Count) -> Cell {
    match count.is_exact() {
        true => Cell::Figure(format::count(count.ours), None),
        false => Text::emphasis(
            Tone::Bad,
            format!("{}, ledger {}", format::count(count.ours), format::count(count.service)),
        )
        .into(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Arrivals and their send lag; what gander itself used.
fn load(accuracy: &Accuracy) -> Section {
    let mut table = Table::new([
        Column::words("Load"),
        Column::figures("Requests/s"),
        Column::figures("Due").expendable(2),
        Column::figures("Begun").expendable(2),
        Column::figures("Dropped").expendable(1),
        Column::figures("Lag p50 (ms)").expendable(3).note(LAG),
        Column::figures("Lag p99 (ms)").note(LAG),
        Column::figures("Lag max (ms)").note(LAG),
        Column::figures("CPU/request (ms)").note(CPU),
        Column::figures("Busy").note(CPU),
        Column::words("Run"),
    ]);
    for trial in &accuracy.trials {
        let open = trial.punctuality.as_ref();
        let missing = || Cell::Missing(NONE.to_owned());
        let of_open = |count: Option<u64>| {
            count.map_or_else(missing, |count| Cell::Figure(format::count(count), None))
        };
        let lag = |value: fn(&crate::measure::summary::Latency) -> f64| match open {
            None => missing(),
            Some(open) => {
                let shown = open.lag.as_ref().map(|lag| format::millis(value(lag)));
                Cell::figure(shown, format::NOT_MEASURED)
            }
        };
        let cost = trial.cost;
        table.rows.push(vec![
            Text::from(name(trial)).into(),
            Cell::figure(cost.rps.map(format::rate), format::NOT_MEASURED),
            of_open(open.map(|open| open.due)),
            of_open(open.map(|open| open.begun)),
            of_open(open.map(|open| open.dropped)),
            lag(|lag| lag.p50_ms),
            lag(|lag| lag.p99_ms),
            lag(|lag| lag.max_ms),
            Cell::figure(cost.cpu_ms.map(format::amount), format::NOT_MEASURED),
            Cell::figure(cost.busy.map(format::share), format::NOT_MEASURED),
            match trial.reasons.is_empty() {
                true => "valid".into(),
                false => Text::emphasis(Tone::Bad, "INVALID").into(),
            },
        ]);
    }
    let section = Section::new("Punctuality and cost").brief(true);
    match table.rows.is_empty() {
        true => section,
        false => section.with(table),
    }
}

/// Everything that does not hold, at its load.
fn problems(accuracy: &Accuracy) -> Section {
    let items: Vec<Text> = accuracy
        .trials
        .iter()
        .flat_map(|trial| {
            let of = name(trial);
            trial.problems().into_iter().map(move |problem| {
                Text::emphasis(Tone::Bad, format!("{of}:")).plain(format!(" {problem}"))
            })
        })
        .collect();
    let section = Section::new("What does not hold").brief(true);
    match items.is_empty() {
        true => section,
        false => section.with(Block::List(items)),
    }
}

/// Who measured, when, where, and where the runs are.
fn provenance(record: &SelftestRecord) -> Section {
    let environment = &record.environment;
    let bounds = format!(
        "times within {ALLOWED_MS} ms or {}%, send lag p99 below {SEND_LAG_MS} ms, arrivals within {}%, counts exact",
        ALLOWED_SHARE * 100.0,
        RATE_SHARE * 100.0,
    );
    let facts = [
        ("Date", Text::literal(&record.started_at)),
        ("gander", provenance::version(environment).into()),
        ("Machine", provenance::machine(environment)),
        ("System", environment.system.as_str().into()),
        ("Command", provenance::command(&record.command_line)),
        ("Bounds", bounds.into()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let runs = record
        .runs
        .iter()
        .map(|run| Text::from(format!("{}, {}: ", run.load, run.work.name())).code(&run.folder));
    let section = Section::new("Provenance").with(Block::Facts(facts.into()));
    match record.runs.is_empty() {
        true => section,
        false => section.with(Block::List(runs.collect())),
    }
}
