//! What the target and gander used.

use crate::measure::resource::Observed;
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text};
use crate::report::resources::Resources;

use super::Source;
use super::notes::{self, Notes};

/// CPU, memory, threads, files and sockets of the target and of gander, side by side.
pub fn resources(source: &Source<'_>, notes: &mut Notes) -> Section {
    let used = [Observed::Target, Observed::Generator].map(|who| source.resources(who));
    let mut section = Section::new("Resources").brief(true);
    if used.iter().any(|used| used.looks > 0) {
        section = section.with(table(&used, notes));
    }
    for (who, used) in ["target", "generator"].into_iter().zip(&used) {
        if used.looks == 0 {
            section = section.with(why_not_measured(source, who));
        }
    }
    let is_incomplete = |used: &Resources| ROWS.iter().any(|(.., figure)| figure(used).is_none());
    let [_, generator] = &used;
    let lacks_timer_lag = generator.looks > 0 && generator.timer_lag_max_ms.is_none();
    match lacks_timer_lag || used.iter().any(|used| used.looks > 0 && is_incomplete(used)) {
        true => section.with(
            "A figure that was not measured although others were: the system does not offer it, gander may not read it, the gander that made the run did not measure it, or there were too few looks at it in the measured part.",
        ),
        false => section,
    }
}

fn table(used: &[Resources; 2], notes: &mut Notes) -> Table {
    let columns = [Column::words("Resource"), Column::figures("Target"), Column::figures("gander")];
    let mut table = Table::new(columns);
    for (name, method, figure) in ROWS {
        let name = Text::from(name).note(notes.refer(method));
        let figures = used.iter().map(|used| Cell::figure(figure(used), format::NOT_MEASURED));
        table.rows.push(std::iter::once(Cell::Text(name)).chain(figures).collect());
    }
    let [_, generator] = used;
    let lag = generator.timer_lag_max_ms.map(|ms| format!("{} ms", format::millis(ms)));
    table.rows.push(vec![
        Text::from("Timer lag, worst").note(notes.refer(notes::TIMER_LAG)).into(),
        Cell::Missing("does not apply".to_owned()),
        Cell::figure(lag, format::NOT_MEASURED),
    ]);
    table
}

fn why_not_measured(source: &Source<'_>, who: &str) -> Text {
    Text::from(match (who, source.plan().target.pid) {
        ("target", None) => {
            "The target was not measured: gander does not know its process. Name it with --pid, or let gander start the target with --spawn.".to_owned()
        }
        _ => format!(
            "The {who} was not measured: there is no look at its processes in the measured part, because the part was too short or gander may not read them."
        ),
    })
}

/// Name, method and figure of a row.
type Row = (&'static str, &'static str, fn(&Resources) -> Option<String>);

const ROWS: [Row; 11] = [
    ("CPU, mean", notes::CPU, |used| used.cpu_mean_percent.map(format::cpu)),
    ("CPU, peak", notes::CPU, |used| used.cpu_peak_percent.map(format::cpu)),
    ("CPU time", notes::CPU, |used| Some(format!("{} s", format::amount(used.cpu_seconds?)))),
    ("CPU per request", notes::CPU_PER_REQUEST, |used| {
        Some(format!("{} ms", format::amount(used.cpu_ms_per_request?)))
    }),
    ("Memory, start", notes::MEMORY, |used| used.rss_start_bytes.map(format::bytes)),
    ("Memory, peak", notes::MEMORY, |used| used.rss_peak_bytes.map(format::bytes)),
    ("Memory, growth", notes::MEMORY, |used| used.rss_growth_bytes.map(format::growth)),
    ("Processes", notes::HIGHEST, |used| used.processes.map(whole)),
    ("Threads", notes::HIGHEST, |used| used.threads.map(whole)),
    ("Open files", notes::HIGHEST, |used| used.open_files.map(whole)),
    ("Sockets", notes::HIGHEST, |used| used.sockets.map(whole)),
];

fn whole(number: u32) -> String {
    format::count(u64::from(number))
}
