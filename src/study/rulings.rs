//! How expectations came out: at the head, in each section, all of them at the end, and by category.

use super::verdict::Judged;
use crate::analysis::Ruling;
use crate::report::format;
use crate::report::model::{Block, Column, Section, Table, Text, Tone};

/// Longer tables stand at the end of the report: in a section they would bury its words.
const LONGEST_IN_PLACE: usize = 3;
/// Where they stand.
const APPENDIX: &str = "Expectations";
/// The row of all categories.
const TOTAL: &str = "total";

/// How many came out how.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    passed: usize,
    failed: usize,
    unknown: usize,
    controls: usize,
}

impl Count {
    fn of<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> Count {
        judged.into_iter().fold(Count::default(), |count, of| {
            count.and(Count {
                passed: usize::from(of.ruling == Ruling::Passed),
                failed: usize::from(of.ruling == Ruling::Failed),
                unknown: usize::from(of.ruling == Ruling::Unknown),
                controls: usize::from(of.is_control),
            })
        })
    }

    fn and(self, other: Count) -> Count {
        Count {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            unknown: self.unknown + other.unknown,
            controls: self.controls + other.controls,
        }
    }

    fn all(self) -> usize {
        self.passed + self.failed + self.unknown
    }

    fn in_words(self) -> Text {
        let all = self.all();
        let text = match (self.failed, self.unknown) {
            (0, 0) if all == 1 => Text::emphasis(Tone::Good, "The one expectation held"),
            (0, 0) => Text::emphasis(Tone::Good, format!("All {all} expectations held")),
            (0, unknown) => Text::emphasis(
                Tone::Warning,
                format!("{unknown} of {all} expectations could not be judged"),
            ),
            (failed, _) => {
                Text::emphasis(Tone::Bad, format!("{failed} of {all} expectations failed"))
            }
        };
        match self.failed > 0 && self.unknown > 0 {
            true => text.plain(format!(", {} could not be judged", self.unknown)),
            false => text,
        }
    }
}

/// The verdict on the whole study.
pub fn headline<'a>(judged: impl Iterator<Item = &'a Judged>) -> Text {
    let count = Count::of(judged);
    match (count.all(), count.controls) {
        (0, _) => Text::from("No expectations"),
        (_, 0) => count.in_words(),
        (all, controls) => count.in_words().plain(format!(
            " ({} of the service, {} of the study and of gander itself)",
            all - controls,
            format::counted(controls as u64, "control", "controls")
        )),
    }
}

/// The verdicts of a section: a short table as it is, of a long one what did not hold.
pub fn in_place(judged: &[Judged]) -> Vec<Block> {
    if judged.is_empty() {
        return Vec::new();
    }
    if judged.len() <= LONGEST_IN_PLACE {
        return vec![table(judged.iter()).into()];
    }
    let line = Count::of(judged).in_words().plain(format!(": see {APPENDIX}, at the end."));
    let mut blocks = vec![line.into()];
    let mut wrong = judged.iter().filter(|of| of.ruling != Ruling::Passed).peekable();
    if wrong.peek().is_some() {
        blocks.push(table(wrong).into());
    }
    blocks
}

/// The tables that are too long for their sections, each by the title of its section.
pub fn appendix(sections: &[(&str, Option<&str>, &[Judged])]) -> Vec<Section> {
    let long = sections.iter().filter(|(.., judged)| judged.len() > LONGEST_IN_PLACE);
    let parts = long.map(|(title, _, judged)| Section {
        level: 2,
        ..Section::new(*title).with(table(judged.iter()))
    });
    let parts: Vec<Section> = parts.collect();
    if parts.is_empty() {
        return parts;
    }
    let head = Section::new(APPENDIX).with("Those of sections with more than a few.");
    std::iter::once(head).chain(parts).collect()
}

fn table<'a>(judged: impl Iterator<Item = &'a Judged>) -> Table {
    let mut table = Table::new([
        Column::words("Expectation"),
        Column::words("Model").expendable(1),
        Column::figures("Accepted"),
        Column::figures("Measured"),
        Column::words("Verdict"),
    ]);
    table.rows.extend(judged.map(|of| {
        let verdict = match of.ruling {
            Ruling::Passed => Text::emphasis(Tone::Good, "passed"),
            Ruling::Failed => Text::emphasis(Tone::Bad, "FAILED"),
            Ruling::Unknown => Text::emphasis(Tone::Warning, "not judged"),
        };
        let what = match of.is_control {
            true => Text::from(format!("control: {}", of.what)),
            false => Text::from(of.what.as_str()),
        };
        vec![
            what.into(),
            of.expected.as_deref().unwrap_or_default().into(),
            of.accepted.as_str().into(),
            of.measured.as_str().into(),
            verdict.into(),
        ]
    }));
    table
}

/// What was judged, by category: made from what ran.
pub fn coverage(sections: &[(&str, Option<&str>, &[Judged])]) -> Section {
    let mut by_category: Vec<(&str, Count)> = Vec::new();
    for (_, category, judged) in sections {
        let Some(category) = category.filter(|_| !judged.is_empty()) else { continue };
        let count = Count::of(*judged);
        match by_category.iter_mut().find(|(name, _)| *name == category) {
            Some((_, sum)) => *sum = sum.and(count),
            None => by_category.push((category, count)),
        }
    }
    let section = Section::new("Coverage");
    if by_category.is_empty() {
        return section;
    }
    let row = |name: &str, count: Count| {
        let (tone, status) = match (count.failed, count.unknown) {
            (0, 0) => (Tone::Good, "all passed".to_owned()),
            (0, unknown) => (Tone::Warning, format!("{unknown} not judged")),
            (failed, _) => (Tone::Bad, format!("{failed} failed")),
        };
        // The last row stands out by itself.
        let status = match name {
            TOTAL => Text::from(status),
            _ => Text::emphasis(tone, status),
        };
        let [all, controls] = [count.all(), count.controls].map(|it| format::count(it as u64));
        vec![name.into(), all.as_str().into(), controls.as_str().into(), status.into()]
    };
    let mut table = Table::new([
        Column::words("Category"),
        Column::figures("Expectations"),
        Column::figures("Of them controls"),
        Column::words("Status"),
    ]);
    let sum = by_category.iter().fold(Count::default(), |sum, (_, count)| sum.and(*count));
    table.rows.extend(by_category.into_iter().map(|(name, count)| row(name, count)));
    table.total = Some(row(TOTAL, sum));
    section.with(table)
}
