//! What the profiles of a run say: who was sampled and how well, what bounds the target, functions in
//! three views, modules, the flamegraph.

pub mod diff;
mod json;

use crate::analysis::Assessment;
use crate::analysis::profile::{Bound, ProfileFindings, Profiled, Waiting};
use crate::measure::resource::Observed;
use crate::plan::Purpose;
use crate::profile::flamegraph::{self, Titles};
use crate::profile::table::{Neighbours, Row};
use crate::profile::{Counts, Missing, frame};
use crate::store::run::Run;

use super::format;
use super::model::{Cell, Chart, Column, Note, Report, Section, Table, Text, Tone};
use super::run::{mark, row_name};

pub use json::json;

/// Functions in a table; the whole profile is in its files.
const FUNCTIONS: usize = 25;
/// Functions whose callers and callees are shown, and how many of these.
const NEIGHBOURS: usize = 6;
const NEAREST: usize = 5;

const SHARES: &str = "Self: samples in which the function was the innermost; cumulative: samples in which it stood anywhere, once each. Shares are of all samples, those without a stack included; functions are told apart by name, without lines, addresses and type parameters.";
const SECONDS: &str = "Share of the samples x processor time of the process tree while it was sampled, as measured at its processes; a request, row or iteration: that over the requests (attempts), rows or iterations that ended meanwhile. A sampler cannot count calls: there are none.";
const CALLS: &str = "Of a function that calls itself, its outermost call counts for the callers and its innermost for the callees: each column of them adds up to its cumulative samples.";
const WAIT: &str = "Wait share: 1 - (processor time of the target + the time that its threads waited for a processor, where measured) / sum of the service times of the requests that ended meanwhile. I/O-bound: at least 70%, and its processors are free. CPU-bound: it uses at least 70% of the processors that it may use, its busiest thread at least 90% of one, or requests compute for half of their time.";

/// Puts what `findings` say of `run` into its `report`: behind the key figures where the run was made
/// for it, else at the end. Nothing where the run was not profiled.
pub fn add_to(report: &mut Report, findings: &ProfileFindings, run: &Run, assessment: &Assessment) {
    let purpose = run.start.plan.purpose;
    if findings.taken.is_empty() && findings.missing.is_empty() && purpose != Purpose::Profile {
        return;
    }
    let is_brief = purpose == Purpose::Profile;
    let row = row_name(run, assessment);
    let mut sections = vec![overview(report, findings, row).brief(is_brief)];
    for profiled in &findings.taken {
        sections.extend(views(report, profiled, row, is_brief));
    }
    mark(run, assessment, &mut sections);
    let at = if is_brief { report.sections.len().min(1) } else { report.sections.len() };
    report.sections.splice(at..at, sections);
}

/// What the profiles of a target say, as a part of a larger report; pictures have `stem` in their
/// names, and `row` is what a row is called, where rows are told of.
pub fn of_target(
    report: &mut Report,
    findings: &ProfileFindings,
    row: Option<&'static str>,
    stem: &str,
) -> Vec<Section> {
    let taken = findings.taken.iter().filter(|of| of.record.who == Observed::Target).cloned();
    let findings = ProfileFindings { taken: taken.collect(), ..findings.clone() };
    let mut sections = vec![overview(report, &findings, row)];
    for profiled in &findings.taken {
        sections.extend(views(report, profiled, row, false));
    }
    for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
        if let super::model::Block::Chart(chart) = block {
            chart.file_stem = format!("{stem}-{}", chart.file_stem);
            chart.folder = "charts";
        }
    }
    sections
}

fn refer(report: &mut Report, text: &str) -> Note {
    let known = report.footnotes.iter().position(|known| known == text);
    Note(
        known.unwrap_or_else(|| {
            report.footnotes.push(text.to_owned());
            report.footnotes.len() - 1
        }) + 1,
    )
}

/// What a row is called, where rows are told of: `row` or `iteration`.
type RowName = Option<&'static str>;

