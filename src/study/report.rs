//! The report of a study: its sections as its file has them, then what was covered, the runs and the
//! provenance.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::{Map, Value as Json, json};

use super::figures::Measured;
use super::marked::marked;
use super::model::{self, Row, Study};
use super::verdict::Judged;
use super::words::{Said, Words, scope};
use super::{charts, rulings, tables};
use crate::report::model::{Block, Column, Report, Section, Table, Text, Tone};
use crate::report::provenance;
use crate::store::study::{StudyEnd, StudyRecord};

/// A study, carried out and judged.
pub struct Findings {
    /// What was asked.
    pub study: Study,
    /// What was done.
    pub record: StudyRecord,
    /// What was measured, by the name of the run.
    pub measured: BTreeMap<String, Measured>,
    /// The same as expressions see it.
    figures: Json,
    /// The expectations of each section; of one that is not shown, none.
    judged: Vec<Vec<Judged>>,
    words: Words,
    scope: Value,
}

impl Findings {
    /// Judges what was measured.
    pub fn of(study: Study, record: StudyRecord, measured: BTreeMap<String, Measured>) -> Findings {
        let figures: Map<String, Json> =
            measured.iter().map(|(name, of)| (name.clone(), of.figures())).collect();
        let figures = Json::Object(figures);
        let intervals = tables::intervals(&study, &measured, record.seed);
        let (words, scope) = (Words::default(), scope(&figures, intervals));
        let judged = study.sections.iter().map(|section| {
            // Expectations on runs that a quick study leaves out are no expectations of it.
            let is_asked =
                |value: &str| !(record.is_quick && names_left_out(&study, &words, value));
            let expected = section.expect.iter().filter(|it| is_asked(&it.value));
            match words.holds(section.when.as_deref(), &scope) {
                true => expected.map(|it| Judged::of(it, &words, &scope)).collect(),
                false => Vec::new(),
            }
        });
        let judged = judged.collect();
        Findings { study, record, measured, figures, judged, words, scope }
    }

    /// All expectations.
    pub fn judged(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().flatten()
    }

    /// Whether every slice is a valid run, and all were made.
    pub fn is_valid(&self) -> bool {
        self.measured.values().all(|of| of.validity.is_valid())
            && self.record.slices.len() == self.record.planned
    }

    /// Everything that was found, for machines.
    pub fn summary(&self) -> Json {
        let sections = self.study.sections.iter().zip(&self.judged);
        let sections = sections.filter(|(_, judged)| !judged.is_empty());
        json!({
            "valid": self.is_valid(),
            "runs": self.figures,
            "sections": sections
                .map(|(section, judged)| json!({ "title": section.title, "expectations": judged }))
                .collect::<Vec<_>>(),
        })
    }

    fn fill(&self, text: &str) -> String {
        self.words.fill(text, &self.scope)
    }

    /// A figure of a run; `None` where it was not measured.
    pub(super) fn figure(&self, run: &str, figure: &str) -> Option<f64> {
        self.figures[run][figure].as_f64()
    }

    /// What an expression comes to; `None` where it is no number, or was not measured.
    pub(super) fn number(&self, expression: &str) -> Option<f64> {
        match self.words.evaluate(expression, &self.scope) {
            Said::Known(value) => f64::try_from(value).ok().filter(|number| number.is_finite()),
            _ => None,
        }
    }

    /// What a run is, in words.
    pub(super) fn about<'a>(&'a self, run: &'a str) -> &'a str {
        self.study.run(run).map_or(run, |run| run.about.as_str())
    }

    fn holds(&self, condition: Option<&str>) -> bool {
        self.words.holds(condition, &self.scope)
    }
}

/// Whether an expression names a run that a quick study leaves out.
fn names_left_out(study: &Study, words: &Words, value: &str) -> bool {
    let names = words.check_expression(value).unwrap_or_default();
    names.iter().any(|name| {
        let run = name.split('.').next().and_then(|name| study.run(name));
        run.is_some_and(|run| run.is_full_only)
    })
}

/// The report.
pub fn build(findings: &Findings) -> Report {
    let study = &findings.study;
    let mut report = Report {
        title: study.title.clone(),
        subtitle: subtitle(findings),
        sections: Vec::new(),
        footnotes: tables::footnotes(),
        location: None,
    };
    let sections = study.sections.iter().zip(&findings.judged).enumerate();
    for (number, (section, judged)) in sections {
        if findings.holds(section.when.as_deref()) {
            let stem = format!("{:02}", number + 1);
            self::section(&mut report, &stem, section, judged, findings);
        }
    }
    other_profiles(&mut report, findings);
    let judged: Vec<(&str, Option<&str>, &[Judged])> = study
        .sections
        .iter()
        .zip(&findings.judged)
        .map(|(of, judged)| (of.title.as_str(), of.category.as_deref(), judged.as_slice()))
        .collect();
    let last = std::iter::once(rulings::coverage(&judged))
        .chain(rulings::appendix(&judged))
        .chain([tables::runs_made(findings), provenance(findings)]);
    report.sections.extend(last.filter(|section| !section.blocks.is_empty()));
    report
}

/// What a run suffers from, below its section.
fn diagnosis(
    report: &mut Report,
    level: usize,
    (name, measured): (&String, &Measured),
    findings: &Findings,
) {
    let section = crate::report::diagnosis::in_short(report, &measured.diagnosis);
    let title = format!("{}: {}", section.title, findings.about(name));
    report.sections.push(Section { title, level: section.level + level, ..section });
}

