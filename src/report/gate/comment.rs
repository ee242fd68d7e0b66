//! A gate as a comment on a pull request: the verdict in a line, one table, the rest folded.

use url::form_urlencoded::byte_serialize;

use crate::analysis::gate::{Call, Judged};
use crate::analysis::{Ruling, Verdict};
use crate::report::markdown;
use crate::report::model::{Block, Cell, Column, Table, Text};
use crate::report::quantity::unsigned;

use super::cases::{Case, Outcome, cases};
use super::{Told, tables, tone, words};

/// Name of the file in a gate's folder.
pub const FILE_NAME: &str = "comment.md";

/// As many cases are named in the verdict's line; more are counted.
const NAMED: usize = 3;
/// Texts of others (commands, what a target said) are cut to this many characters.
const LONGEST: usize = 160;

/// The comment. Its first line is the [`marker`].
pub fn render(told: &Told<'_>) -> String {
    let shown: Vec<&Judged> = told.judged.iter().filter(|it| is_shown(it)).collect();
    let hidden: Vec<&Judged> = told.judged.iter().filter(|it| !is_shown(it)).collect();
    let mut open = vec![Block::Paragraph(headline(told))];
    if !shown.is_empty() {
        open.push(figures(&shown).into());
    }
    let are_kept = told.rules.iter().all(|rule| rule.ruling == Ruling::Passed);
    if !are_kept {
        open.push(rules(&told.rules));
    }
    let mut folded = vec![details(told)];
    if !hidden.is_empty() {
        folded.push(figures(&hidden).into());
    }
    if !told.judged.is_empty() {
        folded.push(limits(&told.judged).into());
    }
    if are_kept && !told.rules.is_empty() {
        folded.push(rules(&told.rules));
    }
    if !told.record.left_out.is_empty() {
        let line = |(figure, why): &(String, String)| {
            Text::from(cut(&format!("{figure} is not judged: {why}.")))
        };
        folded.push(Block::List(told.record.left_out.iter().map(line).collect()));
    }
    format!(
        "{}\n{}\n\n<details><summary>How it was measured, and what it could have seen</summary>\n\n\
         {}\n\n</details>\n",
        marker(&told.record.scenario),
        markdown::fragment(&open),
        markdown::fragment(&folded)
    )
}

/// The line by which a workflow finds its comment again: one for each scenario.
pub fn marker(scenario: &str) -> String {
    // Nothing in it can end the comment of the markup.
    let name: String = byte_serialize(scenario.as_bytes()).collect();
    format!("<!-- gander-gate:{name} -->")
}

/// Figures of all steps together always, those of one step where they say something.
fn is_shown(judged: &Judged) -> bool {
    let is_quiet = matches!(judged.call, Call::Unchanged | Call::NoWorse);
    judged.subject.step.is_none() || !is_quiet
}

fn headline(told: &Told<'_>) -> Text {
    let verdict = told.decision.name().to_uppercase();
    let line = Text::emphasis(tone(told.decision), verdict)
        .plain(" ")
        .code(cut(&format!("gander gate {}", told.record.scenario)));
    line.plain(format!(": {}", cut_to(&said(told), 3 * LONGEST)))
}

/// The verdict's sentence; where there is too much to name, how much.
fn said(told: &Told<'_>) -> String {
    let cases = cases(told);
    let of = |outcome| cases.iter().filter(move |case: &&Case| case.outcome == outcome).count();
    let (failed, unclear) = (of(Outcome::Failed), of(Outcome::Unclear));
    match (failed > NAMED, failed == 0 && unclear > NAMED) {
        (true, _) => format!("{failed} of {} figures and rules failed", cases.len()),
        (_, true) => format!(
            "neither worse nor fine can be said of {unclear} of {} figures and rules",
            cases.len()
        ),
        _ => words::verdict(told),
    }
}

fn figures(judged: &[&Judged]) -> Table {
    let mut table = Table::new([
        Column::words("Figure"),
        Column::figures("Base"),
        Column::figures("Head"),
        Column::figures("Change (90% interval)"),
        Column::words("Verdict"),
    ]);
    table.rows = judged
        .iter()
        .map(|judged| {
            let [base, head] = tables::sides(judged);
            let figure = Text::from(cut(&judged.subject.label()));
            let change = Cell::figure(words::effect(judged), "unknown");
            vec![figure.into(), base, head, change, tables::verdict(judged).into()]
        })
        .collect();
    table
}

/// By how much each figure may get worse, and the smallest worsening that would have been found.
fn limits(judged: &[Judged]) -> Table {
    let mut table = Table::new([
        Column::words("Figure"),
        Column::figures("Margin"),
        Column::figures("Would have seen"),
    ]);
    let row = |judged: &Judged| {
        let margin = unsigned(judged.subject.quantity, judged.margin);
        let seen = Cell::figure(words::detectable(judged), "unknown");
        vec![Text::from(cut(&judged.subject.label())).into(), Cell::Figure(margin, None), seen]
    };
    table.rows = judged.iter().map(row).collect();
    table
}

fn rules(rules: &[Verdict]) -> Block {
    tables::rules(rules).into()
}

fn details(told: &Told<'_>) -> Block {
    let [base, head] = told.record.sides.each_ref().map(|side| Text::literal(cut(side)));
    let mut facts = vec![("Base".to_owned(), base), ("Head".to_owned(), head)];
    let method = tables::method(told).into_iter();
    facts.extend(method.map(|(name, text)| (name.to_owned(), cut(&text).into())));
    facts.push((
        "Whole report".to_owned(),
        Text::literal("report.html").plain(" in the folder of the gate, with every round"),
    ));
    Block::Facts(facts)
}

fn cut(text: &str) -> String {
    cut_to(text, LONGEST)
}

fn cut_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
    }
}