fn overview(report: &mut Report, findings: &ProfileFindings, row: RowName) -> Section {
    let mut section = Section::new("Profile");
    section = match &findings.waiting {
        Some(waiting) => {
            section.blocks.push(super::model::Block::Facts(bound(waiting, refer(report, WAIT))));
            section
        }
        None => section.with(
            "Wait share: not measured, for the processor time of the target was not, or no request ended meanwhile. Name its process with --pid.",
        ),
    };
    for profiled in &findings.taken {
        section.blocks.push(super::model::Block::Facts(facts(profiled, row)));
        if !profiled.record.notes.is_empty() {
            let notes = profiled.record.notes.iter().map(|note| Text::from(note.as_str()));
            section.blocks.push(super::model::Block::List(notes.collect()));
        }
        section.blocks.extend(flame(profiled).map(Into::into));
    }
    findings.missing.iter().fold(section, |section, missing| section.with(lacking(missing)))
}

fn who(who: Observed) -> &'static str {
    match who {
        Observed::Target => "the target",
        Observed::Generator => "gander",
    }
}

/// What shares of a profile are of.
fn shares(counts: Counts) -> &'static str {
    match counts {
        Counts::Cpu => "CPU time",
        Counts::Wall => "threads' time, waiting included",
    }
}

fn lacking(missing: &Missing) -> Text {
    let sampler = missing.sampler.map_or(String::new(), |it| format!(" by {}", it.name()));
    let text = Text::emphasis(Tone::Warning, "Missing").plain(format!(
        ": a profile of {}{sampler}: {}",
        who(missing.who),
        missing.why
    ));
    match &missing.mend {
        Some(mend) => text.plain(". To mend it: ").code(mend),
        None => text,
    }
}

fn bound(waiting: &Waiting, note: Note) -> Vec<(String, Text)> {
    let word = match waiting.bound {
        Bound::Io => "I/O-bound",
        Bound::Cpu => "CPU-bound",
        Bound::OneThread => "CPU-bound, by one thread",
        Bound::Mixed => "mixed",
        Bound::Unclear => {
            "not clear: about one processor was used, and whether by one thread was not measured"
        }
        Bound::Contradicted => {
            "not judged: its profile has more samples than its measured CPU time has room for"
        }
    };
    let seconds = |seconds: f64| format!("{} s", format::amount(seconds));
    let used = &waiting.processors;
    let processors = format!("{} of {} used", format::rate(used.processors_used), used.processors);
    vec![
        ("The target is".to_owned(), Text::emphasis(Tone::Neutral, word).note(note)),
        ("Wait share".to_owned(), format::share(waiting.wait_share).into()),
        (
            "Of the time of requests".to_owned(),
            match waiting.runnable_seconds {
                Some(waited) => format!(
                    "{}: {} on a processor, {} waiting for one",
                    seconds(waiting.request_seconds),
                    seconds(waiting.cpu_seconds),
                    seconds(waited)
                ),
                None => format!(
                    "{}: {} on a processor; how long it waited for one was not measured",
                    seconds(waiting.request_seconds),
                    seconds(waiting.cpu_seconds)
                ),
            }
            .into(),
        ),
        (
            "Processors".to_owned(),
            match used.busiest_thread {
                Some(share) => {
                    format!("{processors}; the busiest thread used {} of one", format::share(share))
                }
                None => format!("{processors}; single threads were not measured"),
            }
            .into(),
        ),
    ]
}

