//! Reading rows: CSV, a JSON array, JSON lines, or a list in the scenario itself.

use std::sync::Arc;

use minijinja::value::Value;

use super::data::{Columns, Row};
use super::errors::{Diagnostic, Source, Spot};
use super::written::{At, Node};

/// Rows, and the names of their fields (none where rows are plain values).
pub(super) type Rows = (Arc<Columns>, Arc<[Value]>);

/// How a data file is written, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
    JsonLines,
}

impl Format {
    pub fn of(file: &str) -> Option<Format> {
        match file.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "json" => Some(Format::Json),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            _ => None,
        }
    }
}

/// Reads the rows of a file.
///
/// # Errors
///
/// The first mistake, with its line in the data file. That there are no rows is not an error here.
pub(super) fn from_file(source: &Arc<Source>, format: Format) -> Result<Rows, Diagnostic> {
    match format {
        Format::Csv => from_csv(source),
        Format::Json => {
            let text = source.text.trim_start_matches('\u{feff}');
            let skipped = source.text.len() - text.len();
            let items: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|error| {
                let start = skipped + line_start(text, error.line());
                json_error(source, start, &error, "expected one array: `[ …, … ]`")
            })?;
            Ok(from_json(&items))
        }
        Format::JsonLines => from_json_lines(source),
    }
}

/// The rows of a list in the scenario.
pub(super) fn from_list(items: &[At<Node>]) -> Rows {
    let items: Vec<serde_json::Value> = items.iter().map(|item| item.value.to_json()).collect();
    from_json(&items)
}

fn from_csv(source: &Arc<Source>) -> Result<Rows, Diagnostic> {
    let mut reader = csv::ReaderBuilder::new().from_reader(source.text.as_bytes());
    let mut columns = Columns::default();
    let header = reader.headers().map_err(|error| csv_error(source, &error))?.clone();
    for (at, name) in header.iter().enumerate() {
        if columns.add(name) != at {
            let first_line = source.text.lines().next().unwrap_or_default().len();
            let spot = Spot { source: Arc::clone(source), span: 0..first_line };
            let message = format!("two columns are named `{name}`");
            return Err(Diagnostic::at(spot, message, "each column needs a name of its own"));
        }
    }
    let columns = Arc::new(columns);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(source, &error))?;
        let values = record.iter().map(Value::from).collect();
        rows.push(Value::from_object(Row { columns: Arc::clone(&columns), values }));
    }
    Ok((columns, rows.into()))
}

fn csv_error(source: &Arc<Source>, error: &csv::Error) -> Diagnostic {
    let start = error.position().map_or(0, |position| {
        let byte = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        source.text.floor_char_boundary(byte)
    });
    let line_end = source.text[start..].find('\n').map_or(source.text.len(), |at| start + at);
    let spot = Spot { source: Arc::clone(source), span: start..line_end };
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => Diagnostic::at(
            spot,
            format!("this row has {len} fields, the header has {expected_len}"),
            format!("expected {expected_len} fields"),
        )
        .help("a field with a comma, a quote or a line break stands in \"double quotes\""),
        _ => Diagnostic::at(spot, "this is not CSV", error.to_string()),
    }
}

fn from_json_lines(source: &Arc<Source>) -> Result<Rows, Diagnostic> {
    let mut items = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let text = line.trim_start_matches('\u{feff}');
        if !text.trim().is_empty() {
            let offset = start + (line.len() - text.len());
            items.push(serde_json::from_str(text).map_err(|error| {
                json_error(source, offset, &error, "expected one JSON value on each line")
            })?);
        }
        start += line.len();
    }
    Ok(from_json(&items))
}

fn json_error(
    source: &Arc<Source>,
    line_start: usize,
    error: &serde_json::Error,
    expected: &str,
) -> Diagnostic {
    let at = (line_start + error.column().saturating_sub(1)).min(source.text.len());
    let spot = Spot { source: Arc::clone(source), span: at..at };
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    Diagnostic::at(spot, format!("this is not the JSON that is needed: {what}"), expected)
}

/// Byte offset of a line, counted from 1.
fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

/// Objects become rows with columns, each with the fields it has; if any item is not an object, all
/// are plain values.
fn from_json(items: &[serde_json::Value]) -> Rows {
    let mut columns = Columns::default();
    let objects: Option<Vec<_>> = items.iter().map(|item| item.as_object()).collect();
    let Some(objects) = objects else {
        return (Arc::new(columns), items.iter().map(from_json_value).collect());
    };
    for object in &objects {
        for name in object.keys() {
            columns.add(name);
        }
    }
    let columns = Arc::new(columns);
    let row = |object: &&serde_json::Map<String, serde_json::Value>| {
        let field = |name| object.get(name).map_or(Value::UNDEFINED, from_json_value);
        let values = columns.names().map(field).collect();
        Value::from_object(Row { columns: Arc::clone(&columns), values })
    };
    let rows = objects.iter().map(row).collect();
    (columns, rows)
}

/// A JSON value as templates see it.
pub fn from_json_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(truth) => Value::from(*truth),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            items.iter().map(from_json_value).collect::<Vec<_>>().into()
        }
        serde_json::Value::Object(entries) => Value::from_pairs(
            entries.iter().map(|(name, value)| (name.as_str(), from_json_value(value))),
        ),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
    }
}
