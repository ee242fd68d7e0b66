//! What the server said of itself, beside what gander measured.

use crate::analysis::server::{SeriesFigures, Server, Times, server};
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};

use super::Source;
use super::notes::Notes;

/// Series that are shown; all of them are in the JSON summary.
const SHOWN: usize = 60;

const COMPARED: &str = "The server's counts are from the look before the load to the look after it, of all series of that name but those labelled /metrics; gander's are of the whole run, attempts included. Counts agree within 5%. The server's percentiles are linear within the bucket that they fall into (as histogram_quantile of Prometheus), between the looks around the measured part; they agree where gander's lies within 5% of that bucket, since a histogram knows no more.";
const TIMES: &str = "Times of which the server shows a sum and a count, of all labels but /metrics, between the looks around the measured part: the increase of the sum over that of the count. Where it shows time_travel_time_scale, its seconds are times that. gander's mean is of its own successful requests, from the send to the last byte.";
const SERIES: &str = "A counter's increase includes what it counted after a restart from 0; one that appeared during the run began at 0. Of a gauge: least, mean and most of all looks.";

/// The server's own numbers; empty where it was not asked.
pub fn numbers(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("The server's own numbers");
    let Some(server) = server(source.run, source.summary()) else {
        return match &source.plan().scrape {
            None => section,
            Some(rules) => section.with(
                Text::emphasis(Tone::Warning, "Not measured")
                    .plain(": there was no answer from ")
                    .code(rules.at.as_str())
                    .plain(". What was wrong is told beside the ledger."),
            ),
        };
    };
    let mut section = section.brief(!server.compared.is_empty());
    for apart in server.disagreements() {
        let what = format!(
            "{}: the server says {}, gander measured {}. ",
            apart.what,
            format::amount(apart.server),
            format::amount(apart.client)
        );
        section = section.with(
            Text::emphasis(Tone::Warning, "The two sides disagree").plain(format!(": {what}")).plain(
                "Someone else may load the server too, several processes may each count for themselves, or the time is spent between the two.",
            ),
        );
    }
    for missing in &server.missing {
        section = section.with(
            Text::emphasis(Tone::Warning, "Not compared")
                .plain(": the server shows no ")
                .code(missing.as_str())
                .plain(", which the scenario names."),
        );
    }
    if server.compared.is_empty() {
        section = section.with(
            "None of its series has a well-known name: there is nothing to hold gander's figures against.",
        );
    } else {
        section = section.with(compared(&server, notes));
    }
    if !server.times.is_empty() {
        section = section.with(times(&server, notes));
    }
    section.with(series(&server, notes))
}

fn compared(server: &Server, notes: &mut Notes) -> Table {
    let note = notes.refer(COMPARED);
    let mut table = Table::new([
        Column::words("Figure").note(note),
        Column::words("Series").expendable(1),
        Column::figures("Server"),
        Column::figures("gander"),
        Column::words("Agree"),
    ]);
    table.rows.extend(server.compared.iter().map(|compared| {
        let agree = match compared.agrees {
            true => Text::emphasis(Tone::Good, "yes"),
            false => Text::emphasis(Tone::Warning, "no"),
        };
        vec![
            Cell::Text(Text::from(compared.what.as_str())),
            Cell::Text(Text::literal(&compared.source)),
            Cell::Figure(format::amount(compared.server), None),
            Cell::Figure(format::amount(compared.client), None),
            Cell::Text(agree),
        ]
    }));
    table
}

fn times(server: &Server, notes: &mut Notes) -> Table {
    let note = notes.refer(TIMES);
    let mut table = Table::new([
        Column::words("Time").note(note),
        Column::figures("Count"),
        Column::figures("Mean, ms"),
        Column::figures("gander's mean, ms"),
    ]);
    table.rows.extend(server.times.iter().map(|Times { name, count, mean_ms, client_mean_ms }| {
        vec![
            Cell::Text(Text::literal(name)),
            Cell::Figure(format::amount(*count), None),
            Cell::Figure(format::amount(*mean_ms), None),
            Cell::figure(client_mean_ms.map(format::amount), "not measured by gander"),
        ]
    }));
    table
}

fn series(server: &Server, notes: &mut Notes) -> Table {
    let note = notes.refer(SERIES);
    let mut table = Table::new([
        Column::words("Series").note(note),
        Column::figures("First"),
        Column::figures("Last"),
        Column::figures("Increase"),
        Column::figures("A second"),
        Column::words("Least, mean, most"),
    ]);
    let left_out = server.series.len().saturating_sub(SHOWN);
    let mut caption = format!(
        "{} in {:.1} s",
        format::counted(server.looks as u64, "look", "looks"),
        server.seconds
    );
    if left_out > 0 {
        caption += &format!("; {left_out} series more are in the JSON summary");
    }
    table.caption = Some(Text::from(caption));
    table.rows.extend(server.series.iter().take(SHOWN).map(row));
    table
}

fn row(figures: &SeriesFigures) -> Vec<Cell> {
    let figure = |value: Option<f64>| Cell::figure(value.map(signed), "does not apply");
    let spread = figures.spread.map(|(least, mean, most)| {
        Text::from(format!("{}, {}, {}", signed(least), signed(mean), signed(most)))
    });
    vec![
        Cell::Text(Text::literal(&figures.series)),
        figure(Some(figures.first)),
        figure(Some(figures.last)),
        figure(figures.increase),
        figure(figures.per_second),
        spread.map_or_else(|| Cell::Missing("does not apply".to_owned()), Cell::Text),
    ]
}

/// Gauges may be below zero.
fn signed(value: f64) -> String {
    match value < 0.0 {
        true => format!("\u{2212}{}", format::amount(-value)),
        false => format::amount(value),
    }
}
