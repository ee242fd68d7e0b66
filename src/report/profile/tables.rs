//! The tables of a profile: functions in three views, and modules.

use crate::analysis::profile::Profiled;
use crate::profile::table::{Neighbours, Row};
use crate::profile::{Counts, frame};
use crate::report::format;
use crate::report::model::{Cell, Column, Note, Report, Section, Table, Text};

use super::{RowName, refer};

/// Callers and callees that are named of a function.
const NEAREST: usize = 5;

/// How much is shown of a profile; the whole of it is in its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// Functions in a table.
    functions: usize,
    /// Functions whose callers and callees are shown.
    neighbours: usize,
    /// Whether functions that say nothing are left out: those that were never the innermost and are
    /// in every sample, and, where the time of their own counts, those that have none.
    only_telling: bool,
}

/// In the report of a run.
pub(super) const WHOLE: Shown = Shown { functions: 25, neighbours: 6, only_telling: false };
/// As a part of a larger report.
pub(super) const PART: Shown = Shown { functions: 8, neighbours: 4, only_telling: true };

/// Rows that differ from requests by less than this share are requests.
const SAME: f64 = 0.01;

const SHARES: &str = "Self: samples in which the function was the innermost; cumulative: samples in which it stood anywhere, once each. Shares are of all samples, those without a stack included; functions are told apart by name, without lines, addresses and type parameters. `[native]`: code without the name of a module.";
const SECONDS: &str = "Share of the samples x processor time of the process tree while it was sampled, as measured at its processes; a request, row or iteration: that over the requests (attempts), rows or iterations that ended meanwhile. A sampler cannot count calls: there are none.";
const CALLS: &str = "Of a function that calls itself, its outermost call counts for the callers and its innermost for the callees: each column of them adds up to its cumulative samples.";

/// `row`, where rows are no requests by another name: the same figures twice say nothing.
pub(super) fn told_apart(profiled: &Profiled, row: RowName) -> RowName {
    row.filter(|_| (profiled.rows - profiled.requests).abs() > SAME * profiled.requests)
}

/// The tables of one profile.
pub(super) fn views(
    report: &mut Report,
    profiled: &Profiled,
    row: RowName,
    shown: Shown,
    is_brief: bool,
) -> Vec<Section> {
    let row = told_apart(profiled, row);
    let everywhere = profiled.functions.total;
    let is_telling = |row: &Row| row.own > 0 || row.cumulative < everywhere;
    let kept = |rows: Vec<Row>, keeps: &dyn Fn(&Row) -> bool| -> Vec<Row> {
        rows.into_iter().filter(|row| !shown.only_telling || keeps(row)).collect()
    };
    let has_own = |row: &Row| row.own > 0;
    let name = &profiled.record.name;
    let section = |what: &str| Section::new(format!("{what}: {name}")).nested();
    let by_cumulative = kept(profiled.functions.by_cumulative(), &is_telling);
    let by_own = kept(profiled.functions.by_own(), &has_own);
    let modules = kept(profiled.modules.by_own(), &has_own);
    let notes = [refer(report, SHARES), refer(report, SECONDS)];
    let calls = refer(report, CALLS);
    let table = |what: &str, rows: &[Row]| table(what, profiled, rows, row, (shown, notes));
    vec![
        section("Functions by cumulative time").with(table("Function", &by_cumulative)),
        section("Functions by self time").brief(is_brief).with(table("Function", &by_own)),
        section("Callers and callees").with(neighbours(profiled, &by_own, shown, calls)),
        section("Modules").with(table("Module", &modules)),
    ]
}

fn table(
    what: &str,
    profiled: &Profiled,
    rows: &[Row],
    row_name: RowName,
    (shown, [shares, seconds]): (Shown, [Note; 2]),
) -> Table {
    let has_seconds = profiled.record.counts == Counts::Cpu;
    let mut columns = vec![
        Column::words(what),
        Column::figures("Samples").expendable(2),
        Column::figures("Self %").note(shares),
        Column::figures("Cumulative %"),
    ];
    if has_seconds {
        columns.extend([
            Column::figures("Self s").note(seconds).expendable(1),
            Column::figures("Cumulative s").expendable(3),
            Column::figures("Self ms/request"),
            Column::figures("Cumulative ms/request"),
        ]);
        // Where a row is what counts, it is shown even where there is little room.
        columns.extend(row_name.into_iter().flat_map(|row| {
            ["Self", "Cumulative"].map(|of| Column::figures(format!("{of} ms/{row}")))
        }));
    }
    let mut table = Table::new(columns);
    let amount =
        |figure: Option<f64>| Cell::figure(figure.map(format::amount), format::NOT_MEASURED);
    let mut add = |name: &str, own: u64, cumulative: u64| {
        let mut row: Vec<Cell> = vec![
            Text::literal(name).into(),
            Cell::Figure(format::count(own), None),
            Cell::Figure(format::share(profiled.share(own)), None),
            Cell::Figure(format::share(profiled.share(cumulative)), None),
        ];
        if has_seconds {
            let both = [own, cumulative];
            row.extend(both.map(|samples| amount(profiled.seconds(samples))));
            row.extend(both.map(|samples| amount(profiled.ms_per_request(samples))));
            if row_name.is_some() {
                row.extend(both.map(|samples| amount(profiled.ms_per_row(samples))));
            }
        }
        table.rows.push(row);
    };
    rows.iter().take(shown.functions).for_each(|row| add(&row.name, row.own, row.cumulative));
    if profiled.record.empty > 0 {
        add("[no stack]", profiled.record.empty, profiled.record.empty);
    }
    if rows.len() > shown.functions {
        let caption =
            format!("The first {} of {}.", shown.functions, format::count(rows.len() as u64));
        table.caption = Some(caption.into());
    }
    table
}

fn neighbours(profiled: &Profiled, rows: &[Row], shown: Shown, note: Note) -> Table {
    let mut table = Table::new([
        Column::words("Function"),
        Column::words("Called by").note(note),
        Column::words("Calls"),
    ]);
    let list = |near: &[(Option<String>, u64)], itself: &str| {
        let mut text = Text::default();
        for (index, (name, samples)) in near.iter().take(NEAREST).enumerate() {
            text = text.plain(if index > 0 { ", " } else { "" });
            text = match name {
                Some(name) => text.code(name),
                None => text.plain(itself),
            };
            text = text.plain(format!(" {}", format::share(profiled.share(*samples))));
        }
        match near.len() > NEAREST {
            true => text.plain(format!(" and {} more", near.len() - NEAREST)),
            false => text,
        }
    };
    for row in rows.iter().filter(|row| row.name != frame::UNKNOWN).take(shown.neighbours) {
        let near = Neighbours::of(&profiled.folded, &row.name);
        table.rows.push(vec![
            Text::literal(&row.name)
                .plain(format!(" {}", format::share(profiled.share(row.cumulative))))
                .into(),
            list(&near.callers, "nobody: it is the outermost").into(),
            list(&near.callees, "itself").into(),
        ]);
    }
    table
}
