//! What a request body must be.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::settings::Price;
use crate::fastapi::body::object;
use crate::fastapi::{Problem, Rejection};

/// Longest question, characters.
const LONGEST_QUESTION: usize = 5_000;

/// Snapshots where a request does not say how many.
const SNAPSHOTS: usize = 4;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub question: String,
    /// Whether snapshots are made whatever the classification says.
    pub force_time_travel: bool,
    /// At least 1; there are four points in time, so more than 4 are 4.
    pub max_snapshots: usize,
    /// The model to ask; none: that of the settings.
    pub model: Option<String>,
}

impl Ask {
    /// This question, and defaults for the rest.
    pub(super) fn new(question: &str, model: Option<String>) -> Ask {
        Ask {
            question: question.to_owned(),
            force_time_travel: false,
            max_snapshots: SNAPSHOTS,
            model,
        }
    }

    /// The request in a body; `models` are those that may be named. A rejection names everything
    /// that is wrong.
    pub(super) fn read(
        headers: &HeaderMap,
        body: &[u8],
        models: &BTreeMap<String, Price>,
    ) -> Result<Ask, Rejection> {
        let mut fields = Fields { fields: object(headers, body)?, problems: Vec::new() };
        let ask = Ask {
            question: fields.question(),
            force_time_travel: fields.flag("force_time_travel"),
            max_snapshots: fields.count("max_snapshots"),
            model: fields.model(models),
        };
        match fields.problems.is_empty() {
            true => Ok(ask),
            false => Err(Rejection::Unprocessable(fields.problems)),
        }
    }
}

/// The fields of a body while they are read. One that is wrong is noted, and reads as its default.
struct Fields {
    fields: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Fields {
    fn question(&mut self) -> String {
        let name = "question";
        let Some(value) = self.fields.get(name) else {
            let input = Value::Object(self.fields.clone());
            self.note(name, "missing", "Field required", input);
            return String::new();
        };
        let (kind, msg) = match value.as_str() {
            None => ("string_type", "Input should be a valid string".to_owned()),
            Some(text) if text.trim().is_empty() => {
                ("string_too_short", "String should have at least 1 character".to_owned())
            }
            Some(text) if text.chars().count() > LONGEST_QUESTION => {
                let msg = format!("String should have at most {LONGEST_QUESTION} characters");
                ("string_too_long", msg)
            }
            Some(text) => return text.to_owned(),
        };
        self.note(name, kind, msg, value.clone());
        String::new()
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.fields.get(name).cloned() {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.note(name, "bool_type", "Input should be a valid boolean", other);
                false
            }
        }
    }

    fn count(&mut self, name: &str) -> usize {
        let Some(value) = self.fields.get(name).cloned() else {
            return SNAPSHOTS;
        };
        let (kind, msg) = match (value.as_u64(), value.as_i64()) {
            (Some(count @ 1..), _) => return usize::try_from(count).unwrap_or(usize::MAX),
            (None, None) => ("int_type", "Input should be a valid integer"),
            _ => ("greater_than_equal", "Input should be greater than or equal to 1"),
        };
        self.note(name, kind, msg, value);
        SNAPSHOTS
    }

    fn model(&mut self, models: &BTreeMap<String, Price>) -> Option<String> {
        match self.fields.get("model").cloned() {
            None | Some(Value::Null) => None,
            Some(Value::String(model)) if models.contains_key(&model) => Some(model),
            Some(other) => {
                let names: Vec<&str> = models.keys().map(String::as_str).collect();
                let names = names.join(", ");
                let msg = format!("Input should be one of the models with a price: {names}");
                self.note("model", "enum", msg, other);
                None
            }
        }
    }

    fn note(&mut self, name: &str, kind: &'static str, msg: impl Into<String>, input: Value) {
        let loc = [json!("body"), json!(name)];
        self.problems.push(Problem::new(kind, &loc, msg, input));
    }
}
