//! What a model answered, as outputs of a row.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::failure::{Failure, Reason};
use super::settings::{OutputField, OutputType, ResponseFormat};
use crate::services::fence::unfenced;
use crate::upstream::Completion;

type Mapping = BTreeMap<String, OutputField>;

/// Each mapped field of the answer under its suffix.
///
/// # Errors
/// The answer is not whole, no JSON object, or lacks a field or its type.
pub(super) fn read(
    mapping: &Mapping,
    completion: &Completion,
) -> Result<Vec<(String, Value)>, Failure> {
    match completion.finish_reason.as_str() {
        "length" => {
            let text = "the answer ended at the limit of its length: raise `max_tokens`";
            return Err(Failure::new(Reason::ResponseTruncated, text));
        }
        "content_filter" => {
            let text = "a content filter withheld the answer";
            return Err(Failure::new(Reason::PermanentError, text));
        }
        _ => {}
    }
    let answer: Value = serde_json::from_str(unfenced(&completion.content))
        .map_err(|error| Failure::new(Reason::JsonParseFailed, error.to_string()))?;
    let Value::Object(mut answer) = answer else {
        let text = format!("expected an object, not {}", kind(&answer));
        return Err(Failure::new(Reason::InvalidJsonType, text));
    };
    mapping
        .iter()
        .map(|(name, field)| {
            let value = answer.swap_remove(name).ok_or_else(|| missing(name, &answer))?;
            let value = typed(field, value).map_err(|message| Failure {
                field: Some(name.clone()),
                ..Failure::new(Reason::TypeMismatch, message)
            })?;
            Ok((field.suffix.clone(), value))
        })
        .collect()
}

fn missing(name: &str, answer: &Map<String, Value>) -> Failure {
    let fields: Vec<&str> = answer.keys().map(String::as_str).collect();
    let message = format!("the answer has no field {name:?}; it has: {}", fields.join(", "));
    Failure { field: Some(name.to_owned()), ..Failure::new(Reason::MissingOutputField, message) }
}

fn typed(field: &OutputField, value: Value) -> Result<Value, String> {
    let fits = match field.kind {
        OutputType::String => value.is_string(),
        OutputType::Integer => return whole(value),
        OutputType::Number => value.is_number(),
        OutputType::Boolean => value.is_boolean(),
        OutputType::Enum => {
            let known = value.as_str().is_some_and(|text| field.values.iter().any(|v| v == text));
            if value.is_string() && !known {
                return Err(format!("{value} is none of: {}", field.values.join(", ")));
            }
            known
        }
    };
    let expected = || format!("expected {}, not {}", field.kind.name(), kind(&value));
    if fits { Ok(value) } else { Err(expected()) }
}

fn whole(value: Value) -> Result<Value, String> {
    if value.is_i64() || value.is_u64() {
        return Ok(value);
    }
    match value.as_f64() {
        // Up to 2^53 every whole number is a float of its own.
        Some(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            Ok(json!(number as i64))
        }
        Some(number) => Err(format!("expected an integer, not {number}")),
        None => Err(format!("expected an integer, not {}", kind(&value))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl OutputType {
    fn name(self) -> &'static str {
        match self {
            OutputType::String => "a string",
            OutputType::Integer => "an integer",
            OutputType::Number => "a number",
            OutputType::Boolean => "a boolean",
            OutputType::Enum => "a string",
        }
    }
}

/// The `response_format` of a call, if it has one.
pub(super) fn response_format(format: ResponseFormat, mapping: &Mapping) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({ "type": "json_object" })),
        ResponseFormat::JsonSchema => {
            let schema = json!({ "name": "answer", "strict": true, "schema": schema(mapping) });
            Some(json!({ "type": "json_schema", "json_schema": schema }))
        }
    }
}

