//! From the text of a scenario file to the types that say what is written in it, with every
//! mistake of spelling and type, not only the first.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::errors::{Diagnostic, Source, Spot, nearest, one_of};
use super::file::ScenarioFile;

/// The most mistakes that are looked for in one file.
const ENOUGH: usize = 50;

/// Reads a scenario file.
///
/// The first mistake ends the reading of a table. So it is mended in the tree (a misspelt key is
/// named as it was probably meant, anything else is taken out), and the tree is read again, until it
/// reads.
///
/// # Errors
///
/// All mistakes of syntax; or, where there is none, all misspelt keys and values of a wrong type.
pub fn read(source: &Arc<Source>) -> Result<ScenarioFile, Vec<Diagnostic>> {
    let (mut tree, syntax) = DeTable::parse_recoverable(&source.text);
    if !syntax.is_empty() {
        return Err(syntax.iter().map(|error| syntax_error(source, error)).collect());
    }
    let mut problems = Vec::new();
    for span in dates(tree.get_ref()) {
        mend(tree.get_mut(), &span, None);
        let spot = Spot { source: Arc::clone(source), span };
        problems.push(Diagnostic::at(spot, "a date is not used here", "put it in quotes"));
    }
    while problems.len() < ENOUGH {
        let error = match ScenarioFile::deserialize(toml::de::Deserializer::from(tree.clone())) {
            Ok(file) if problems.is_empty() => return Ok(file),
            Ok(_) => break,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let spot = Spot { source: Arc::clone(source), span: span.clone() };
        let (problem, meant) = wrong_key_or_value(spot, error.message());
        problems.push(problem);
        if !mend(tree.get_mut(), &span, meant.as_deref()) {
            break;
        }
    }
    problems.sort_by_key(|problem| problem.spot.as_ref().map(|spot| spot.span.start));
    Err(problems)
}

fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let spot = Spot { source: Arc::clone(source), span };
    let (what, expected) = error.message().split_once(", ").unwrap_or((error.message(), ""));
    Diagnostic::at(spot, format!("this is not TOML: {what}"), expected)
}

/// serde's words for a misspelt key, a wrong word or a wrong type, made into ours; and what a
/// misspelt key was probably meant to be.
fn wrong_key_or_value(spot: Spot, message: &str) -> (Diagnostic, Option<String>) {
    for (said, what, kind) in
        [("unknown field", "unknown key", "key"), ("unknown variant", "unknown word", "word")]
    {
        if !message.starts_with(said) {
            continue;
        }
        let mut quoted = message.split('`').skip(1).step_by(2);
        let wrong = quoted.next().unwrap_or_default();
        let right: Vec<&str> = quoted.collect();
        let near = nearest(wrong, right.iter().copied());
        let label = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("no such {kind} here"),
        };
        let problem = Diagnostic::at(spot, format!("{what} `{wrong}`"), label)
            .help(format!("{kind}s that may stand here: {}", one_of(right.iter().copied())));
        return (problem, near.filter(|_| kind == "key").map(str::to_owned));
    }
    let mistake = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|said| message.strip_prefix(said)?.split_once(", expected "));
    let problem = match mistake {
        Some((found, expected)) => {
            let message = format!("wrong kind of value: {}", plain(found));
            Diagnostic::at(spot, message, format!("expected {}", plain(expected)))
        }
        None => match message.strip_prefix("missing field ") {
            Some(key) => Diagnostic::at(spot, format!("the key {key} is missing here"), ""),
            None => Diagnostic::at(spot, message, ""),
        },
    };
    (problem, None)
}

/// serde's names of types in words.
fn plain(kind: &str) -> &str {
    match kind {
        "map" | "a map" => "a table",
        "sequence" | "a sequence" => "a list (of tables: `[[…]]`)",
        "u32" | "u64" => "a whole number from 0",
        "f64" => "a number",
        _ if kind.starts_with("struct ") => "a table",
        _ => kind,
    }
}

/// Places of dates, which have no meaning in a scenario, and which JSON lacks.
fn dates(table: &DeTable<'_>) -> Vec<Range<usize>> {
    fn visit(value: &toml::Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
        match value.get_ref() {
            DeValue::Datetime(_) => found.push(value.span()),
            DeValue::Array(items) => items.iter().for_each(|item| visit(item, found)),
            DeValue::Table(table) => table.iter().for_each(|(_, value)| visit(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    table.iter().for_each(|(_, value)| visit(value, &mut found));
    found
}

/// Renames the innermost entry of the tree whose key or value holds `span`, or takes it out. (The
/// span of a table with a header covers its header alone: so every branch is searched.)
fn mend(table: &mut DeTable<'_>, span: &Range<usize>, meant: Option<&str>) -> bool {
    fn within(value: &mut DeValue<'_>, span: &Range<usize>, meant: Option<&str>) -> bool {
        match value {
            DeValue::Table(table) => mend(table, span, meant),
            DeValue::Array(items) => {
                items.iter_mut().any(|item| within(item.get_mut(), span, meant))
            }
            _ => false,
        }
    }
    for (_, value) in table.iter_mut() {
        if within(value.get_mut(), span, meant) {
            return true;
        }
    }
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let found = table
        .iter()
        .find(|(key, value)| covers(key.span()) || covers(value.span()))
        .map(|(key, _)| key.clone());
    let Some((key, value)) = found.and_then(|key| table.remove_entry(&key)) else { return false };
    if let Some(meant) = meant.filter(|meant| !table.contains_key(*meant)) {
        table.insert(toml::Spanned::new(key.span(), meant.to_owned().into()), value);
    }
    true
}
