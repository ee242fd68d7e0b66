//! The report of a sweep.

pub mod json;
mod tables;
mod words;

use crate::analysis::capacity::{Capacity, Group};
use crate::store::sweep::{Dimension, SweepRecord};

use super::chart;
use super::chart::sweep::Said;
use super::model::{Block, Report, Section, Text};
use super::provenance;
use tables::Footnotes;

/// The report of the sweep `record`, whose points say `capacity`.
pub fn build(record: &SweepRecord, capacity: &Capacity) -> Report {
    let mut notes = Footnotes::default();
    let mut sections = vec![levels(record, capacity, &mut notes)];
    if capacity.groups.len() > 1 {
        sections.push(Section::new("Requests per second").with(tables::matrix(record, capacity)));
    }
    sections.extend([
        scalability(record, capacity, &mut notes),
        charts(record, capacity),
        runs(record, capacity),
        provenance(record),
    ]);
    let mut subtitle: Vec<Text> = Vec::new();
    subtitle.extend(words::answer(record, capacity));
    subtitle.extend(words::end(record));
    subtitle.push(what(record));
    Report {
        title: format!("Sweep: {}", record.scenario),
        subtitle,
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        footnotes: notes.into_texts(),
        location: None,
    }
}

/// What was swept, and against which rules.
fn what(record: &SweepRecord) -> Text {
    let axes = record.axes.iter().map(|axis| match (&axis.dimension, record.until.is_empty()) {
        (Dimension::Service(key), _) => format!("{key} = {}", axis.values.join(", ")),
        (dimension, true) => format!("{} {}", dimension.name(), axis.values.join(", ")),
        (dimension, false) => format!("{} from {}", dimension.name(), axis.values[0]),
    });
    let axes = axes.collect::<Vec<_>>().join("; ");
    if record.until.is_empty() {
        let times = match record.trials {
            1 => "once".to_owned(),
            trials => format!("{trials} times"),
        };
        return Text::from(format!("{axes}, each measured {times}"));
    }
    let mut text = Text::from(format!("{axes}, in search of the largest load that keeps to "));
    for (index, rule) in record.until.iter().enumerate() {
        text = if index > 0 { text.plain(" and ") } else { text };
        text = text.code(&rule.text);
    }
    text
}

/// The heading of a group, where there are several.
fn heading(record: &SweepRecord, group: &Group) -> Option<String> {
    let axis = record.axes.get(1)?;
    Some(axis.dimension.in_words(group.other.as_ref()?))
}

fn levels(record: &SweepRecord, capacity: &Capacity, notes: &mut Footnotes) -> Section {
    let mut section = Section::new("Points").brief(true);
    if capacity.groups.is_empty() {
        return section.with("No point was measured.");
    }
    for group in &capacity.groups {
        let mut table = tables::levels(record, group, notes);
        table.caption = heading(record, group).map(Text::from);
        section = section.with(table);
        if let Some(gain) = &group.gain {
            section = section.with(words::gain(record, gain));
        }
    }
    section
}

fn scalability(record: &SweepRecord, capacity: &Capacity, notes: &mut Footnotes) -> Section {
    let mut section = Section::new("Scalability").brief(true);
    for group in &capacity.groups {
        let named = heading(record, group).map(|name| format!("{name}: ")).unwrap_or_default();
        let law = Text::from(format!("{named}Universal Scalability Law")).note(notes.law(record));
        section = section.with(law).with(Block::List(words::fit(record, group)));
    }
    section
}

fn charts(record: &SweepRecord, capacity: &Capacity) -> Section {
    let mut section = Section::new("Charts");
    let Some(axis) = record.axes.first() else { return section };
    let label = match &axis.dimension {
        Dimension::Users => "Users",
        Dimension::Rate => "Iterations started per second",
        Dimension::Service(key) => key,
    };
    for (index, group) in capacity.groups.iter().enumerate() {
        let stem =
            if capacity.groups.len() > 1 { format!("-{}", index + 1) } else { String::new() };
        let name = heading(record, group);
        let said = Said {
            label,
            against: "load",
            of: name.as_deref(),
            subtitle: "Median over the valid runs of a point",
            stem: &stem,
        };
        for chart in chart::sweep::all(group, said) {
            section = section.with(chart);
        }
    }
    section
}

fn runs(record: &SweepRecord, capacity: &Capacity) -> Section {
    Section::new("Runs").with(tables::runs(record, capacity))
}

fn provenance(record: &SweepRecord) -> Section {
    let facts = [
        ("Date", Text::literal(&record.started_at)),
        ("Command", provenance::command(&record.command_line)),
        ("Seed", Text::literal(record.seed.to_string())),
        (
            "Rules of the scenario",
            "not judged: a sweep has rules of its own, and goes where others break".into(),
        ),
        ("More", "each run has a report of its own in its folder, with machine and build".into()),
    ];
    let laid_over = provenance::laid_over(record.variant.as_deref(), &record.settings);
    let facts = laid_over.chain(facts).map(|(name, value)| (name.to_owned(), value));
    Section::new("Provenance").with(Block::Facts(facts.collect()))
}
