//! What a response must be, and what is said when it is not.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::answer::Answer;
use super::feeder::Inputs;
use super::json_path::JsonPath;
use super::secret::Redactions;
use super::template::{Engine, TemplateId};

/// Characters of a body that a message quotes.
const EXCERPT: usize = 120;

/// What a response must be.
#[derive(Debug, Clone, Serialize)]
pub struct Expect {
    pub(super) status: Vec<StatusRule>,
    #[serde(serialize_with = "header_names")]
    pub(super) headers: Vec<(HeaderName, HeaderRule)>,
    pub(super) body_contains: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_contains: Option<Pattern>,
    pub(super) json: Vec<(JsonPath, Vec<JsonRule>)>,
    /// Those of the whole scenario; they are complete once all of its steps are read.
    #[serde(skip)]
    pub(super) redactions: Redactions,
}

/// Which status is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum StatusRule {
    /// This one.
    Exactly(u16),
    /// All of a hundred: 2 stands for 200 to 299.
    Class(u16),
}

impl StatusRule {
    fn allows(self, status: u16) -> bool {
        match self {
            StatusRule::Exactly(right) => status == right,
            StatusRule::Class(hundreds) => status / 100 == hundreds,
        }
    }
}

impl fmt::Display for StatusRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusRule::Exactly(status) => write!(f, "{status}"),
            StatusRule::Class(hundreds) => write!(f, "{hundreds}xx"),
        }
    }
}

/// A text that is expected: one that is fixed, or a template that sees what the request saw.
#[derive(Clone)]
pub(super) enum Pattern {
    Fixed(String),
    Made { engine: Arc<Engine>, id: TemplateId },
}

impl Pattern {
    fn text(&self, inputs: &Inputs) -> Result<Cow<'_, str>, String> {
        match self {
            Pattern::Fixed(text) => Ok(Cow::Borrowed(text)),
            Pattern::Made { engine, id } => engine
                .render(id, inputs)
                .map(Cow::Owned)
                .map_err(|error| format!("what is expected cannot be filled in: {error}")),
        }
    }
}

/// As written; a template is told from a text that looks like one.
impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Pattern::Fixed(text) => serializer.serialize_str(text),
            Pattern::Made { engine, id } => {
                serializer.collect_map([("template", engine.source(id))])
            }
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Fixed(text) => write!(f, "{text:?}"),
            Pattern::Made { engine, id } => write!(f, "template {:?}", engine.source(id)),
        }
    }
}

/// What a header must be.
#[derive(Debug, Clone, Serialize)]
pub(super) enum HeaderRule {
    Equals(String),
    Contains(Pattern),
}

/// What a value must be.
#[derive(Debug, Clone, Serialize)]
pub(super) enum JsonRule {
    /// Of this type.
    Type(JsonType),
    /// A string that is itself JSON.
    JsonText,
    /// This value; numbers are equal where their values are (1 and 1.0).
    Equals(Value),
    /// The value that this template makes: JSON where it is one expression, else a string.
    EqualsMade {
        pattern: Pattern,
        is_json: bool,
    },
    /// Elements, entries or characters.
    Length(u64),
    Min(f64),
    Max(f64),
}

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum JsonType {
    String,
    Number,
    Boolean,
    Array,
    Object,
    Null,
}

impl JsonType {
    pub const ALL: [JsonType; 6] = [
        JsonType::String,
        JsonType::Number,
        JsonType::Boolean,
        JsonType::Array,
        JsonType::Object,
        JsonType::Null,
    ];

    pub fn name(self) -> &'static str {
        match self {
            JsonType::String => "string",
            JsonType::Number => "number",
            JsonType::Boolean => "boolean",
            JsonType::Array => "array",
            JsonType::Object => "object",
            JsonType::Null => "null",
        }
    }

    pub(super) fn of(value: &Value) -> JsonType {
        match value {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }
}

/// A response that was not as expected; the message is one line and quotes no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// The status was wrong.
    #[error("{0}")]
    Status(String),
    /// The status was right; headers or body were not, or a stream carried an error.
    #[error("{0}")]
    Content(String),
    /// A stream ended without its end marker.
    #[error("{0}")]
    Incomplete(String),
    /// An event of a stream is not what it should be.
    #[error("{0}")]
    Malformed(String),
}

impl Expect {
    /// Whether the body is looked at where the status is right.
    pub fn needs_body(&self) -> bool {
        self.body_contains.is_some() || !self.json.is_empty()
    }

    /// Checks a response: its status first, then headers, then the body.
    ///
    /// # Errors
    ///
    /// The first thing that is not as expected.
    pub fn check(&self, answer: &Answer<'_>, inputs: &Inputs) -> Result<(), Unexpected> {
        self.check_status(answer.status, answer.body)
            .map_err(|why| Unexpected::Status(self.redacted(why)))?;
        self.check_headers(answer.headers, inputs)
            .and_then(|()| self.check_body(answer, inputs))
            .and_then(|()| self.check_stream(answer, inputs))
            .map_err(|why| Unexpected::Content(self.redacted(why)))
    }

    fn check_status(&self, status: u16, body: &[u8]) -> Result<(), String> {
        if !self.status.iter().any(|rule| rule.allows(status)) {
            let expected: Vec<String> = self.status.iter().map(StatusRule::to_string).collect();
            let mut message = format!("status {status}, expected {}", expected.join(" or "));
            if !body.is_empty() {
                message.push_str(&format!("; body: {}", self.excerpt(body)));
            }
            return Err(message);
        }
        Ok(())
    }

