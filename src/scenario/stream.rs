//! How a stream of server-sent events is read: what is content, what is reasoning, where it ends.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;

use crate::measure::sample::{Offset, StreamTimes};

use super::answer::Answer;
use super::expect::{JsonType, Unexpected, equal};
use super::json_path::JsonPath;
use super::paths::{Found, Paths};
use super::secret::Redactions;

/// Characters of an event that a message quotes.
const EXCERPT: usize = 120;

/// How the events of a step's response are read. The default reads chat completions.
///
/// Where neither content nor reasoning has a path, events need not be JSON: the data of each is its
/// content. What comes after the end marker is read over, but for the time at which the body ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamRules {
    /// Where an event's content stands: a string that is not empty makes the event a chunk. The
    /// call of a tool is content too: it is what the model puts out, and its tokens are counted.
    pub content: Vec<JsonPath>,
    /// Where its reasoning stands.
    pub reasoning: Vec<JsonPath>,
    /// Where tokens are reported; the last report counts.
    pub usage: Option<JsonPath>,
    /// An event with a value other than null here is an error of the whole stream.
    pub error: Option<JsonPath>,
    /// What ends a whole stream.
    pub end: StreamEnd,
}

/// What ends a whole stream. One that ends without it is incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// An event whose data is this text.
    Data(String),
    /// An event with this value (a string, a number, true or false) at this path.
    Json(JsonPath, Value),
    /// The end of the body.
    Body,
}

/// What a stream brought.
#[derive(Debug, Clone, Default)]
pub struct Streamed {
    /// When its chunks came.
    pub times: StreamTimes,
    /// Content, joined.
    pub content: String,
    /// Reasoning, joined.
    pub reasoning: String,
    /// The last report of tokens, as it stands in the stream.
    pub usage: Option<Value>,
    /// The model that the stream names, where it does.
    pub model: Option<String>,
    /// Why the stream is no success, where it is none.
    pub problem: Option<StreamProblem>,
}

/// Why a stream is no success, although its response came whole. What the target says is kept uncut:
/// only a secret that is whole can be taken out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamProblem {
    /// It ended without its end marker.
    Unfinished {
        /// What is missing.
        why: String,
        /// What stood last where the end marker's value is looked for.
        instead: Option<Instead>,
    },
    /// It is whole and has no content.
    Empty(String),
    /// It carried an error.
    Error {
        /// Number of the event, from 1.
        event: u64,
        /// What it says.
        message: String,
        /// Its code or type, where it has one.
        code: Option<String>,
    },
    /// An event is not what it should be.
    Malformed {
        /// Number of the event, from 1.
        event: u64,
        /// What is wrong with it.
        why: String,
        /// All of its data.
        data: String,
    },
}

/// A value that stood where that of the end marker is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instead {
    path: JsonPath,
    found: Value,
    expected: Value,
}

impl Instead {
    /// One may look like the other, as `true` like `"true"`: hence their kinds.
    fn told(&self, excerpt: impl Fn(&str) -> String) -> String {
        let Instead { path, found, expected } = self;
        let kind = |value: &Value| match JsonType::of(value) {
            JsonType::String => "text",
            other => other.name(),
        };
        let shown = |value: &Value| match value {
            Value::String(text) => excerpt(text),
            other => excerpt(&other.to_string()),
        };
        format!(
            "the last `{path}` is `{}` ({}), and the {} `{}` is expected",
            shown(found),
            kind(found),
            kind(expected),
            shown(expected),
        )
    }
}

impl StreamProblem {
    /// What is said of it: first without secrets, and then cut.
    fn unexpected(&self, redactions: &Redactions) -> Unexpected {
        let excerpt = |text: &str| redactions.excerpt(text.as_bytes(), EXCERPT);
        match self {
            StreamProblem::Unfinished { why, instead } => {
                let instead = instead.as_ref().map(|instead| instead.told(excerpt));
                let instead = instead.map_or_else(String::new, |told| format!("; {told}"));
                Unexpected::Incomplete(format!("{why}{instead}"))
            }
            StreamProblem::Empty(why) => Unexpected::Content(why.clone()),
            StreamProblem::Error { event, message, code } => {
                let code = code.as_ref().map(|code| format!(" ({})", excerpt(code)));
                Unexpected::Content(format!(
                    "an error in event {event}: {}{}",
                    excerpt(message),
                    code.unwrap_or_default()
                ))
            }
            StreamProblem::Malformed { event, why, data } => {
                Unexpected::Malformed(format!("event {event} is no JSON: {why}: {}", excerpt(data)))
            }
        }
    }
}

