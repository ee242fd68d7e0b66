//! What a run or a sweep suffers from: behind the key figures, where a reader looks first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::analysis::diagnose::{Cause, Confidence, Diagnosis, Finding};

use super::format;
use super::model::{Block, Note, Report, Section, Text, Tone};

const SURE: &str = "Confidence: the measured part is drawn again 500 times in stretches of time, and this is the share of the draws in which the rule still fires; of what comes from samples (profiles, caches, slopes) the share of the normal sampling error on this side of the rule's threshold. It tells of noise, and not of causes that no rule knows.";

/// Puts the section into `report`: behind its first one.
pub fn add_to(report: &mut Report, diagnosis: &Diagnosis) {
    let section = part_of(report, diagnosis);
    let at = report.sections.len().min(1);
    report.sections.insert(at, section);
}

/// The section, whose footnote goes into `report`.
pub fn part_of(report: &mut Report, diagnosis: &Diagnosis) -> Section {
    let note = note(report, diagnosis);
    let section = section(diagnosis, note);
    match diagnosis.not_judged.is_empty() {
        true => section,
        false => section.with("Not judged:").with(Block::List(not_judged(diagnosis))),
    }
}

/// The same within a larger report: what could not be judged by name alone.
pub fn in_short(report: &mut Report, diagnosis: &Diagnosis) -> Section {
    let note = note(report, diagnosis);
    let section = section(diagnosis, note);
    match diagnosis.not_judged.is_empty() {
        true => section,
        false => {
            let causes = diagnosis.not_judged.iter().map(|not| not.cause);
            section
                .with(names("Not judged, as the report of the run explains: ", causes).plain("."))
        }
    }
}

fn note(report: &mut Report, diagnosis: &Diagnosis) -> Option<Note> {
    (!diagnosis.findings.is_empty()).then(|| {
        let known = report.footnotes.iter().position(|note| note == SURE);
        Note(
            1 + known.unwrap_or_else(|| {
                report.footnotes.push(SURE.to_owned());
                report.footnotes.len() - 1
            }),
        )
    })
}

/// `findings`, `clear` and `not_judged`, causes by their names.
pub fn json(diagnosis: &Diagnosis) -> Value {
    json!(diagnosis)
}

fn section(diagnosis: &Diagnosis, note: Option<Note>) -> Section {
    let mut section = Section::new("Diagnosis").brief(true);
    if diagnosis.faults().next().is_none() {
        let more = match diagnosis.findings.is_empty() {
            true => ".",
            false => "; what follows tells where the time goes, and is no fault.",
        };
        section = section.with(Text::emphasis(Tone::Good, "No fault was found").plain(format!(
            " by the {} of {} rules that could judge{more}",
            diagnosis.clear.len() + diagnosis.findings.len(),
            Cause::ALL.len()
        )));
    }
    for finding in &diagnosis.findings {
        section = section.with(heading(finding, note)).with(Block::List(items(finding)));
    }
    if !diagnosis.clear.is_empty() {
        let clear = diagnosis.clear.iter().copied();
        section = section.with(names("Looked for and not found: ", clear).plain("."));
    }
    section
}

fn heading(finding: &Finding, note: Option<Note>) -> Text {
    let tone = if finding.is_fault { Tone::Bad } else { Tone::Neutral };
    let label = match finding.is_fault {
        true => finding.cause.label().to_owned(),
        false => format!("For information: {}", finding.cause.label()),
    };
    let text = Text::emphasis(tone, label).plain(" (").code(finding.cause.name());
    let text = text.plain("), ").plain(match finding.confidence {
        Confidence::Redrawn { share } | Confidence::Sampled { share } => {
            format!("confidence {}", format::share(share))
        }
        Confidence::Seen => "as seen".to_owned(),
        Confidence::TooShort => {
            "confidence not measured: the run is too short to estimate it".to_owned()
        }
    });
    match note {
        Some(note) => text.note(note),
        None => text,
    }
}

fn items(finding: &Finding) -> Vec<Text> {
    // What the target said may be anything.
    let mut items: Vec<Text> =
        finding.evidence.iter().map(|sentence| Text::from(sentence.as_str())).collect();
    let strong =
        |word: &str, text: &str| Text::emphasis(Tone::Neutral, word).plain(format!(": {text}"));
    let [change, expect] = match finding.is_fault {
        true => ["To change", "To expect"],
        false => ["To be faster still", "What that could give"],
    };
    items.push(strong(change, &finding.advice));
    items.push(strong(expect, &finding.gain));
    if !finding.or_else.is_empty() {
        let text = Text::emphasis(Tone::Neutral, "Or else").plain(": ");
        let also = finding.or_else.iter().copied();
        let also = names("", also);
        let mut text = Text(text.0.into_iter().chain(also.0).collect());
        if let Some(how) = &finding.tell_apart {
            text = text.plain(format!(". {how}"));
        }
        items.push(text);
    }
    items
}

fn names(before: &str, causes: impl Iterator<Item = Cause>) -> Text {
    causes.enumerate().fold(Text::from(before), |text, (index, cause)| {
        text.plain(if index > 0 { ", " } else { "" }).code(cause.name())
    })
}

/// Causes that could not be judged, those of one reason together.
fn not_judged(diagnosis: &Diagnosis) -> Vec<Text> {
    let mut by_reason: BTreeMap<&str, Vec<Cause>> = BTreeMap::new();
    for not in &diagnosis.not_judged {
        by_reason.entry(&not.why).or_default().push(not.cause);
    }
    let line =
        |(why, causes): (&str, Vec<Cause>)| names("", causes.into_iter()).plain(format!(": {why}"));
    by_reason.into_iter().map(line).collect()
}