    fn check_headers(&self, headers: &HeaderMap, inputs: &Inputs) -> Result<(), String> {
        for (name, rule) in &self.headers {
            let Some(found) = headers.get(name) else {
                return Err(format!("header {name} is missing"));
            };
            let found = String::from_utf8_lossy(found.as_bytes());
            let (holds, expected) = match rule {
                HeaderRule::Equals(right) => (found == right.as_str(), format!("`{right}`")),
                HeaderRule::Contains(part) => {
                    let part = part.text(inputs)?;
                    (found.contains(&*part), format!("it to contain `{part}`"))
                }
            };
            if !holds {
                let found = self.excerpt(found.as_bytes());
                return Err(format!("header {name}: expected {expected}, found `{found}`"));
            }
        }
        Ok(())
    }

    /// A stream that is no success anyway is not looked into.
    fn check_stream(&self, answer: &Answer<'_>, inputs: &Inputs) -> Result<(), String> {
        let streamed = answer.stream.filter(|stream| stream.problem.is_none());
        let (Some(part), Some(streamed)) = (&self.stream_contains, streamed) else { return Ok(()) };
        let part = part.text(inputs)?;
        if streamed.content.contains(&*part) {
            return Ok(());
        }
        let content = self.excerpt(streamed.content.as_bytes());
        Err(format!("the content does not contain `{}`: {content}", part.escape_debug()))
    }

    fn check_body(&self, answer: &Answer<'_>, inputs: &Inputs) -> Result<(), String> {
        let body = answer.body;
        if let Some(part) = &self.body_contains {
            let part = part.text(inputs)?;
            if !contains(body, part.as_bytes()) {
                let body = self.excerpt(body);
                return Err(format!("the body does not contain `{}`: {body}", part.escape_debug()));
            }
        }
        for (path, rules) in &self.json {
            let value = self.value_at(path, answer)?;
            for rule in rules {
                self.check_value(rule, value, inputs).map_err(|why| format!("{path}: {why}"))?;
            }
        }
        Ok(())
    }

    /// The value at a path of a JSON body; or what is there instead.
    pub(super) fn value_at<'a>(
        &self,
        path: &JsonPath,
        answer: &'a Answer<'_>,
    ) -> Result<&'a Value, String> {
        let body = || self.excerpt(answer.body);
        let json =
            answer.json().map_err(|error| format!("the body is not JSON ({error}): {}", body()))?;
        path.find(json).map_err(|missing| format!("{path}: {missing}; body: {}", body()))
    }

    fn check_value(&self, rule: &JsonRule, value: &Value, inputs: &Inputs) -> Result<(), String> {
        let kind = JsonType::of(value).name();
        let found =
            |expected: String| Err(format!("expected {expected}, found {}", self.shown(value)));
        match rule {
            JsonRule::Type(right) if JsonType::of(value) == *right => Ok(()),
            JsonRule::Type(right) => found(with_article(right.name())),
            JsonRule::JsonText => match value.as_str().map(serde_json::from_str::<Value>) {
                Some(Ok(_)) => Ok(()),
                Some(Err(error)) => found(format!("a string that is JSON ({error})")),
                None => found("a string that is JSON".to_owned()),
            },
            JsonRule::Equals(right) if equal(right, value) => Ok(()),
            JsonRule::Equals(right) => found(format!("{right}")),
            JsonRule::EqualsMade { pattern, is_json } => {
                let made = pattern.text(inputs)?;
                let right = match is_json {
                    true => serde_json::from_str(&made).map_err(|error| error.to_string())?,
                    false => Value::from(made),
                };
                if equal(&right, value) { Ok(()) } else { found(format!("{right}")) }
            }
            JsonRule::Length(right) => {
                let (length, unit) = match value {
                    Value::Array(items) => (items.len(), "element"),
                    Value::Object(entries) => (entries.len(), "entry"),
                    Value::String(text) => (text.chars().count(), "character"),
                    _ => return found(format!("something of length {right}")),
                };
                if length as u64 == *right {
                    return Ok(());
                }
                Err(format!("expected {}, found {length}", counted(*right, unit)))
            }
            JsonRule::Min(bound) | JsonRule::Max(bound) => {
                let least = matches!(rule, JsonRule::Min(_));
                let words = if least { "at least" } else { "at most" };
                match value.as_f64() {
                    Some(number) if least && number >= *bound => Ok(()),
                    Some(number) if !least && number <= *bound => Ok(()),
                    Some(number) => Err(format!("expected {words} {bound}, found {number}")),
                    None => Err(format!(
                        "expected a number, {words} {bound}, found {}",
                        with_article(kind)
                    )),
                }
            }
        }
    }

    /// A value for a message: its type, and what it is.
    fn shown(&self, value: &Value) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Array(_) | Value::Object(_) => with_article(JsonType::of(value).name()),
            _ => format!(
                "{} {}",
                with_article(JsonType::of(value).name()),
                self.excerpt(value.to_string().as_bytes())
            ),
        }
    }

    fn excerpt(&self, body: &[u8]) -> String {
        self.redactions.excerpt(body, EXCERPT)
    }

    pub(super) fn redacted(&self, message: String) -> String {
        match self.redactions.redact(&message) {
            Cow::Owned(redacted) => redacted,
            Cow::Borrowed(_) => message,
        }
    }
}

fn header_names<S: Serializer>(
    headers: &[(HeaderName, HeaderRule)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|(name, rule)| (name.as_str(), rule)))
}

fn with_article(kind: &str) -> String {
    match kind {
        "null" => "null".to_owned(),
        "array" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn counted(count: u64, unit: &str) -> String {
    match (count, unit) {
        (1, unit) => format!("1 {unit}"),
        (count, "entry") => format!("{count} entries"),
        (count, unit) => format!("{count} {unit}s"),
    }
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part)
}

/// Equality of JSON values in which 1 equals 1.0, as TOML writes them apart.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| equal(a, b))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, a)| right.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => left == right,
    }
}
