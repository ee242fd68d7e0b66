//! Numbers and states of a target's pages in JSON, as series.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::measure::scrape::{Kind, Series};
use crate::measure::selector::{JsonPage, JsonValue};
use crate::scenario::errors::{nearest as nearest_name, suggestion};
use crate::scenario::json_path::JsonPath;

/// The label that holds a state.
const IS: &str = "is";
/// A longer text is no state.
const LONGEST_STATE: usize = 60;
/// Paths that are named where one is wrong.
const MOST_PATHS: usize = 12;

/// What a page said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// Series and their values, in the order in which the page is asked for them.
    pub samples: Vec<(Series, f64)>,
    /// What was asked for and is not there, or is nothing that can be kept.
    pub missing: Vec<String>,
}

/// Reads what `page` is asked for from `text`.
///
/// # Errors
///
/// It is not JSON.
pub fn read(page: &JsonPage, text: &str) -> Result<Read, String> {
    let root: Value = serde_json::from_str(text)
        .map_err(|error| format!("the answer of {} is not JSON: {error}", page.at))?;
    let mut read = Read::default();
    for wanted in &page.values {
        let found = wanted.path.parse::<JsonPath>().and_then(|path| path.find(&root).cloned());
        let taken = match found {
            Ok(value) => take(wanted, &value, &mut read.samples),
            Err(why) => Err(format!("{why}; {}", nearest(&wanted.path, &root))),
        };
        if let Err(why) = taken {
            read.missing.push(format!("`{}` at {}: {why}", wanted.path, page.at));
        }
    }
    Ok(read)
}

/// The series that `wanted` becomes. Nothing (`null`) is nothing, and nothing wrong: a share before
/// there is a whole.
fn take(wanted: &JsonValue, value: &Value, to: &mut Vec<(Series, f64)>) -> Result<(), String> {
    let kind = if wanted.is_counter { Kind::Counter } else { Kind::Gauge };
    match value {
        Value::Null => {}
        Value::Number(_) | Value::Bool(_) | Value::Object(_) => {
            numbers(&wanted.name, value, kind, to)
        }
        Value::String(_) | Value::Array(_) if wanted.is_counter => {
            return Err("it is no number, and a counter is one".to_owned());
        }
        Value::String(text) if text.len() > LONGEST_STATE => {
            return Err(format!("a text of more than {LONGEST_STATE} bytes is no state"));
        }
        Value::String(text) => {
            let labels = vec![(IS.to_owned(), text.clone())];
            to.push((Series { name: wanted.name.clone(), labels, kind: Kind::State }, 1.0));
        }
        Value::Array(items) => {
            let all = Series { name: wanted.name.clone(), labels: Vec::new(), kind: Kind::Gauge };
            to.push((all, items.len() as f64));
            to.extend(elements(wanted, items));
        }
    }
    Ok(())
}

/// The number itself, or all numbers and truths inside an object; their names are joined by dots.
fn numbers(name: &str, value: &Value, kind: Kind, to: &mut Vec<(Series, f64)>) {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Object(parts) => {
            for (key, part) in parts {
                numbers(&format!("{name}.{key}"), part, kind, to);
            }
            None
        }
        Value::Null | Value::String(_) | Value::Array(_) => None,
    };
    let series = || Series { name: name.to_owned(), labels: Vec::new(), kind };
    to.extend(number.map(|number| (series(), number)));
}

/// How many elements there are of each kind, as the labels tell them apart.
fn elements(wanted: &JsonValue, items: &[Value]) -> Vec<(Series, f64)> {
    if wanted.labels.is_empty() {
        return Vec::new();
    }
    let mut counts: BTreeMap<Vec<(String, String)>, f64> = BTreeMap::new();
    for item in items {
        let label = |key: &String| {
            let value = match item.get(key)? {
                Value::String(text) if text.len() <= LONGEST_STATE => text.clone(),
                other @ (Value::Number(_) | Value::Bool(_)) => other.to_string(),
                _ => return None,
            };
            Some((key.clone(), value))
        };
        let mut labels: Vec<_> = wanted.labels.iter().filter_map(label).collect();
        labels.sort();
        *counts.entry(labels).or_default() += 1.0;
    }
    let series = |labels| Series { name: wanted.name.clone(), labels, kind: Kind::State };
    counts.into_iter().map(|(labels, count)| (series(labels), count)).collect()
}

/// The path that was most likely meant, or how many there are.
fn nearest(wrong: &str, root: &Value) -> String {
    let mut paths = Vec::new();
    all_paths("", root, &mut paths);
    match nearest_name(wrong, paths.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if paths.len() > MOST_PATHS => format!("the page has {} others", paths.len()),
        None => suggestion(wrong, paths.iter().map(String::as_str)),
    }
}

fn all_paths(prefix: &str, value: &Value, to: &mut Vec<String>) {
    let Value::Object(parts) = value else { return };
    for (key, part) in parts {
        let path = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        all_paths(&path, part, to);
        to.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(values: &[(&str, bool, &[&str])]) -> JsonPage {
        let value = |(path, is_counter, labels): &(&str, bool, &[&str])| JsonValue {
            name: format!("my.{}", path.rsplit('.').next().unwrap()),
            path: (*path).to_owned(),
            is_counter: *is_counter,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        JsonPage { at: "/stats".to_owned(), values: values.iter().map(value).collect() }
    }

    const TEXT: &str = r#"{ "cache": { "hits": 3, "rate": null, "kind": "memory", "on": true },
        "breaker": { "state": "half_open" },
        "parts": { "a": { "count": 2, "p95": 1.5, "note": "x" }, "b": { "count": 4, "list": [1] } },
        "alerts": [ { "of": "a", "bad": true, "text": "12.5 is above 3" },
                    { "of": "a", "bad": true, "text": "13.5 is above 3" }, { "of": "b" } ] }"#;

    #[test]
    fn numbers_states_objects_and_lists_become_series() {
        let wanted = page(&[
            ("cache.hits", true, &[]),
            ("cache.rate", false, &[]),
            ("cache.on", false, &[]),
            ("breaker.state", false, &[]),
            ("parts", false, &[]),
            ("alerts", false, &["of", "bad"]),
        ]);
        let read = read(&wanted, TEXT).unwrap();
        let shown: Vec<String> =
            read.samples.iter().map(|(s, v)| format!("{s} {:?} {v}", s.kind)).collect();
        assert_eq!(
            shown,
            [
                "my.hits Counter 3",
                "my.on Gauge 1",
                "my.state{is=\"half_open\"} State 1",
                "my.parts.a.count Gauge 2",
                "my.parts.a.p95 Gauge 1.5",
                "my.parts.b.count Gauge 4",
                "my.alerts Gauge 3",
                "my.alerts{bad=\"true\",of=\"a\"} State 2",
                "my.alerts{of=\"b\"} State 1",
            ]
        );
        assert_eq!(read.missing, Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_told_with_the_nearest_right_path() {
        let wanted = page(&[("cache.hist", false, &[]), ("breaker.state", true, &[])]);
        let read = read(&wanted, TEXT).unwrap();
        assert_eq!(
            read.missing,
            [
                "`cache.hist` at /stats: there is no `hist`; did you mean `cache.hits`?",
                "`breaker.state` at /stats: it is no number, and a counter is one",
            ]
        );
        let error = super::read(&wanted, "<html>").unwrap_err();
        assert!(error.starts_with("the answer of /stats is not JSON: expected value"), "{error}");
    }
}
