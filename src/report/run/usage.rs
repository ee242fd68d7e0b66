//! What the target and gander used.

use crate::analysis::resources::Resources;
use crate::measure::resource::{Observed, TcpSockets};
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};

use super::Source;
use super::notes::{self, Notes};

/// CPU, memory, threads, files and sockets of the target and of gander, side by side.
pub fn resources(source: &Source<'_>, notes: &mut Notes) -> Section {
    let used = [Observed::Target, Observed::Generator].map(|who| source.resources(who));
    let mut section = Section::new("Resources").brief(true);
    if used.iter().any(|used| used.looks > 0) {
        section = section.with(table(&used, notes));
        if let Some(lacking) = lacking(&used) {
            section = section.with(Text::from(lacking));
        }
    }
    if used.iter().any(|used| used.limits.is_some()) {
        section = section.with(limits(&used, notes));
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
    for (name, method, figure) in DETAILS {
        let figures = used.map(|used| figure(&used));
        // Runs of earlier versions have no such looks at all: nothing is said of each.
        if figures.iter().any(Option::is_some) {
            let name = Text::from(name).note(notes.refer(method));
            let figures = figures.map(|figure| Cell::figure(figure, format::NOT_MEASURED));
            table.rows.push(std::iter::once(Cell::Text(name)).chain(figures).collect());
        }
    }
    table.rows.push(vec![
        Text::from("Timer lag, worst").note(notes.refer(notes::TIMER_LAG)).into(),
        Cell::Missing("does not apply".to_owned()),
        Cell::figure(lag, format::NOT_MEASURED),
    ]);
    table
}

/// What neither side has, although the run was looked at in detail.
fn lacking(used: &[Resources; 2]) -> Option<String> {
    let is_lacking = |(.., figure): &&Row| used.iter().all(|used| figure(used).is_none());
    let names: Vec<String> =
        DETAILS.iter().filter(is_lacking).map(|(name, ..)| name.to_lowercase()).collect();
    let is_some = !names.is_empty() && names.len() < DETAILS.len();
    is_some.then(|| {
        format!(
            "Not measured of either, because the system does not offer it or gander may not read it: {}.",
            names.join("; ")
        )
    })
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

/// What is looked at once a second at most.
const DETAILS: [Row; 8] = [
    ("Memory, proportional, peak", notes::PSS, |used| {
        used.detail.pss_peak_bytes.map(format::bytes)
    }),
    ("Sockets by state", notes::TCP, |used| {
        let TcpSockets { established, close_wait, listening, other } = used.detail.tcp?;
        Some(format!(
            "{established} established, {close_wait} close-wait, {listening} listening, {other} other"
        ))
    }),
    ("Threads waiting for a processor", notes::WAITING, |used| {
        used.detail.waiting_threads.map(format::amount)
    }),
    ("Busiest thread, peak", notes::BUSIEST, |used| {
        used.detail.busiest_thread_percent.map(format::cpu)
    }),
    ("Context switches, voluntary", notes::SWITCHES, |used| {
        Some(format!("{}/s", format::rate(used.detail.voluntary_per_s?)))
    }),
    ("Context switches, involuntary", notes::SWITCHES, |used| {
        Some(format!("{}/s", format::rate(used.detail.involuntary_per_s?)))
    }),
    ("Throttled by its control group", notes::THROTTLED, |used| {
        Some(format!("{} s", format::amount(used.detail.throttled_seconds?)))
    }),
    ("Cost of looking", notes::COST_OF_LOOKING, |used| used.cost_percent.map(format::cpu)),
];

/// What is limited, its peak, its limit, and how both are shown.
type Limited<'a> = (&'a str, Option<f64>, Option<f64>, &'a dyn Fn(f64) -> String);

/// The most that was used beside what may be used, and what stands out.
fn limits(used: &[Resources; 2], notes: &mut Notes) -> Table {
    let note = notes.refer(notes::LIMITS);
    let mut table = Table::new([
        Column::words("Limit").note(note),
        Column::figures("Measured, peak"),
        Column::figures("Limit"),
        Column::words("Verdict"),
    ]);
    for (who, used) in ["Target", "gander"].into_iter().zip(used) {
        let Some(limits) = used.limits else { continue };
        let cpus = |percent: f64| format!("{} processors", format::amount(percent / 100.0));
        let memory = used.memory();
        let in_bytes = |bytes: f64| format::bytes(bytes as u64);
        let in_whole = |count: f64| format::count(count as u64);
        let rows: [Limited<'_>; 4] = [
            ("CPU", used.cpu_peak_percent, limits.cpus.map(|cpus| cpus * 100.0), &cpus),
            ("memory", memory.peak_bytes, limits.memory_bytes.map(|bytes| bytes as f64), &in_bytes),
            ("threads", used.threads.map(f64::from), limits.threads.map(|n| n as f64), &in_whole),
            (
                "files",
                used.open_files.map(f64::from),
                limits.open_files.map(|n| n as f64),
                &in_whole,
            ),
        ];
        for (what, peak, limit, shown) in rows {
            table.rows.push(vec![
                format!("{who}, {what}").as_str().into(),
                Cell::figure(peak.map(shown), format::NOT_MEASURED),
                Cell::figure(limit.map(shown), "none set"),
                sized(peak.zip(limit), what == "memory" && memory.is_at_most).into(),
            ]);
        }
    }
    table
}

/// From this share of a limit on, little is left of it.
const NEAR: f64 = 0.8;

/// `is_at_most`: the peak may be less.
fn sized(peak_and_limit: Option<(f64, f64)>, is_at_most: bool) -> Text {
    match peak_and_limit.map(|(peak, limit)| peak / limit) {
        None => Text::default(),
        Some(share) if share >= 1.0 && is_at_most => {
            Text::from("not known: pages that processes share count once for each")
        }
        Some(share) if share >= 1.0 => {
            Text::emphasis(Tone::Bad, "BEYOND").plain(format!(": {}", format::cpu(share * 100.0)))
        }
        Some(share) if share >= NEAR => {
            Text::emphasis(Tone::Warning, "near").plain(format!(": {}", format::share(share)))
        }
        Some(share) => Text::from(format!("within: {}", format::share(share))),
    }
}

fn whole(number: u32) -> String {
    format::count(u64::from(number))
}
