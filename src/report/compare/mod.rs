//! The report of a comparison.

pub mod json;
mod tables;

use crate::analysis::compare::workload::{Difference, Weight};
use crate::analysis::compare::{Basis, Compared, Comparison, Part, Word};
use crate::analysis::group::Group;
use crate::measure::metric::Metric;
use crate::measure::validity::Validity;

use super::chart::percentiles::{Named, percentiles};
use super::format;
use super::model::{Block, Chart, Note, Report, Section, Table, Text, Tone};
use super::provenance;

/// One side: its runs, and what is known of them.
#[derive(Debug)]
pub struct Side {
    /// The runs as one.
    pub group: Group,
    /// Their folders, for the reader.
    pub folders: Vec<String>,
    /// Whether the figures of each may be trusted.
    pub validity: Vec<Validity>,
}

impl Side {
    /// Whether the figures of all its runs may be trusted.
    pub fn is_valid(&self) -> bool {
        self.validity.iter().all(Validity::is_valid)
    }
}

/// What a report of a comparison is made from.
#[derive(Debug)]
pub struct Compares<'a> {
    /// The runs before.
    pub before: &'a Side,
    /// The runs after.
    pub after: &'a Side,
    /// What they say.
    pub comparison: &'a Comparison,
    /// In what they differ besides.
    pub differences: &'a [Difference],
    /// The command line, as given.
    pub command_line: &'a [String],
}

impl Compares<'_> {
    fn sides(&self) -> [(&'static str, &Side); 2] {
        [("before", self.before), ("after", self.after)]
    }

    /// What tables are marked with, where a run of either side is not valid.
    fn flag(&self) -> Option<&'static str> {
        (!(self.before.is_valid() && self.after.is_valid())).then_some("INVALID RUN")
    }
}

/// The table of one part of a comparison, marked with `flag` where a run of either side is not valid.
/// It refers to the notes on its intervals and on its verdicts: see [`notes`].
pub fn table(part: &Part, flag: Option<&str>, notes: [Note; 2]) -> Table {
    tables::figures(part, flag, notes)
}

/// The interval of a change, in words: see [`tables::interval`].
pub use tables::interval;

/// What the table of a comparison refers to; `drawn` says from what its intervals were drawn.
pub fn notes(drawn: &str) -> [String; 2] {
    [interval_note(drawn), VERDICT_NOTE.to_owned()]
}

/// The notes of the report of a single comparison.
const NOTES: [Note; 2] = [Note(1), Note(2)];

/// The report of the comparison.
pub fn build(of: &Compares<'_>) -> Report {
    let first = of.before.group.runs.first();
    let scenario = first.map_or("", |run| run.start.plan.scenario.as_str());
    let mut sections = vec![sides(of)];
    for part in &of.comparison.parts {
        let title = match &part.step {
            None => "Figures".to_owned(),
            Some(step) => format!("Step {step}"),
        };
        let section = Section::new(title).brief(part.step.is_none());
        let section = if part.step.is_some() { section.nested() } else { section };
        let mut section = section.with(table(part, of.flag(), NOTES));
        if let (None, Some(chart)) = (&part.step, chart(of)) {
            section = section.with(chart);
        }
        sections.push(section);
    }
    sections.extend([differences(of), provenance(of)]);
    Report {
        title: format!("Comparison: {scenario}"),
        subtitle: headline(of),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        footnotes: notes(&what_was_drawn(of.comparison)).into(),
        location: None,
    }
}

/// Response times of both sides, percentile by percentile.
fn chart(of: &Compares<'_>) -> Option<Chart> {
    let times = of.sides().map(|(_, side)| side.group.merged.successes(None, Metric::ResponseTime));
    let named: Vec<Named<'_>> =
        of.sides().iter().zip(&times).map(|((name, _), times)| Named { name, times }).collect();
    percentiles("Response time", "before-after", &named, of.flag())
}

fn tone(word: Word) -> Tone {
    match word {
        Word::Regressed => Tone::Bad,
        Word::Improved => Tone::Good,
        Word::Unchanged => Tone::Neutral,
        Word::Inconclusive => Tone::Warning,
    }
}

