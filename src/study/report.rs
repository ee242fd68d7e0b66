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
use super::{charts, tables};
use crate::analysis::Ruling;
use crate::report::format;
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
        let (words, scope) = (Words::default(), scope(&figures));
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
    let last = [coverage(findings), tables::runs_made(findings), provenance(findings)];
    report.sections.extend(last.into_iter().filter(|section| !section.blocks.is_empty()));
    report
}

/// What a run suffers from, below its section.
fn diagnosis(
    report: &mut Report,
    level: usize,
    (name, measured): (&String, &Measured),
    findings: &Findings,
) {
    let section = crate::report::diagnosis::part_of(report, &measured.diagnosis);
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
    let (mut passed, mut failed, mut unknown) = (0, 0, 0);
    for judged in findings.judged() {
        match judged.ruling {
            Ruling::Passed => passed += 1,
            Ruling::Failed => failed += 1,
            Ruling::Unknown => unknown += 1,
        }
    }
    let all = passed + failed + unknown;
    let mut verdict = match () {
        () if failed > 0 => {
            Text::emphasis(Tone::Bad, format!("{failed} of {all} expectations failed"))
        }
        () if unknown > 0 => Text::emphasis(
            Tone::Warning,
            format!("{unknown} of {all} expectations could not be judged"),
        ),
        () if all == 0 => Text::from("No expectations"),
        () => Text::emphasis(Tone::Good, format!("All {all} expectations held")),
    };
    if failed > 0 && unknown > 0 {
        verdict = verdict.plain(format!(", {unknown} could not be judged"));
    }
    let mut lines = vec![verdict];
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
    if !of.runs.is_empty() {
        section = section.with(tables::runs(&of.runs, findings));
    }
    if !of.columns.is_empty() {
        section = section.with(table(of, findings));
    }
    for pair in &of.compare {
        section = section.with(tables::pair(pair, findings));
    }
    for (number, chart) in (1..).zip(&of.charts) {
        let stem = format!("{stem}-{number}");
        section = charts::drawn(chart, &stem, findings).into_iter().fold(section, Section::with);
    }
    if !judged.is_empty() {
        section = section.with(verdicts(judged));
    }
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

fn verdicts(judged: &[Judged]) -> Table {
    let mut table = Table::new([
        Column::words("Expectation"),
        Column::words("Model").expendable(1),
        Column::figures("Accepted"),
        Column::figures("Measured"),
        Column::words("Verdict"),
    ]);
    table.rows.extend(judged.iter().map(|of| {
        let verdict = match of.ruling {
            Ruling::Passed => Text::emphasis(Tone::Good, "passed"),
            Ruling::Failed => Text::emphasis(Tone::Bad, "FAILED"),
            Ruling::Unknown => Text::emphasis(Tone::Warning, "not judged"),
        };
        vec![
            of.what.as_str().into(),
            of.expected.as_deref().unwrap_or_default().into(),
            of.accepted.as_str().into(),
            of.measured.as_str().into(),
            verdict.into(),
        ]
    }));
    table
}

/// The row of all categories.
const TOTAL: &str = "total";

/// What was judged, by category: made from what ran.
fn coverage(findings: &Findings) -> Section {
    let mut by_category: Vec<(&str, [usize; 3])> = Vec::new();
    for (section, judged) in findings.study.sections.iter().zip(&findings.judged) {
        let Some(category) = section.category.as_deref().filter(|_| !judged.is_empty()) else {
            continue;
        };
        let place = by_category.iter().position(|(name, _)| *name == category);
        let place = place.unwrap_or_else(|| {
            by_category.push((category, [0; 3]));
            by_category.len() - 1
        });
        for of in judged {
            by_category[place].1[of.ruling as usize] += 1;
        }
    }
    let section = Section::new("Coverage");
    if by_category.is_empty() {
        return section;
    }
    let row = |name: &str, [passed, failed, unknown]: [usize; 3]| {
        let (tone, status) = match (failed, unknown) {
            (0, 0) => (Tone::Good, "all passed".to_owned()),
            (0, unknown) => (Tone::Warning, format!("{unknown} not judged")),
            (failed, _) => (Tone::Bad, format!("{failed} failed")),
        };
        // The last row stands out by itself.
        let status = match name {
            TOTAL => Text::from(status),
            _ => Text::emphasis(tone, status),
        };
        let count = format::count((passed + failed + unknown) as u64);
        vec![name.into(), count.as_str().into(), status.into()]
    };
    let mut table = Table::new([
        Column::words("Category"),
        Column::figures("Expectations"),
        Column::words("Status"),
    ]);
    let mut sum = [0; 3];
    for (name, counts) in by_category {
        sum = std::array::from_fn(|index| sum[index] + counts[index]);
        table.rows.push(row(name, counts));
    }
    table.total = Some(row(TOTAL, sum));
    section.with(table)
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
    ];
    let facts = facts.into_iter().map(|(name, text)| (name.to_owned(), text));
    Section::new("Provenance").with(Block::Facts(facts.collect()))
}