impl Default for StreamRules {
    /// Chat completions and completions as OpenAI, Azure, vLLM and SGLang stream them. The chunks of
    /// several choices of one answer are chunks of one stream.
    fn default() -> StreamRules {
        let path = |text: &str| text.parse().expect("invariant: the constant paths are right");
        StreamRules {
            content: [
                "choices[0].delta.content",
                "choices[0].delta.tool_calls[0].function.name",
                "choices[0].delta.tool_calls[0].function.arguments",
                "choices[0].text",
            ]
            .map(path)
            .into(),
            reasoning: ["choices[0].delta.reasoning_content", "choices[0].delta.reasoning"]
                .map(path)
                .into(),
            usage: Some(path("usage")),
            error: Some(path("error")),
            end: StreamEnd::Data("[DONE]".to_owned()),
        }
    }
}

/// What a value in an event is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Content,
    Reasoning,
    Usage,
    Error,
    Model,
    End,
}

impl StreamRules {
    /// Reads the events of one response: when each came, and its data.
    pub fn read<'a>(&self, events: impl Iterator<Item = (Offset, &'a str)>) -> Streamed {
        let mut reading =
            Reading { rules: self, streamed: Streamed::default(), count: 0, last: None };
        let paths = self.paths();
        let mut is_whole = self.end == StreamEnd::Body;
        for (at, data) in events {
            reading.count += 1;
            is_whole |= reading.event(&paths, at, data);
            if is_whole && self.end != StreamEnd::Body {
                break;
            }
        }
        reading.end(is_whole)
    }

    /// Whether a response with the right status is a whole stream without an error.
    ///
    /// # Errors
    ///
    /// Says why it is none.
    pub(super) fn check(
        &self,
        answer: &Answer<'_>,
        redactions: &Redactions,
    ) -> Result<(), Unexpected> {
        let Some(stream) = answer.stream else {
            let of_type = answer.headers.get(http::header::CONTENT_TYPE);
            let of_type = of_type.map_or_else(
                || "none".to_owned(),
                |name| redactions.excerpt(name.as_bytes(), EXCERPT),
            );
            return Err(Unexpected::Content(format!(
                "a stream (content-type text/event-stream) is expected, and this is {of_type}: {}",
                redactions.excerpt(answer.body, EXCERPT)
            )));
        };
        match &stream.problem {
            None => Ok(()),
            Some(problem) => Err(problem.unexpected(redactions)),
        }
    }

    /// Whether the data of an event is its content, as it stands.
    fn is_plain(&self) -> bool {
        self.content.is_empty() && self.reasoning.is_empty()
    }

    fn paths(&self) -> Paths<'_, Purpose> {
        static MODEL: LazyLock<JsonPath> =
            LazyLock::new(|| "model".parse().expect("invariant: a plain name is a path"));
        let of = |path, purpose| (path, purpose);
        let end = match &self.end {
            StreamEnd::Json(path, _) => Some(path),
            StreamEnd::Data(_) | StreamEnd::Body => None,
        };
        Paths::new(
            (self.content.iter().map(|path| of(path, Purpose::Content)))
                .chain(self.reasoning.iter().map(|path| of(path, Purpose::Reasoning)))
                .chain(self.usage.iter().map(|path| of(path, Purpose::Usage)))
                .chain(self.error.iter().map(|path| of(path, Purpose::Error)))
                .chain(end.map(|path| of(path, Purpose::End)))
                .chain([of(&*MODEL, Purpose::Model)]),
        )
    }

    /// The end marker, for messages.
    fn marker(&self) -> String {
        match &self.end {
            StreamEnd::Data(marker) => format!("`{marker}`"),
            StreamEnd::Json(path, value) => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("an event whose `{path}` is `{value}`")
            }
            StreamEnd::Body => "an end".to_owned(),
        }
    }
}

/// A stream that is being read.
struct Reading<'r> {
    rules: &'r StreamRules,
    streamed: Streamed,
    /// Events so far.
    count: u64,
    /// What stood last where the value of the end marker is looked for, and was not it.
    last: Option<Value>,
}

