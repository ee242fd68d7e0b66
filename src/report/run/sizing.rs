//! What the target used beside what it may use where it is deployed.

use crate::analysis::sizing::{Resource, Sized, Word, desired, size};
use crate::measure::resource::Observed;
use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};
use crate::scenario::sizing::Sizing;

use super::Source;
use super::notes::Notes;

const AMOUNTS: &str = "Sizing: the scenario's [sizing], of one replica, beside what the target's process tree used in the measured part: processor time over its length, and memory at each look: of one process what is resident, of several their proportional size, in which each page counts once. Headroom is the limit less the peak, in shares of the limit. A peak of processors is the largest between two looks: shorter ones are not seen. This machine need not be the one it is deployed on.";
const REPLICAS: &str = "Replicas: an estimate, ceil(replicas x mean use of the request / target use of it), as Kubernetes' Horizontal Pod Autoscaler computes it without its tolerance of 10% and its windows; the resource that wants most decides. It holds for the load of this run, spread evenly. Memory seldom shrinks with the load of a replica.";

/// What was chosen, and what was used; empty where nothing was chosen.
pub fn sizing(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Sizing").brief(true);
    let Some(sizing) = &source.plan().sizing else { return section };
    let sized = size(sizing, &source.resources(Observed::Target).used());
    let mut section = section;
    for one in &sized {
        section = match one.word {
            Word::BeyondLimit => section.with(beyond(one)),
            Word::MayBeBeyond => section.with(
                "Whether the memory is beyond the limit is not known: of its processes only the resident memory was measured, in which pages that they share count once for each.",
            ),
            Word::NearLimit | Word::AboveRequest | Word::Within | Word::Unknown => section,
        };
    }
    if sized.iter().all(|one| one.mean.is_none() && one.peak.is_none()) {
        section = section.with("The target was not measured: see the resources.");
    }
    section = section.with(table(&sized, notes));
    match replicas(sizing, &sized, notes) {
        Some(text) => section.with(text),
        None => section,
    }
}

fn beyond(one: &Sized) -> Text {
    let (name, effect) = match one.resource {
        Resource::Cpu => ("CPU", "a container with this limit is throttled there"),
        Resource::Memory => ("Memory", "a container with this limit is killed there"),
    };
    let shown = |value: Option<f64>| value.map_or_else(String::new, |v| amount(one.resource, v));
    Text::emphasis(Tone::Bad, "Beyond the limit").plain(format!(
        ": {name} peaked at {}, and the limit is {}; {effect}.",
        shown(one.peak),
        shown(one.limit)
    ))
}

fn table(sized: &[Sized], notes: &mut Notes) -> Table {
    let mut table = Table::new([
        Column::words("Resource").note(notes.refer(AMOUNTS)),
        Column::figures("Request"),
        Column::figures("Limit"),
        Column::figures("Mean"),
        Column::figures("Peak"),
        Column::figures("Headroom"),
        Column::words("Verdict"),
    ]);
    table.rows.extend(sized.iter().map(|one| {
        let shown = |value: Option<f64>| value.map(|value| amount(one.resource, value));
        let limit = shown(one.limit);
        let limit =
            if one.is_of_group { limit.map(|l| format!("{l} (control group)")) } else { limit };
        let headroom = one.headroom.zip(one.limit).map(|(left, limit)| {
            let sign = if left < 0.0 { "\u{2212}" } else { "" };
            format!("{sign}{}", format::cpu((left / limit * 100.0).abs()))
        });
        let at_most = |figure: String| match one.is_at_most {
            true => format!("at most {figure}"),
            false => figure,
        };
        let why = if one.limit.is_none() { "no limit" } else { format::NOT_MEASURED };
        vec![
            match one.resource {
                Resource::Cpu => "CPU, processors".into(),
                Resource::Memory => "Memory".into(),
            },
            Cell::figure(shown(one.request), "none chosen"),
            Cell::figure(limit, "none chosen"),
            Cell::figure(shown(one.mean).map(at_most), format::NOT_MEASURED),
            Cell::figure(shown(one.peak).map(at_most), format::NOT_MEASURED),
            Cell::figure(headroom, why),
            word(one.word).into(),
        ]
    }));
    table
}

fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format::amount(value),
        Resource::Memory => format::bytes(value as u64),
    }
}

fn word(word: Word) -> Text {
    match word {
        Word::BeyondLimit => Text::emphasis(Tone::Bad, "BEYOND THE LIMIT"),
        Word::MayBeBeyond => Text::emphasis(Tone::Warning, "may be beyond the limit"),
        Word::NearLimit => Text::emphasis(Tone::Warning, "near the limit"),
        Word::AboveRequest => Text::emphasis(Tone::Warning, "above the request"),
        Word::Within => Text::emphasis(Tone::Good, "within"),
        Word::Unknown => Text::from("not judged"),
    }
}

/// `Desired replicas: 2, from 1: CPU 100% of its request at a target of 70% wants 2; memory …`.
fn replicas(sizing: &Sizing, sized: &[Sized], notes: &mut Notes) -> Option<Text> {
    let (allowed, wanted) = desired(sizing, sized)?;
    let each = sized.iter().filter_map(|one| {
        let (share, target) = one.utilization.zip(one.target)?;
        let name = match one.resource {
            Resource::Cpu => "CPU",
            Resource::Memory => "memory",
        };
        let (share, target) = (format::cpu(share * 100.0), format::cpu(target * 100.0));
        Some(format!(
            "{name} at {share} of its request wants {}, at a target of {target}",
            one.replicas?
        ))
    });
    let each: Vec<String> = each.collect();
    let most = match allowed < wanted {
        true => format!(" ({wanted} are wanted, and {allowed} is the most there may be)"),
        false => String::new(),
    };
    let tone = if allowed < wanted { Tone::Warning } else { Tone::Neutral };
    Some(
        Text::from("Desired replicas, estimated: ")
            .strong(tone, allowed.to_string())
            .plain(format!("{most}, of now {}: {}.", sizing.replicas, each.join("; ")))
            .note(notes.refer(REPLICAS)),
    )
}
