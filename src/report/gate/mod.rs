//! The report of a gate.

mod cases;
mod chart;
pub mod comment;
pub mod github;
pub mod json;
pub mod junit;
mod tables;
pub mod words;

use crate::analysis::gate::power::Reach;
use crate::analysis::gate::{Decision, Judged, Round};
use crate::analysis::{Ruling, Verdict};
use crate::store::gate::GateRecord;

use super::format;
use super::model::{Block, Note, Report, Section, Text, Tone};
use super::provenance;

/// What a gate's report is made from.
#[derive(Debug)]
pub struct Told<'a> {
    /// What was asked for, and what was run.
    pub record: &'a GateRecord,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// Its figures, judged.
    pub judged: Vec<Judged>,
    /// The rules that the head must keep, judged.
    pub rules: Vec<Verdict>,
    /// What follows.
    pub decision: Decision,
    /// Of a plan: how long a gate must run.
    pub reach: Vec<Reach>,
}

impl Told<'_> {
    /// Rules that do not hold, in words.
    fn broken_rules(&self) -> Vec<String> {
        let broken = self.rules.iter().filter(|rule| rule.ruling == Ruling::Failed);
        broken.map(|rule| format!("{} does not hold: {}", rule.rule, rule.measured)).collect()
    }

    /// Whether it is to say how long a gate must run.
    pub fn is_plan(&self) -> bool {
        !self.record.effects.is_empty()
    }
}

const INTERVAL: Note = Note(1);
const VERDICT: Note = Note(2);
const DETECTABLE: Note = Note(3);

/// The report.
pub fn build(told: &Told<'_>) -> Report {
    let sections = match told.is_plan() {
        true => vec![plan(told), noise(told), rounds(told), provenance(told)],
        false => vec![figures(told), rules(told), method(told), rounds(told), provenance(told)],
    };
    Report {
        title: match told.is_plan() {
            true => format!("Plan of a gate: {}", told.record.scenario),
            false => format!("Gate: {}", told.record.scenario),
        },
        subtitle: headline(told),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        footnotes: notes(told),
        location: None,
    }
}

/// How a decision looks.
fn tone(decision: Decision) -> Tone {
    match decision {
        Decision::Passed => Tone::Good,
        Decision::Failed => Tone::Bad,
        Decision::Inconclusive => Tone::Warning,
    }
}

fn headline(told: &Told<'_>) -> Vec<Text> {
    let [base, head] = &told.record.sides;
    if told.is_plan() {
        let what = format!("{base} beside itself, {} rounds", told.rounds.len());
        return vec![
            Text::from("How long a gate must run at the noise of this machine: ").plain(what),
        ];
    }
    vec![
        Text::emphasis(tone(told.decision), told.decision.name())
            .plain(format!(": {}", words::verdict(told))),
        Text::from("Base ").code(base).plain(", head ").code(head),
    ]
}

fn figures(told: &Told<'_>) -> Section {
    let section = Section::new("Figures").brief(true);
    if told.judged.is_empty() {
        return section.with("Nothing could be judged at this load.");
    }
    let mut section = section.with(tables::figures(&told.judged, [INTERVAL, VERDICT, DETECTABLE]));
    for (figure, why) in &told.record.left_out {
        section = section.with(Text::from(format!("{figure} is not judged: {why}.")));
    }
    match chart::chart(told) {
        Some(chart) => section.with(chart),
        None => section,
    }
}

fn rules(told: &Told<'_>) -> Section {
    let section = Section::new("Rules").brief(true);
    match told.rules.is_empty() {
        true => section,
        false => section.with(tables::rules(&told.rules)),
    }
}

fn method(told: &Told<'_>) -> Section {
    Section::new("How it was measured").with(facts(told))
}

fn plan(told: &Told<'_>) -> Section {
    let section = Section::new("How long").brief(true);
    match told.reach.is_empty() {
        true => section.with("Too few rounds were made to know the noise."),
        false => section.with(tables::reach(told)),
    }
}

fn noise(told: &Told<'_>) -> Section {
    Section::new("How it was measured").with(facts(told))
}

fn facts(told: &Told<'_>) -> Block {
    let facts = tables::method(told).into_iter();
    Block::Facts(facts.map(|(name, text)| (name.to_owned(), text.into())).collect())
}

fn rounds(told: &Told<'_>) -> Section {
    let section = Section::new("Rounds");
    match told.rounds.is_empty() {
        true => section,
        false => section.with(tables::rounds(told)),
    }
}

fn provenance(told: &Told<'_>) -> Section {
    let record = told.record;
    let facts = [
        ("Command", provenance::command(&record.command_line)),
        ("Started", Text::from(record.started_at.as_str())),
        ("Machine", provenance::machine(&record.environment)),
        ("System", Text::from(record.environment.system.as_str())),
        ("gander", Text::from(provenance::version(&record.environment))),
        ("Workload digest", Text::literal(record.digest.as_str())),
        ("Seed", Text::from(record.seed.to_string())),
    ];
    let facts = facts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    Section::new("Provenance").with(Block::Facts(facts))
}

fn notes(told: &Told<'_>) -> Vec<String> {
    let record = told.record;
    let percent = |share: f64| format!("{}%", format::amount(share * 100.0));
    vec![
        "Of the change from base to head, with 90% confidence (95% at each end), by Student's t over \
         rounds. A round gives one value: the Hodges-Lehmann estimate, over its stretches, of the \
         logarithm of head over base."
            .to_owned(),
        format!(
            "Regressed, or improved: proven beyond a fifth of the margin, with at most {} chance of \
             any false alarm over all figures and looks (Holm; Hwang, Shih and DeCani). Unchanged: \
             proven to be within the margin; no worse: proven not to be worse by it; what is worse by \
             its margin passes with at most {} chance.",
            percent(record.alpha),
            percent(record.beta)
        ),
        "The smallest worsening that this gate, at the noise of its rounds, finds in four of five cases \
         if it runs to its end."
            .to_owned(),
    ]
}
