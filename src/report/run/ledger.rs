//! Where every request went, and whether the figures may be trusted.

use crate::measure::interval::Phase;
use crate::report::format;
use crate::report::model::{Block, Cell, Column, Section, Table, Text, Tone};

use super::Source;
use super::notes::{self, Notes};

/// The totals of the whole run and their check.
pub fn ledger(source: &Source<'_>, notes: &mut Notes) -> Section {
    let ledger = source.run.ledger();
    let mut table = Table::new([
        Column::words("Whole run"),
        Column::figures("Count").note(notes.refer(notes::LEDGER)),
        Column::words("Meaning"),
    ]);
    let mut row = |name: &str, count: String, meaning: &str| {
        table.rows.push(vec![name.into(), Cell::Figure(count, None), meaning.into()]);
    };
    row("scheduled", format::count(ledger.scheduled), "requests that were due");
    row("dropped", format::count(ledger.dropped), "due and never sent");
    row("sent", format::count(ledger.sent), "sent, or at least tried");
    row("ended", format::count(ledger.ended_total()), "with any outcome");
    if ledger.lost > 0 {
        let meaning = "in flight when gander was killed: how they ended is not known";
        row("lost", format::count(ledger.lost), meaning);
    }
    row("in flight", ledger.in_flight.to_string(), "sent and not ended when the records end");
    if let Ok(timeline) = &source.timeline {
        for (phase, name) in [
            (Phase::WarmUp, "due in the warm-up"),
            (Phase::Measured, "due in the measured part"),
            (Phase::CoolDown, "due after the measured part"),
        ] {
            let count = timeline.ended.get(&phase).copied().unwrap_or(0);
            row(name, format::count(count), "of those that ended");
        }
    }
    row("iterations", format::count(ledger.iterations_started), "begun");
    row("iterations ok", format::count(ledger.iterations_ok), "every request a success");
    if ledger.iterations_partial > 0 {
        let partial = format::count(ledger.iterations_partial);
        row("iterations partial", partial, "went on without some requests of a fan-out");
    }
    row("iterations failed", format::count(ledger.iterations_failed), "a request failed");
    let cancelled = format::count(ledger.iterations_cancelled);
    row("iterations cancelled", cancelled, "ended by the stop of the run");
    if ledger.iterations_dropped > 0 {
        let dropped = format::count(ledger.iterations_dropped);
        row("iterations dropped", dropped, "due and never begun: no place in flight");
    }
    if ledger.iterations_lost > 0 {
        let lost = format::count(ledger.iterations_lost);
        row("iterations lost", lost, "under way when gander was killed, and done again");
    }
    if let Some(under_way) = ledger.iterations_under_way.filter(|under_way| *under_way != 0) {
        let meaning = "begun and not ended when the records end";
        row("iterations under way", under_way.to_string(), meaning);
    }
    let check = match ledger.check() {
        Ok(()) => Text::emphasis(Tone::Good, "The ledger balances")
            .plain(": every request that was due is accounted for."),
        Err(imbalance) => Text::emphasis(Tone::Bad, "The ledger does not balance")
            .plain(format!(": {imbalance}.")),
    };
    Section::new("Ledger").with(table).with(check)
}

/// What speaks against the figures, and what happened.
pub fn validity(source: &Source<'_>) -> Section {
    let section = Section::new("Validity").brief(true);
    let reasons = &source.assessment.validity.reasons;
    let section = match reasons.is_empty() {
        true => section.with(
            Text::emphasis(Tone::Good, "Valid").plain(": nothing speaks against the figures."),
        ),
        false => section
            .with(
                Text::emphasis(Tone::Bad, "INVALID").plain(": the figures are not to be trusted."),
            )
            .with(Block::List(reasons.iter().map(|reason| reason.as_str().into()).collect())),
    };
    let mut remarks = Vec::new();
    if let Some(why) = source.partial() {
        remarks.push(Text::emphasis(Tone::Warning, "partial:").plain(format!(" {why}")));
    }
    if source.run.lost_lines > 0 {
        let lines = format::counted(source.run.lost_lines as u64, "damaged line", "damaged lines");
        remarks.push(Text::from(format!("{lines} at the end of the records could not be read.")));
    }
    remarks.extend(source.run.events.iter().map(|event| {
        Text::from(format!("at {:.1} s: ", event.at.as_secs_f64())).code(&event.text)
    }));
    if remarks.is_empty() { section } else { section.with(Block::List(remarks)) }
}