impl Reading<'_> {
    /// Takes the next event. Whether it ends the stream.
    fn event(&mut self, paths: &Paths<'_, Purpose>, at: Offset, data: &str) -> bool {
        if matches!(&self.rules.end, StreamEnd::Data(marker) if data.trim() == marker) {
            return true;
        }
        let rules = self.rules;
        let (mut content, mut reasoning, mut is_end) = (false, false, false);
        let (streamed, last, mut error) = (&mut self.streamed, &mut self.last, None);
        let read = paths.read(data, |purpose, found| match (purpose, found) {
            (Purpose::Content, Found::Text(text)) => {
                content |= !text.is_empty();
                streamed.content.push_str(text);
            }
            (Purpose::Reasoning, Found::Text(text)) => {
                reasoning |= !text.is_empty();
                streamed.reasoning.push_str(text);
            }
            (Purpose::Usage, Found::Other(usage)) => streamed.usage = Some(usage),
            (Purpose::Error, found) => error = Some(told(&found)),
            (Purpose::Model, Found::Text(model)) if !model.is_empty() => {
                streamed.model.get_or_insert_with(|| model.to_owned());
            }
            (Purpose::End, found) => {
                let found = match found {
                    Found::Text(text) => Value::from(text),
                    Found::Other(value) => value,
                };
                is_end |= matches!(&rules.end, StreamEnd::Json(_, value) if equal(value, &found));
                *last = Some(found);
            }
            _ => {}
        });
        if rules.is_plain() && !data.is_empty() {
            content = true;
            streamed.content.push_str(data);
        }
        if content || reasoning {
            streamed.times.chunk(at, content, reasoning);
        }
        let event = self.count;
        if let Some((message, code)) = error {
            self.problem(StreamProblem::Error { event, message, code });
        }
        if let (Err(why), false) = (read, rules.is_plain()) {
            let (why, data) = (why.to_string(), data.to_owned());
            self.problem(StreamProblem::Malformed { event, why, data });
        }
        is_end
    }

    /// The first problem is the one that counts; what comes after it may follow from it.
    fn problem(&mut self, problem: StreamProblem) {
        self.streamed.problem.get_or_insert(problem);
    }

    /// There are no more events.
    fn end(mut self, is_whole: bool) -> Streamed {
        let (rules, count) = (self.rules, self.count);
        if !is_whole {
            let why = format!(
                "the stream ended without {} after {count} {}",
                rules.marker(),
                if count == 1 { "event" } else { "events" },
            );
            let instead = match &rules.end {
                StreamEnd::Json(path, expected) => self.last.take().map(|found| Instead {
                    path: path.clone(),
                    found,
                    expected: expected.clone(),
                }),
                StreamEnd::Data(_) | StreamEnd::Body => None,
            };
            self.problem(StreamProblem::Unfinished { why, instead });
        }
        if self.streamed.times.last.is_none() {
            let places =
                rules.content.iter().chain(&rules.reasoning).map(|path| format!("`{path}`"));
            let places: Vec<String> = places.collect();
            let looked = if places.is_empty() {
                String::new()
            } else {
                format!("; it was looked for at {}", places.join(", "))
            };
            self.problem(StreamProblem::Empty(format!(
                "the stream is whole, and none of its {count} events has content{looked}"
            )));
        }
        self.streamed
    }
}