fn facts(profiled: &Profiled, row: RowName) -> Vec<(String, Text)> {
    let record = &profiled.record;
    let counted = match record.counts {
        Counts::Cpu => {
            profiled.effective_frequency.map_or(format::NOT_MEASURED.to_owned(), format::rate)
        }
        Counts::Wall => "does not apply".to_owned(),
    };
    let quality = match profiled.is_sound() {
        true => Text::emphasis(Tone::Good, "good"),
        false => Text::emphasis(Tone::Warning, "low quality: no conclusions")
            .plain(format!(": {}", profiled.weaknesses.join("; "))),
    };
    let lost = record.lost.map_or("not said".to_owned(), format::count);
    let each = |ms: Option<f64>| {
        ms.map_or(format::NOT_MEASURED.to_owned(), |ms| format!("{} ms", format::amount(ms)))
    };
    let mut facts = vec![
        (
            record.name.clone(),
            Text::from(format!(
                "{} of {}, by {}",
                shares(record.counts),
                who(record.who),
                record.sampler.name()
            )),
        ),
        (
            "Samples".to_owned(),
            format!(
                "{} ({} without a stack, lost: {lost}) in {}",
                format::count(profiled.total()),
                format::count(record.empty),
                format::duration(record.sampled)
            )
            .into(),
        ),
        (
            "Samples a second".to_owned(),
            format!("{} asked for; {counted} a second of CPU time taken", record.frequency).into(),
        ),
    ];
    if record.counts == Counts::Cpu && record.who == Observed::Target {
        let all = each(profiled.ms_per_request(profiled.total()));
        facts.push(("CPU per request".to_owned(), all.into()));
        facts.extend(row.map(|row| {
            (format!("CPU per {row}"), each(profiled.ms_per_row(profiled.total())).into())
        }));
    }
    facts.push(("Quality".to_owned(), quality));
    let file = |ending| format!("profile/{}.{ending}", record.name);
    facts.push((
        "Files".to_owned(),
        Text::literal(file("svg"))
            .plain(", ")
            .code(file("folded"))
            .plain(", ")
            .code(file("pb.gz"))
            .plain(" (pprof), ")
            .code(file("speedscope.json")),
    ));
    facts
}

fn flame(profiled: &Profiled) -> Option<Chart> {
    let record = &profiled.record;
    let title = format!("Flamegraph of {}: {}", who(record.who), shares(record.counts));
    let subtitle = format!(
        "{}, {} samples; widths are shares of {}",
        record.sampler.name(),
        format::count(profiled.total()),
        shares(record.counts)
    );
    let titles = Titles { title: title.clone(), subtitle, unit: "samples".to_owned() };
    let svg = flamegraph::render(&profiled.folded, &titles)?;
    let top = profiled.functions.by_own();
    let top: Vec<_> = top
        .iter()
        .take(3)
        .map(|row| format!("{} {}", row.name, format::share(profiled.share(row.own))))
        .collect();
    let alt = format!("{title}. Most time of their own: {}.", top.join(", "));
    Some(Chart { folder: "profile", file_stem: record.name.clone(), title, alt, svg })
}

/// The tables of one profile.
fn views(report: &mut Report, profiled: &Profiled, row: RowName, is_brief: bool) -> Vec<Section> {
    let name = &profiled.record.name;
    let section = |what: &str| Section::new(format!("{what}: {name}")).nested();
    let by_cumulative = profiled.functions.by_cumulative();
    let by_own = profiled.functions.by_own();
    let notes = [refer(report, SHARES), refer(report, SECONDS)];
    let calls = refer(report, CALLS);
    let table = |what: &str, rows: &[Row]| table(what, profiled, rows, row, notes);
    vec![
        section("Functions by cumulative time").with(table("Function", &by_cumulative)),
        section("Functions by self time").brief(is_brief).with(table("Function", &by_own)),
        section("Callers and callees").with(neighbours(profiled, &by_own, calls)),
        section("Modules").with(table("Module", &profiled.modules.by_own())),
    ]
}

fn table(
    what: &str,
    profiled: &Profiled,
    rows: &[Row],
    row_name: RowName,
    [shares, seconds]: [Note; 2],
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
    rows.iter().take(FUNCTIONS).for_each(|row| add(&row.name, row.own, row.cumulative));
    if profiled.record.empty > 0 {
        add("[no stack]", profiled.record.empty, profiled.record.empty);
    }
    if rows.len() > FUNCTIONS {
        let caption = format!("The first {FUNCTIONS} of {}.", format::count(rows.len() as u64));
        table.caption = Some(caption.into());
    }
    table
}

fn neighbours(profiled: &Profiled, rows: &[Row], note: Note) -> Table {
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
    for row in rows.iter().filter(|row| row.name != frame::UNKNOWN).take(NEIGHBOURS) {
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
