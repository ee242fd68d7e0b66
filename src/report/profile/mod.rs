//! What the profiles of a run say: who was sampled and how well, what bounds the target, functions in
//! three views, modules, the flamegraph.

pub mod diff;
mod json;
mod tables;

use crate::analysis::Assessment;
use crate::analysis::profile::{Bound, ProfileFindings, Profiled, Waiting};
use crate::measure::resource::Observed;
use crate::plan::Purpose;
use crate::profile::flamegraph::{self, Titles};
use crate::profile::{Counts, Missing};
use crate::store::run::Run;

use super::format;
use super::model::{Block, Chart, Note, Report, Section, Text, Tone};
use super::run::{mark, row_name};

pub use json::json;
use tables::{PART, WHOLE, told_apart, views};

/// What tells of files.
const FILES: &str = "Files";

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
        sections.extend(views(report, profiled, row, WHOLE, is_brief));
    }
    mark(run, assessment, &mut sections);
    let at = if is_brief { report.sections.len().min(1) } else { report.sections.len() };
    report.sections.splice(at..at, sections);
}

/// What the profiles of a target say, as a part of a larger report; pictures have `stem` in their
/// names, and `row` is what a row is called, where rows are told of. Of a profile of low quality it
/// says why, and shows nothing.
pub fn of_target(
    report: &mut Report,
    findings: &ProfileFindings,
    row: Option<&'static str>,
    stem: &str,
) -> Vec<Section> {
    let taken = findings.taken.iter().filter(|of| of.record.who == Observed::Target).cloned();
    let findings = ProfileFindings { taken: taken.collect(), ..findings.clone() };
    let mut section = bounds(report, &findings);
    for profiled in &findings.taken {
        section.blocks.extend(in_short(profiled, row));
    }
    section = findings.missing.iter().fold(section, |section, it| section.with(lacking(it)));
    let mut sections = vec![section];
    for profiled in findings.taken.iter().filter(|profiled| profiled.is_sound()) {
        sections.extend(views(report, profiled, row, PART, false));
    }
    for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
        if let Block::Chart(chart) = block {
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

/// What bounds the target.
fn bounds(report: &mut Report, findings: &ProfileFindings) -> Section {
    let section = Section::new("Profile");
    match &findings.waiting {
        Some(waiting) => section.with(Block::Facts(bound(waiting, refer(report, WAIT)))),
        None => section.with(
            "Wait share: not measured, for the processor time of the target was not, or no request ended meanwhile. Name its process with --pid.",
        ),
    }
}

/// One profile in a larger report: what was sampled, and the flamegraph; of low quality, why.
fn in_short(profiled: &Profiled, row: RowName) -> Vec<Block> {
    let name = Text::literal(&profiled.record.name).plain(": ");
    if !profiled.is_sound() {
        let why = profiled.weaknesses.join("; ");
        let text = name.strong(Tone::Warning, "low quality: no conclusions").plain(format!(
            " from its {}, and so nothing of it is shown: {why}.",
            format::counted(profiled.total(), "sample", "samples")
        ));
        return vec![text.into()];
    }
    let told: Vec<(String, Text)> =
        facts(profiled, row).into_iter().filter(|(what, _)| what != FILES).collect();
    let mut blocks = vec![Block::Facts(told)];
    blocks.extend(flame(profiled).map(Into::into));
    blocks
}

fn overview(report: &mut Report, findings: &ProfileFindings, row: RowName) -> Section {
    let mut section = bounds(report, findings);
    for profiled in &findings.taken {
        section.blocks.push(Block::Facts(facts(profiled, row)));
        if !profiled.record.notes.is_empty() {
            let notes = profiled.record.notes.iter().map(|note| Text::from(note.as_str()));
            section.blocks.push(Block::List(notes.collect()));
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
            "Service times of all requests added up".to_owned(),
            seconds(waiting.request_seconds).into(),
        ),
        (
            "Meanwhile all threads of the target added up".to_owned(),
            match waiting.runnable_seconds {
                Some(waited) => format!(
                    "{} on a processor, {} waiting for one; several threads may serve one request, and work between requests",
                    seconds(waiting.cpu_seconds),
                    seconds(waited)
                ),
                None => format!(
                    "{} on a processor; how long they waited for one was not measured",
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
    let lost = match record.lost {
        Some(lost) => format!("{} lost", format::count(lost)),
        None => "how many were lost is not known".to_owned(),
    };
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
                "{} ({} without a stack, {lost}) in {}",
                format::count(profiled.total()),
                format::count(record.empty),
                format::duration(record.sampled)
            )
            .into(),
        ),
        (
            "Samples a second".to_owned(),
            format!("{} of CPU time asked for, {counted} taken", record.frequency).into(),
        ),
    ];
    if record.counts == Counts::Cpu && record.who == Observed::Target {
        let all = each(profiled.ms_per_request(profiled.total()));
        facts.push(("CPU per request".to_owned(), all.into()));
        facts.extend(told_apart(profiled, row).map(|row| {
            (format!("CPU per {row}"), each(profiled.ms_per_row(profiled.total())).into())
        }));
    }
    facts.push(("Quality".to_owned(), quality));
    let file = |ending| format!("profile/{}.{ending}", record.name);
    facts.push((
        FILES.to_owned(),
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