/// Profiles that were taken and that no section shows: those of `--profile`.
fn other_profiles(report: &mut Report, findings: &Findings) {
    let study = &findings.study;
    let is_shown = |name: &String| {
        let mut shown = study.sections.iter().filter(|it| findings.holds(it.when.as_deref()));
        shown.any(|section| section.profile.contains(name))
    };
    for run in study.runs.iter().filter(|run| !is_shown(&run.name)) {
        let Some(of) = findings.measured.get_key_value(&run.name) else { continue };
        if !of.1.profile.taken.is_empty() {
            report.sections.push(Section::new(format!("Where the time goes: {}", run.about)));
            profiles(report, 1, of);
        }
    }
}

/// What the profile of a run says, below its section.
fn profiles(report: &mut Report, level: usize, (name, measured): (&String, &Measured)) {
    let has_rows = measured.group.summary.rows.is_some();
    let row = has_rows.then_some("row");
    let sections = crate::report::profile::of_target(report, &measured.profile, row, name);
    report.sections.extend(sections.into_iter().map(|section| Section {
        level: section.level + level,
        brief: false,
        ..section
    }));
}

fn subtitle(findings: &Findings) -> Vec<Text> {
    let mut lines = vec![rulings::headline(findings.judged())];
    let invalid: Vec<&str> = findings
        .measured
        .iter()
        .filter(|(_, of)| !of.validity.is_valid())
        .map(|(name, _)| name.as_str())
        .collect();
    if !invalid.is_empty() {
        lines.push(
            Text::emphasis(Tone::Warning, "Not valid")
                .plain(format!(": runs that cannot be trusted: {}; see Runs", invalid.join(", "))),
        );
    }
    let (made, planned) = (findings.record.slices.len(), findings.record.planned);
    match &findings.record.end {
        Some(StudyEnd::Done) if findings.record.is_quick => lines.push(Text::emphasis(
            Tone::Warning,
            "A quick study: it shows that everything works; its figures are rough",
        )),
        Some(StudyEnd::Done) => {}
        Some(StudyEnd::Failed(why)) => lines.push(
            Text::emphasis(Tone::Bad, format!("Ended early, after {made} of {planned} slices"))
                .plain(format!(": {why}")),
        ),
        _ => lines.push(Text::emphasis(
            Tone::Warning,
            format!("Interrupted after {made} of {planned} slices"),
        )),
    }
    if !findings.record.environment.optimised_build {
        lines.push(Text::emphasis(Tone::Warning, "A debug build").plain(
            " of gander and its reference services measured this: what they cost themselves is more than in a release build",
        ));
    }
    lines.extend(findings.study.subject.as_deref().map(Text::from));
    lines
}

/// One section of the file; its pairs and profiles come below it.
fn section(
    report: &mut Report,
    stem: &str,
    of: &model::Section,
    judged: &[Judged],
    findings: &Findings,
) {
    let mut section = Section::new(&of.title).brief(true);
    section.level = of.level;
    for paragraph in &of.text {
        section = section.with(marked(&findings.fill(paragraph)));
    }
    let items = of.list.iter().filter(|(_, when)| findings.holds(when.as_deref()));
    let items: Vec<Text> = items.map(|(text, _)| marked(&findings.fill(text))).collect();
    if !items.is_empty() {
        section = section.with(Block::List(items));
    }
    if !of.columns.is_empty() {
        section = section.with(table(of, findings));
    }
    if !of.runs.is_empty() {
        section = section.with(tables::runs(&of.runs, findings));
    }
    for pair in &of.compare {
        section = section.with(tables::pair(pair, findings));
    }
    for (number, chart) in (1..).zip(&of.charts) {
        let stem = format!("{stem}-{number}");
        section = charts::drawn(chart, &stem, findings).into_iter().fold(section, Section::with);
    }
    section = rulings::in_place(judged).into_iter().fold(section, Section::with);
    report.sections.push(section);
    for run in of.diagnosis.iter().filter_map(|name| findings.measured.get_key_value(name)) {
        diagnosis(report, of.level, run, findings);
    }
    for run in of.profile.iter().filter_map(|name| findings.measured.get_key_value(name)) {
        profiles(report, of.level, run);
    }
}

fn table(of: &model::Section, findings: &Findings) -> Table {
    let key = |row: &Row| row.key.as_deref().and_then(|key| findings.number(key));
    let mut rows: Vec<&Row> =
        of.rows.iter().filter(|row| findings.holds(row.when.as_deref())).collect();
    if rows.iter().any(|row| row.key.is_some()) {
        // What was not measured comes last.
        let order = |row: &&Row| key(row).unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|a, b| order(b).total_cmp(&order(a)));
    }
    let is_figure = |column: usize| {
        let has_hole = |row: &&Row| row.cells.get(column).is_some_and(|cell| cell.contains("{{"));
        !rows.is_empty() && rows.iter().all(has_hole)
    };
    let columns = of.columns.iter().enumerate().map(|(index, heading)| match is_figure(index) {
        true => Column::figures(heading),
        false => Column::words(heading),
    });
    let mut table = Table::new(columns);
    table.rows.extend(
        rows.iter()
            .map(|row| row.cells.iter().map(|cell| marked(&findings.fill(cell)).into()).collect()),
    );
    table
}

fn provenance(findings: &Findings) -> Section {
    let record = &findings.record;
    let environment = &record.environment;
    let facts = [
        ("Started", Text::from(record.started_at.as_str())),
        ("Command", provenance::command(&record.command_line)),
        ("Seed", Text::from(record.seed.to_string())),
        ("Machine", provenance::machine(environment)),
        ("gander", Text::from(provenance::version(environment))),
        ("Build", Text::from(build_of(environment.optimised_build))),
    ];
    let facts = facts.into_iter().map(|(name, text)| (name.to_owned(), text));
    Section::new("Provenance").with(Block::Facts(facts.collect()))
}

fn build_of(is_optimised: bool) -> &'static str {
    if is_optimised { "release" } else { "debug, without optimisation" }
}
