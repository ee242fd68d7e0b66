//! What of the budget was used up.

use crate::report::format;
use crate::report::model::{Cell, Column, Section, Table, Text, Tone};
use crate::scenario::model::Budget;

use super::Source;
use super::notes::{self, Notes};

/// Each budget beside what was used of it.
pub fn budget(source: &Source<'_>, notes: &mut Notes) -> Section {
    let section = Section::new("Budget").brief(true);
    let budget = source.plan().budget;
    if budget == Budget::default() {
        return section;
    }
    let ledger = source.run.ledger();
    let used = source.run.tokens();
    let mut table = Table::new([
        Column::words("Budget"),
        Column::figures("Limit"),
        Column::figures("Used").note(notes.refer(notes::BUDGET)),
        Column::words("Result"),
    ]);
    let mut row =
        |name: String, limit: String, amount: String, over: Option<String>, is_up: bool| {
            let result = match (over, is_up) {
                (Some(over), _) => Text::emphasis(Tone::Warning, format!("exceeded by {over}")),
                (None, true) => "used up".into(),
                (None, false) => "not used up".into(),
            };
            let figures = [limit, amount].map(|figure| Cell::Figure(figure, None));
            let [limit, amount] = figures;
            table.rows.push(vec![Text::from(name).into(), limit, amount, result.into()]);
        };
    if let Some(limit) = budget.requests {
        let over = ledger.sent.checked_sub(limit).filter(|over| *over > 0).map(format::count);
        let (name, is_up) = ("requests".to_owned(), ledger.sent >= limit);
        row(name, format::count(limit), format::count(ledger.sent), over, is_up);
    }
    if let Some(limit) = budget.tokens {
        let tokens = used.known();
        let over = tokens.checked_sub(limit).filter(|over| *over > 0).map(format::count);
        let name = "tokens".to_owned();
        row(name, format::count(limit), format::count(tokens), over, tokens >= limit);
    }
    if let Some(limit) = budget.cost {
        let cost = used.cost_pico as f64 / 1e12;
        let over = (cost > limit).then(|| format::amount(cost - limit));
        let name = format!("cost, {}", source.plan().prices.currency);
        row(name, format::amount(limit), format::amount(cost), over, cost >= limit);
    }
    let mut section = section.with(table);
    section = match unrecorded(source) {
        Some(unrecorded) => section.with(Text::from(unrecorded)),
        None => section,
    };
    let unknown = ledger.ended_total().saturating_sub(used.reported);
    match (budget.tokens.is_some() || budget.cost.is_some()) && unknown > 0 {
        true => section.with(Text::from(format!(
            "{} reported no tokens: what these used is not known, and not counted.",
            format::counted(unknown, "request", "requests")
        ))),
        false => section,
    }
}

/// What a kill kept from being counted; `None` where gander was not killed.
fn unrecorded(source: &Source<'_>) -> Option<String> {
    let run = source.run;
    let kills = run.resumed.iter().filter(|part| part.killed != Some(false)).count();
    let sent = run.intervals.iter().map(|second| second.ledger.sent);
    let before = std::iter::once(0).chain(sent.clone());
    let busiest = sent.zip(before).map(|(now, before)| now.saturating_sub(before)).max()?;
    let times = if kills == 1 { "once".to_owned() } else { format!("{kills} times") };
    (kills > 0).then(|| {
        format!(
            "gander was killed {times}. {} in flight at the last record before count as made, and what they \
             used of tokens is not known. What was sent from there to the kill, a second at most, is \
             not known and not counted: no second of the run sent more than {}.",
            format::counted(run.ledger().lost, "request", "requests"),
            format::counted(busiest, "request", "requests"),
        )
    })
}
