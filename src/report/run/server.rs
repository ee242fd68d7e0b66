//! What the server said of itself, beside what gander measured.

use std::time::Duration;

use crate::analysis::server::{Grid, SeriesFigures, Server, Times, server};
use crate::measure::interval::Phase;
use crate::measure::scrape::Kind;
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};

use super::Source;
use super::notes::Notes;

/// Series that are shown; all of them are in the JSON summary.
const SHOWN: usize = 60;

/// Looks may be this share further apart than the measured part is long before that is said.
const WIDER: f64 = 0.25;

const COMPARED: &str = "The server's counts are from the look before the load to the look after it, of all series of that name but those labelled /metrics; gander's are of the whole run, attempts included. Counts agree within 5%. The server's percentiles are linear within the bucket that they fall into (as histogram_quantile of Prometheus), between the looks around the measured part; they agree where gander's lies within 5% of that bucket, since a histogram knows no more. Of an object in JSON with count and mean_ms, and of a summary, the mean is the growth of the sum over that of the count. A server's time to first token ends where it hands the token over, and its time between tokens likewise: gander's are of what arrived.";
const TIMES: &str = "Times of which the server shows a sum and a count, of all labels but /metrics, between the looks around the measured part: the increase of the sum over that of the count. Where it shows time_travel_time_scale, its seconds are times that. gander's mean is of its own successful requests, from the send to the last byte.";
const SERIES: &str = "A counter's increase includes what it counted after a restart from 0; one that appeared during the run began at 0. Of a gauge: least, mean and most of all looks.";
const PARTS: &str = "Numbers of an object in JSON, as the server states them: what they are of, and since when, is its own matter.";
const STATES: &str = "A text in JSON is a state; elements of a list are counted by kind. Looks: those in which it was so, of those that saw the value; between two looks it may have been otherwise.";

/// The server's own numbers; empty where it was not asked.
pub fn numbers(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("The server's own numbers");
    let Some(server) = server(source.run, source.summary()) else {
        return match &source.plan().scrape {
            None => section,
            Some(rules) => {
                let places = rules.at.iter().chain(rules.json.iter().map(|page| &page.at));
                let mut said = Text::emphasis(Tone::Warning, "Not measured")
                    .plain(": there was no answer from ");
                for (index, place) in places.enumerate() {
                    let before = if index == 0 { "" } else { ", " };
                    said = said.plain(before).code(place.as_str());
                }
                section.with(said.plain(". What was wrong is told beside the ledger."))
            }
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
        if let Some(wider) = wider(source, &server) {
            section = section.with(wider);
        }
    }
    if !server.times.is_empty() {
        section = section.with(times(&server, notes));
    }
    for grid in &server.grids {
        section = section.with(parts(grid, notes));
    }
    if !server.states.is_empty() {
        section = section.with(states(&server, notes));
    }
    match server.series.iter().any(|series| !is_in_grid(&server, series)) {
        true => section.with(series(&server, notes)),
        false => section,
    }
}

fn is_in_grid(server: &Server, series: &SeriesFigures) -> bool {
    series.kind == Kind::Gauge && server.grids.iter().any(|grid| grid.has(&series.series))
}

/// Parts of the server, and what it knows of each.
fn parts(grid: &Grid, notes: &mut Notes) -> Table {
    let first = Column::words("Part").note(notes.refer(PARTS));
    // Where room is short, the last ones go first.
    let rest = (0..).zip(&grid.columns).map(|(index, column)| {
        Column::figures(column.as_str()).expendable(if index < 4 { 0 } else { index })
    });
    let mut table = Table::new(std::iter::once(first).chain(rest));
    table.caption = Some(Text::literal(&grid.name).plain(", as the last look had it"));
    table.rows.extend(grid.rows.iter().map(|(part, values)| {
        let figures = values
            .iter()
            .map(|value| Cell::figure(value.map(format::signed_amount), "does not apply"));
        std::iter::once(Text::literal(part).into()).chain(figures).collect()
    }));
    table
}

/// What the server was in, or had.
fn states(server: &Server, notes: &mut Notes) -> Table {
    let note = notes.refer(STATES);
    let mut table = Table::new([
        Column::words("State").note(note),
        Column::figures("Looks"),
        Column::figures("Most at once"),
        Column::words("First and last, s"),
        Column::words("At the end"),
    ]);
    table.rows.extend(server.states.iter().map(|state| {
        let looks = format!(
            "{} of {}",
            format::count(state.looks as u64),
            format::count(state.of_looks as u64)
        );
        vec![
            Text::literal(&state.state).into(),
            Cell::Figure(looks, None),
            Cell::Figure(format::amount(state.most), None),
            Text::from(format!("{:.1}, {:.1}", state.first_seconds, state.last_seconds)).into(),
            if state.is_last { "yes" } else { "no" }.into(),
        ]
    }));
    table
}

/// What is said of times where requests that are not of the measured part are in them too, and the
/// looks around it take in much more than it.
fn wider(source: &Source<'_>, server: &Server) -> Option<Text> {
    let ended = &source.timeline.as_ref().ok()?.ended;
    let has = |phase: &Phase| ended.get(phase).is_some_and(|count| *count > 0);
    let is_mixed = [Phase::WarmUp, Phase::CoolDown].iter().any(has);
    let (apart, measured) = (server.measured_seconds, source.window().length().as_secs_f64());
    (is_mixed && apart > measured * (1.0 + WIDER)).then(|| {
        Text::from(format!(
            "The looks around the measured part are {apart:.1} s apart, and it has {measured:.1} s: the server's times are of requests outside of it too. Looks that are closer together (--scrape-every) tell more.",
        ))
    })
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
    let shown = || server.series.iter().filter(|series| !is_in_grid(server, series));
    let left_out = shown().count().saturating_sub(SHOWN);
    let mut caption = format!(
        "{} in {:.1} s, one each {}",
        format::counted(server.looks as u64, "look", "looks"),
        server.seconds,
        format::duration(Duration::from_secs_f64(server.every_seconds))
    );
    if left_out > 0 {
        caption += &format!("; {left_out} series more are in the JSON summary");
    }
    table.caption = Some(Text::from(caption));
    table.rows.extend(shown().take(SHOWN).map(row));
    table
}

fn row(figures: &SeriesFigures) -> Vec<Cell> {
    let figure =
        |value: Option<f64>| Cell::figure(value.map(format::signed_amount), "does not apply");
    let spread = figures.spread.map(|(least, mean, most)| {
        Text::from(format!(
            "{}, {}, {}",
            format::signed_amount(least),
            format::signed_amount(mean),
            format::signed_amount(most)
        ))
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
