//! How a stream of server-sent events is read: what is content, what is reasoning, where it ends.

use serde::Serialize;

use crate::measure::sample::{Offset, StreamTimes};

use super::json_path::JsonPath;

/// How the events of a step's response are read. The default reads chat completions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamRules {
    /// Where an event's content stands: a string that is not empty makes the event a chunk.
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
    /// An event with this value (a string) at this path.
    Json(JsonPath, String),
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
    pub usage: Option<serde_json::Value>,
    /// The model that the stream names, where it does.
    pub model: Option<String>,
    /// Why the stream is no success, where it is none.
    pub problem: Option<StreamProblem>,
}

/// Why a stream is no success, although its response came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamProblem {
    /// It ended without its end marker.
    Unfinished(String),
    /// It carried an error.
    Error(String),
    /// An event is not what it should be.
    Malformed(String),
}

impl StreamRules {
    /// Reads the events of one response: when each came, and its data.
    pub fn read<'a>(&self, events: impl Iterator<Item = (Offset, &'a str)>) -> Streamed {
        let _ = events;
        Streamed::default()
    }
}