/// What an error says, and its code: its message and code, where it has them, or all of it.
fn told(error: &Found<'_>) -> (String, Option<String>) {
    let error = match error {
        Found::Text(text) => return ((*text).to_owned(), None),
        Found::Other(error) => error,
    };
    let Some(message) = error.get("message").and_then(Value::as_str) else {
        return (error.to_string(), None);
    };
    let code = error.get("code").or_else(|| error.get("type")).filter(|code| !code.is_null());
    let code = code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    (message.to_owned(), code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn delta(content: &str) -> String {
        format!(r#"{{"model":"m-1","choices":[{{"index":0,"delta":{content}}}],"usage":null}}"#)
    }

    /// Events that come 1 ns apart, from 1.
    fn read(rules: &StreamRules, events: &[&str]) -> Streamed {
        rules.read((1..).map(Offset).zip(events.iter().copied()))
    }

    fn chat(events: &[&str]) -> Streamed {
        read(&StreamRules::default(), events)
    }

    #[test]
    fn chunks_are_events_with_content_or_reasoning() {
        let role = delta(r#"{"role":"assistant","content":""}"#);
        let null = delta(r#"{"role":"assistant","content":null}"#);
        let thought = delta(r#"{"content":null,"reasoning_content":"hm "}"#);
        let text = delta(r#"{"content":"a\nb"}"#);
        let finish = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        let streamed = chat(&[
            &role, &null, &thought, &text, &text, finish, usage, "[DONE]", &text, "no JSON",
        ]);
        assert_eq!(streamed.problem, None, "what comes after the marker is read over");
        let times = &streamed.times;
        assert_eq!(times.first_reasoning, Some(Offset(3)));
        assert_eq!(times.first_content, Some(Offset(4)));
        assert_eq!(times.last, Some(Offset(5)));
        assert_eq!(times.gaps, [Duration::from_nanos(1); 2]);
        assert_eq!((&*streamed.content, &*streamed.reasoning), ("a\nba\nb", "hm "));
        assert_eq!(
            streamed.usage.as_ref().and_then(|usage| usage["prompt_tokens"].as_u64()),
            Some(3)
        );
        assert_eq!(streamed.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn the_call_of_a_tool_is_content() {
        let call = delta(r#"{"content":null,"tool_calls":[{"function":{"name":"f"}}]}"#);
        let arguments = delta(r#"{"tool_calls":[{"function":{"arguments":"{}"}}]}"#);
        let streamed = chat(&[&call, &arguments, "[DONE]"]);
        assert_eq!(streamed.problem, None);
        assert_eq!((streamed.times.gaps.len(), &*streamed.content), (1, "f{}"));
    }

    #[test]
    fn a_stream_that_is_no_success_says_why_and_keeps_its_times() {
        let text = delta(r#"{"content":"a"}"#);
        let why = |events: &[&str]| {
            let streamed = chat(events);
            assert_eq!(streamed.times.first_content, Some(Offset(1)));
            streamed.problem.expect("a problem")
        };
        let unfinished = why(&[&text, &text]);
        let missing = "the stream ended without `[DONE]` after 2 events".to_owned();
        assert_eq!(unfinished, StreamProblem::Unfinished { why: missing, instead: None });
        let error = r#"{"error":{"message":"out of memory","code":500},"choices":[]}"#;
        let said = |events: &[&str]| why(events).unexpected(&Redactions::default());
        assert_eq!(
            said(&[&text, error, "[DONE]"]),
            Unexpected::Content("an error in event 2: out of memory (500)".to_owned())
        );
        assert_eq!(
            said(&[&text, r#"{"error":"overloaded"}"#]),
            Unexpected::Content("an error in event 2: overloaded".to_owned()),
            "the first problem counts"
        );
        let malformed = said(&[&text, r#"{"choices":[}"#, "[DONE]"]);
        let Unexpected::Malformed(message) = malformed else { panic!("{malformed:?}") };
        assert!(message.starts_with("event 2 is no JSON: "), "{message}");
    }

    #[test]
    fn a_whole_stream_without_content_is_no_success() {
        let role = delta(r#"{"role":"assistant","content":""}"#);
        let problem = chat(&[&role, "[DONE]"]).problem;
        let Some(StreamProblem::Empty(message)) = problem else { panic!("{problem:?}") };
        assert!(message.contains("none of its 2 events has content"), "{message}");
    }

    #[test]
    fn an_event_with_a_value_may_be_the_end_and_the_end_of_the_body_too() {
        let path = |text: &str| text.parse().expect("a path");
        let rules = StreamRules {
            content: vec![path("snapshot.text"), path("delta")],
            reasoning: Vec::new(),
            usage: Some(path("response.usage")),
            error: None,
            end: StreamEnd::Json(path("type"), "complete".into()),
        };
        let events = [
            r#"{"type":"start"}"#,
            r#"{"type":"x","snapshot":{"text":"s"}}"#,
            r#"{"type":"complete","response":{"usage":{"input_tokens":1}}}"#,
        ];
        let whole = read(&rules, &events);
        assert_eq!((whole.problem, whole.content), (None, "s".to_owned()));
        assert!(whole.usage.is_some(), "the event that ends a stream counts");
        let cut = read(&rules, &events[..2]).problem;
        let said = cut.expect("a problem").unexpected(&Redactions::default());
        assert_eq!(
            said,
            Unexpected::Incomplete(
                "the stream ended without an event whose `type` is `complete` after 2 events; the \
                 last `type` is `x` (text), and the text `complete` is expected"
                    .to_owned()
            )
        );

        let plain = StreamRules { content: Vec::new(), end: StreamEnd::Body, ..rules };
        let streamed = read(&plain, &["words", "and words"]);
        assert_eq!((streamed.problem, streamed.times.gaps.len()), (None, 1));
        assert_eq!(streamed.content, "wordsand words");
    }

    #[test]
    fn a_value_of_any_kind_may_be_the_end_and_one_that_only_looks_like_it_is_named() {
        let ending = |value: Value| StreamRules {
            content: vec!["delta".parse().expect("a path")],
            end: StreamEnd::Json("done".parse().expect("a path"), value),
            ..StreamRules::default()
        };
        let problem = |value: Value, last: &str| {
            let first = r#"{"delta":"a","done":null}"#;
            read(&ending(value), &[first, last]).problem
        };
        for (value, last) in [
            (true.into(), r#"{"done":true}"#),
            (1.into(), r#"{"done":1.0}"#),
            ("true".into(), r#"{"done":"true"}"#),
        ] {
            assert_eq!(problem(value, last), None, "{last}");
        }
        let said = |value: Value, last: &str| {
            let problem = problem(value, last).expect("a problem");
            problem.unexpected(&Redactions::default()).to_string()
        };
        let told = said("true".into(), r#"{"done":true}"#);
        let end = "the last `done` is `true` (boolean), and the text `true` is expected";
        assert!(told.ends_with(end), "{told}");
        let told = said(true.into(), "{}");
        assert!(told.ends_with("is `true` after 2 events"), "{told}");
    }
}