/// How many figures went which way, and what counts most: all steps together, whatever moved.
fn headline(of: &Compares<'_>) -> Vec<Text> {
    let mut lines = Vec::new();
    if let Some(flag) = of.flag() {
        lines.push(Text::emphasis(Tone::Bad, flag).plain(": nothing can be concluded from it"));
    }
    if of.differences.iter().any(|it| it.weight != Weight::Noted) {
        let careful = Text::emphasis(Tone::Warning, "Careful");
        lines.push(careful.plain(": the runs did different work, or on different machines"));
    }
    let Some(whole) = of.comparison.parts.first() else { return lines };
    let count = |word| whole.figures.iter().filter(|it| it.word == word).count();
    let mut line = Text::default();
    for (index, word) in Word::ALL.into_iter().filter(|word| count(*word) > 0).enumerate() {
        line = if index > 0 { line.plain(", ") } else { line };
        line = line.plain(format!("{} ", count(word)));
        line = match word {
            Word::Unchanged => line.plain("unchanged within the margin"),
            _ => line.strong(tone(word), word.name()),
        };
    }
    lines.push(line);
    for word in [Word::Regressed, Word::Improved] {
        let those: Vec<&Compared> = whole.figures.iter().filter(|it| it.word == word).collect();
        if let Some((first, rest)) = those.split_first() {
            let said = rest.iter().fold(tables::in_words(first), |text, it| {
                format!("{text}; {}", tables::in_words(it))
            });
            lines.push(Text::emphasis(tone(word), word.name()).plain(format!(": {said}")));
        }
    }
    lines
}

fn sides(of: &Compares<'_>) -> Section {
    let mut section = Section::new("Compared").brief(true).with(tables::sides(&of.sides()));
    for (name, side) in of.sides() {
        let judged = side.folders.iter().zip(&side.validity);
        for (folder, validity) in judged.filter(|(_, validity)| !validity.is_valid()) {
            section = section.with(
                Text::emphasis(Tone::Bad, "Not valid")
                    .plain(format!(", {name}: "))
                    .code(folder)
                    .plain(format!(": {}", validity.reasons.join("; "))),
            );
        }
    }
    section
}

fn differences(of: &Compares<'_>) -> Section {
    let section = Section::new("What differs").brief(true);
    match of.differences.is_empty() {
        true => section.with(
            "Nothing that gander knows of: the same work, load, target by name, machine and gander.",
        ),
        false => section.with(tables::differences(of.differences)),
    }
}

fn provenance(of: &Compares<'_>) -> Section {
    let mut facts: Vec<(String, Text)> = Vec::new();
    for (name, side) in of.sides() {
        let Some(run) = side.group.runs.first() else { continue };
        let (environment, plan) = (&run.start.environment, &run.start.plan);
        let gander = provenance::version(environment);
        let target = Text::literal(&plan.target.origin).plain(" at ").code(&plan.target.url);
        let command = provenance::command(&plan.command_line);
        facts.extend([
            (format!("Target {name}"), target),
            (format!("Command {name}"), command),
            (format!("Machine {name}"), provenance::machine(environment)),
            (format!("gander {name}"), gander.into()),
            (format!("Workload digest {name}"), Text::literal(&plan.digest)),
        ]);
    }
    facts.push(("Comparison".to_owned(), provenance::command(of.command_line)));
    Section::new("Provenance").with(Block::Facts(facts))
}

fn what_was_drawn(comparison: &Comparison) -> String {
    match comparison.paired {
        true => format!(
            "The n-th runs of both sides were taken as a pair, {} pairs, and pairs were drawn.",
            comparison.basis[0].runs
        ),
        false => {
            let [before, after] = comparison.basis.each_ref().map(drawn);
            format!("Drawn: before {before}; after {after}.")
        }
    }
}

/// What the intervals rest on and what they do not cover.
fn interval_note(how: &str) -> String {
    format!(
        "The true change lies in this interval in about 19 cases of 20, and in 9 of 10 where noise lasts for seconds. Stretches of time were drawn, not single requests (circular blocks, Politis and Romano 1992; Student's t, Welch 1947; of failures no narrower than Newcombe 1998). {how} A machine that was slower during one run than during the other looks like a change, unless three runs or more of each side took turns."
    )
}

fn drawn(basis: &Basis) -> String {
    let runs = format::counted(basis.runs as u64, "run", "runs");
    let block = format!("{:.1} s", basis.block_seconds);
    match basis.draws_runs {
        true => format!("{runs}, and blocks of {block} in them"),
        false => format!("{:.0} blocks of {block} in {runs}", basis.units.floor()),
    }
}

const VERDICT_NOTE: &str = "improved, regressed: the whole interval is on that side of no change, and the change is larger than the margin. unchanged: the whole interval lies within the margin (Schuirmann 1987). inconclusive: neither, which is no failure; a longer run or more runs may decide.";
