//! Lists of changes out of the texts of a model, which may or may not keep to the form it was asked
//! for.

use serde_json::Value;

use crate::services::fence::unfenced;

/// At most this many changes a transition.
const CHANGES: usize = 5;

/// The changes of one transition: the lines that are list items, or else all lines.
pub(super) fn changes(text: &str) -> Vec<String> {
    let lines: Vec<&str> = lines(text).collect();
    let items: Vec<String> = lines.iter().filter_map(|line| item(line)).collect();
    let mut changes = match items.is_empty() {
        true => lines.into_iter().map(str::to_owned).collect(),
        false => items,
    };
    changes.truncate(CHANGES);
    changes
}

/// The changes of `count` transitions, always as many lists. In order of preference: a JSON list of
/// lists, bare or in an object; the items below headings, heading by heading; or all items (without
/// any, all lines) in order, dealt out evenly. A transition of which nothing is said has an empty
/// list; what is said of further ones is left out.
pub(super) fn transitions(text: &str, count: usize) -> Vec<Vec<String>> {
    let mut lists = json(text).or_else(|| headed(text)).unwrap_or_else(|| dealt(text, count));
    lists.resize(count, Vec::new());
    for list in &mut lists {
        list.truncate(CHANGES);
    }
    lists
}

/// A list of lists of texts, bare or as the value of an object's only such field.
fn json(text: &str) -> Option<Vec<Vec<String>>> {
    let value: Value = serde_json::from_str(unfenced(text)).ok()?;
    let lists = |value: &Value| {
        let lists = value.as_array()?.iter().map(|list| {
            let texts = list.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned()));
            texts.collect::<Option<Vec<String>>>()
        });
        lists.collect::<Option<Vec<_>>>().filter(|lists| !lists.is_empty())
    };
    match &value {
        Value::Object(fields) => fields.values().find_map(lists),
        other => lists(other),
    }
}

fn headed(text: &str) -> Option<Vec<Vec<String>>> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    for line in lines(text) {
        if is_heading(line) {
            lists.push(Vec::new());
        } else if let Some(list) = lists.last_mut() {
            list.push(item(line).unwrap_or_else(|| line.to_owned()));
        }
    }
    (!lists.is_empty()).then_some(lists)
}

/// Such as `Transition 1: Jan 2023 to Mar 2023`, with or without Markdown around it.
fn is_heading(line: &str) -> bool {
    let line = line.trim_start_matches(['#', '*', ' ']);
    let number = line.strip_prefix("Transition ").or_else(|| line.strip_prefix("transition "));
    number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn dealt(text: &str, count: usize) -> Vec<Vec<String>> {
    let all: Vec<&str> = lines(text).collect();
    let items: Vec<String> = all.iter().filter_map(|line| item(line)).collect();
    let items = match items.is_empty() {
        true => all.into_iter().map(str::to_owned).collect(),
        false => items,
    };
    let mut lists = vec![Vec::new(); count];
    let total = items.len();
    for (at, item) in items.into_iter().enumerate() {
        lists[at * count / total].push(item);
    }
    lists
}

/// A list item without its bullet or number.
fn item(line: &str) -> Option<String> {
    let bulleted = ["- ", "* ", "• "].into_iter().find_map(|bullet| line.strip_prefix(bullet));
    let numbered = || {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = (rest.len() < line.len()).then_some(rest)?;
        rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") "))
    };
    bulleted.or_else(numbered).map(|text| text.trim().to_owned())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests;