/// The JSON schema of an answer that has every mapped field and nothing else.
fn schema(mapping: &Mapping) -> Value {
    let property = |field: &OutputField| match field.kind {
        OutputType::String => json!({ "type": "string" }),
        OutputType::Integer => json!({ "type": "integer" }),
        OutputType::Number => json!({ "type": "number" }),
        OutputType::Boolean => json!({ "type": "boolean" }),
        OutputType::Enum => json!({ "type": "string", "enum": field.values }),
    };
    let properties: Map<String, Value> =
        mapping.iter().map(|(name, field)| (name.clone(), property(field))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": mapping.keys().collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Usage;

    fn mapping(kind: OutputType, values: &[&str]) -> Mapping {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Mapping::from([("f".to_owned(), OutputField { suffix: "out".to_owned(), kind, values })])
    }

    fn answer(content: &str, finish_reason: &str) -> Completion {
        Completion {
            content: content.to_owned(),
            finish_reason: finish_reason.to_owned(),
            model: String::new(),
            usage: Usage::default(),
        }
    }

    fn read_one(kind: OutputType, values: &[&str], content: &str) -> Result<Value, Reason> {
        let read = read(&mapping(kind, values), &answer(content, "stop"));
        read.map(|outputs| outputs[0].1.clone()).map_err(|failure| failure.reason)
    }

    #[test]
    fn fences_are_stripped() {
        for content in [
            r#"{"f": 1}"#,
            " \n{\"f\": 1}\n",
            "```json\n{\"f\": 1}\n```",
            "```\n{\"f\": 1}```\n",
            "```JSON {\"f\": 1}```",
        ] {
            assert_eq!(read_one(OutputType::Integer, &[], content), Ok(json!(1)), "{content}");
        }
    }

    #[test]
    fn each_type_takes_its_values_and_no_others() {
        use OutputType::{Boolean, Enum, Integer, Number, String};
        let good = [
            (String, json!("x")),
            (Integer, json!(3)),
            (Integer, json!(-3)),
            (Number, json!(0.5)),
            (Number, json!(3)),
            (Boolean, json!(false)),
            (Enum, json!("low")),
        ];
        for (kind, value) in good {
            let content = json!({ "f": value }).to_string();
            assert_eq!(read_one(kind, &["low", "high"], &content), Ok(value), "{kind:?}");
        }
        assert_eq!(read_one(Integer, &[], r#"{"f": 3.0}"#), Ok(json!(3)));
        let bad = [
            (String, json!(1)),
            (Integer, json!(0.5)),
            (Integer, json!("3")),
            (Integer, json!(true)),
            (Number, json!("3")),
            (Boolean, json!(0)),
            (Enum, json!("middle")),
            (Enum, json!(1)),
            (Enum, json!(null)),
        ];
        for (kind, value) in bad {
            let content = json!({ "f": value }).to_string();
            let read = read_one(kind, &["low", "high"], &content);
            assert_eq!(read, Err(Reason::TypeMismatch), "{kind:?} {value}");
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_reason() {
        let read_one = |content| read_one(OutputType::String, &[], content);
        assert_eq!(read_one("not JSON"), Err(Reason::JsonParseFailed));
        assert_eq!(read_one(""), Err(Reason::JsonParseFailed));
        assert_eq!(read_one(r#"{"f": "cut"#), Err(Reason::JsonParseFailed));
        assert_eq!(read_one(r#"["f"]"#), Err(Reason::InvalidJsonType));
        assert_eq!(read_one("null"), Err(Reason::InvalidJsonType));
        assert_eq!(read_one(r#"{"g": "x"}"#), Err(Reason::MissingOutputField));
        let mapping = mapping(OutputType::String, &[]);
        let reason = |finish| read(&mapping, &answer(r#"{"f": "x"}"#, finish)).unwrap_err().reason;
        assert_eq!(reason("length"), Reason::ResponseTruncated);
        assert_eq!(reason("content_filter"), Reason::PermanentError);
    }

    #[test]
    fn the_schema_follows_the_mapping() {
        let format =
            response_format(ResponseFormat::JsonSchema, &mapping(OutputType::Enum, &["a"]));
        let schema = &format.unwrap()["json_schema"]["schema"];
        assert_eq!(schema["properties"]["f"], json!({ "type": "string", "enum": ["a"] }));
        assert_eq!(schema["required"], json!(["f"]));
    }
}
