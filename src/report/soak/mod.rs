//! What a soak was made for, besides leaks: what drifts, what stays open, and where it was interrupted.

use crate::analysis::soak::{Drift, Returned, Soak, Trend};
use crate::report::format;
use crate::report::model::{Block, Cell, Column, Section, Table, Text, Tone};
use crate::store::run::Run;

/// The sections of a soak.
pub fn sections(run: &Run, soak: &Soak) -> Vec<Section> {
    let mut sections = vec![drift(soak), returned(soak)];
    if !run.resumed.is_empty() {
        sections.push(gaps(run));
    }
    sections
}

/// A number with its sign.
fn signed(value: f64) -> String {
    let sign = if value > 0.0 {
        "+"
    } else if value < 0.0 {
        "\u{2212}"
    } else {
        ""
    };
    format!("{sign}{}", format::amount(value.abs()))
}

/// How latency, throughput and failures change over the windows.
fn drift(soak: &Soak) -> Section {
    let mut table = Table::new([
        Column::words("Figure"),
        Column::words("Trend"),
        Column::figures("Median"),
        Column::figures("Change per hour"),
        Column::figures("95% interval").expendable(1),
    ]);
    table.rows.extend(soak.drifts.iter().map(drift_row));
    let windows = soak.windows.len();
    let length =
        soak.windows.first().map_or(0.0, |window| window.end.since(window.start).as_secs_f64());
    let about = format!(
        "Over {} of about {length:.0} s each. A trend is the median slope between all pairs of windows \
         (Theil and Sen) with its 95% interval; it needs at least 8 windows. What changes by less than \
         5% of its median over the run, or 5 of 100 rows, does not matter.",
        format::counted(windows as u64, "window", "windows")
    );
    Section::new("Drift").brief(true).with(table).with(Text::from(about))
}

fn drift_row(drift: &Drift) -> Vec<Cell> {
    let trend = match drift.trend {
        Trend::Steady => Text::emphasis(Tone::Good, drift.trend.name()),
        _ => Text::emphasis(Tone::Warning, drift.trend.name()),
    };
    let value = |value: f64| match drift.unit {
        "share" => format!("{:.2}%", value * 100.0),
        unit => format!("{} {unit}", format::amount(value)),
    };
    let change = |change: f64| match drift.unit {
        "share" => format!("{}%", signed(change * 100.0)),
        _ => signed(change),
    };
    let interval = drift.interval.map(|[low, high]| format!("{} to {}", change(low), change(high)));
    vec![
        drift.figure.into(),
        trend.into(),
        Cell::figure(drift.median.map(value), format::NOT_MEASURED),
        Cell::figure(drift.per_hour.map(change), "too early to say"),
        Cell::figure(interval, "too early to say"),
    ]
}

/// What is open after the load that was not open before it.
fn returned(soak: &Soak) -> Section {
    let section = Section::new("Given back").brief(true);
    let Some(settled) = soak.settled_seconds else {
        return section.with(
            "Not measured: the run did not come to an end after which the target could be looked at.",
        );
    };
    let mut table = Table::new([
        Column::words("Target"),
        Column::figures("Before the load"),
        Column::figures(format!("{settled:.1} s after it")),
        Column::words("Given back"),
    ]);
    for one in &soak.returned {
        let Returned { resource, before, after } = *one;
        let figure =
            |value: Option<u32>| Cell::figure(value.map(|n| n.to_string()), format::NOT_MEASURED);
        let verdict = match (one.is_back(), before, after) {
            (Some(true), ..) => Text::emphasis(Tone::Good, "yes"),
            (Some(false), Some(before), Some(after)) => {
                Text::emphasis(Tone::Warning, format!("no: {} more", after.saturating_sub(before)))
            }
            _ => Text::from(format::NOT_MEASURED),
        };
        table.rows.push(vec![
            resource.name().into(),
            figure(before),
            figure(after),
            verdict.into(),
        ]);
    }
    let section = section.with(table);
    match soak.service {
        Some(service) => section.with(Text::from(format!(
            "The reference service itself counts {} open of {} accepted{}.",
            format::counted(service.open, "connection", "connections"),
            format::count(service.accepted),
            match service.upstream_clients {
                0 => String::new(),
                clients => format!(
                    ", and {} made for the service behind it",
                    format::counted(clients, "client", "clients")
                ),
            },
        ))),
        None => section,
    }
}

/// Where the run was killed or interrupted, and went on.
fn gaps(run: &Run) -> Section {
    let ledger = run.ledger();
    let gap = |resumed: &crate::store::entry::Resumed| {
        let away = resumed
            .away_seconds
            .map_or_else(|| "an unknown time".to_owned(), |seconds| format!("{seconds:.1} s"));
        Text::from(format!(
            "at {:.1} s: nothing ran for {away}; went on {}",
            resumed.at.as_secs_f64(),
            resumed.resumed_at
        ))
    };
    let lost = format!(
        "The time in between is in no figure. {} in flight at these moments are lost: how they ended is \
         not known, and neither is what was sent in the second before a kill. The {} that were under way \
         were done again; none is counted twice.",
        format::counted(ledger.lost, "request", "requests"),
        format::counted(ledger.iterations_lost, "iteration", "iterations"),
    );
    Section::new("Interruptions")
        .brief(true)
        .with(Block::List(run.resumed.iter().map(gap).collect()))
        .with(Text::from(lost))
}
