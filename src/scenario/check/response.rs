//! What of a response is looked at besides what is expected of it, and when a request is made again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use http::HeaderName;

use crate::scenario::errors::suggestion;
use crate::scenario::file::{
    EndFile, ExpectFile, ExtractFile, GoodputFile, ResponseKeys, RetryFile, RowsFile, StreamFile,
};
use crate::scenario::json_path::JsonPath;
use crate::scenario::model::{Extract, Goodput, Retry, RowsIn};
use crate::scenario::stream::{StreamEnd, StreamRules};
use crate::scenario::written::{At, CountOr, Names, Node, SwitchOr, TextOr};

use super::Checker;

/// Statuses after which a request is made again unless the step says otherwise: the target was
/// overloaded, or the failure may pass.
const RETRIED: [u16; 7] = [408, 429, 500, 502, 503, 504, 529];
/// The word for a request without a response.
const NO_RESPONSE: &str = "no response";
const ATTEMPTS: u32 = 3;
const MOST_ATTEMPTS: u32 = 1000;
const BACKOFF: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
const JITTER: f64 = 0.5;

/// What is read from the responses of a step.
pub(super) struct Reading {
    pub extract: Vec<(String, Extract)>,
    pub stream: Option<StreamRules>,
    pub usage: Option<JsonPath>,
    pub rows: Option<RowsIn>,
    pub goodput: Option<Goodput>,
}

impl Checker<'_> {
    pub(super) fn reading(
        &mut self,
        written: ResponseKeys,
        expect: Option<&At<ExpectFile>>,
    ) -> Reading {
        let stream = written.stream.and_then(|stream| self.stream(stream));
        let of_stream = expect.and_then(|expect| expect.value.stream_contains.as_ref());
        if let Some(text) = of_stream.filter(|_| stream.is_none()) {
            let label = "use `body_contains`, or add `stream = true`";
            self.problem(&text.span, "the response of this step is no stream", label);
        }
        if stream.is_some() {
            self.only_of_whole_responses(expect, written.usage.as_ref(), written.rows.as_ref());
        }
        Reading {
            extract: self.extracts(written.extract, stream.is_some()),
            usage: written.usage.and_then(|usage| self.usage(&usage)),
            rows: written.rows.and_then(|rows| self.rows_in(rows)),
            goodput: written.goodput.and_then(|limits| self.goodput(limits, stream.is_some())),
            stream,
        }
    }

    /// A path into JSON.
    pub(super) fn json_path(&mut self, written: &At<String>) -> Option<JsonPath> {
        let parsed: Result<JsonPath, String> = written.value.parse();
        let wrong = |why: String| {
            let message = format!("`{}` is not a path into a body", written.value);
            self.problem(&written.span, message, why);
        };
        parsed.map_err(wrong).ok()
    }

    // Values for later steps.

    fn extracts(
        &mut self,
        written: BTreeMap<At<String>, At<TextOr<ExtractFile>>>,
        streams: bool,
    ) -> Vec<(String, Extract)> {
        let mut extracts = Vec::new();
        for (name, At { value, span }) in written {
            if let Some(own) = self.visible.own.iter().find(|own| own.name == name.value) {
                let message = format!("`{}` already is a name of this step", own.name);
                self.problem(&name.span, message, "expected another name");
                continue;
            }
            let is_new = self.check_new_name(&name);
            let from = match value {
                TextOr::Text(_) if streams => {
                    let label = "expected { stream = \"content\" } or { header = \"…\" }";
                    self.problem(&span, "a stream is not read as one JSON body", label);
                    None
                }
                TextOr::Text(value) => self.json_path(&At { value, span }).map(Extract::Json),
                TextOr::Table(table) => self.extract(table, &span, streams),
            };
            extracts.extend(from.filter(|_| is_new).map(|from| (name.value, from)));
        }
        extracts
    }

    fn extract(
        &mut self,
        written: ExtractFile,
        span: &Range<usize>,
        streams: bool,
    ) -> Option<Extract> {
        match written {
            ExtractFile { header: Some(name), body: None, stream: None } => {
                if HeaderName::from_bytes(name.value.as_bytes()).is_err() {
                    let message = format!("`{}` is not the name of a header", name.value);
                    self.problem(&name.span, message, "expected letters, digits and `-`");
                    return None;
                }
                Some(Extract::Header(name.value.to_ascii_lowercase()))
            }
            ExtractFile { header: None, body: Some(body), stream: None } => {
                let (message, label) = match (body.value, streams) {
                    (true, false) => return Some(Extract::Body),
                    (true, true) => {
                        ("a stream is not kept as one body", "expected { stream = \"content\" }")
                    }
                    (false, _) => ("this takes nothing", "expected `body = true`"),
                };
                self.problem(&body.span, message, label);
                None
            }
            ExtractFile { header: None, body: None, stream: Some(part) } => {
                if !streams {
                    let label = "expected `stream = true` in the step besides";
                    self.problem(&part.span, "the response of this step is no stream", label);
                }
                match part.value.as_str() {
                    "content" => Some(Extract::Content),
                    "reasoning" => Some(Extract::Reasoning),
                    other => {
                        let label = suggestion(other, ["content", "reasoning"]);
                        self.problem(&part.span, format!("a stream has no `{other}`"), label);
                        None
                    }
                }
            }
            _ => {
                let label = "expected a path, or one of header, body and stream";
                self.problem(span, "where is the value to be found?", label);
                None
            }
        }
    }

    // Streams.

    fn stream(&mut self, written: At<SwitchOr<StreamFile>>) -> Option<StreamRules> {
        let written = match written.value {
            SwitchOr::Short(false) => return None,
            SwitchOr::Short(true) => StreamFile::default(),
            SwitchOr::Table(table) => table,
        };
        let default = StreamRules::default();
        Some(StreamRules {
            content: self.paths(written.content, default.content),
            reasoning: self.paths(written.reasoning, default.reasoning),
            usage: written.usage.map_or(default.usage, |path| self.json_path(&path)),
            error: written.error.map_or(default.error, |path| self.json_path(&path)),
            end: written.end.and_then(|end| self.stream_end(end)).unwrap_or(default.end),
        })
    }

    fn paths(&mut self, written: Option<At<Names>>, default: Vec<JsonPath>) -> Vec<JsonPath> {
        match written {
            None => default,
            Some(paths) => paths.names().iter().filter_map(|path| self.json_path(path)).collect(),
        }
    }

    fn stream_end(&mut self, written: At<TextOr<EndFile>>) -> Option<StreamEnd> {
        match written.value {
            TextOr::Text(text) if text == "body" => Some(StreamEnd::Body),
            TextOr::Text(text) if text.is_empty() => {
                let label = "expected the data of an event, as \"[DONE]\", or \"body\"";
                self.problem(&written.span, "nothing ends the stream", label);
                None
            }
            TextOr::Text(text) => Some(StreamEnd::Data(text)),
            TextOr::Table(EndFile { json: Some(path), equals: Some(value) }) => {
                let (path, value) = (self.json_path(&path), self.end_value(&value));
                path.zip(value).map(|(path, value)| StreamEnd::Json(path, value))
            }
            TextOr::Table(_) => {
                let label = "expected { json = \"type\", equals = \"complete\" }";
                self.problem(&written.span, "which event ends the stream?", label);
                None
            }
        }
    }

    /// A value that ends a stream: one that is told at a glance, for it is quoted in messages.
    fn end_value(&mut self, written: &At<Node>) -> Option<serde_json::Value> {
        match &written.value {
            Node::List(_) | Node::Table(_) => {}
            // JSON has neither `inf` nor `nan`.
            Node::Float(number) if !number.is_finite() => {}
            value => return Some(value.to_json()),
        }
        let message = format!("{} cannot end a stream", self.written(&written.span));
        self.problem(&written.span, message, "expected a string, a number, true or false");
        None
    }

    /// Keys that look into a body, which a stream does not have.
    fn only_of_whole_responses(
        &mut self,
        expect: Option<&At<ExpectFile>>,
        usage: Option<&At<Node>>,
        rows: Option<&RowsFile>,
    ) {
        if let Some(At { value: expect, span }) = expect {
            let used = [
                ("json", !expect.json.is_empty()),
                ("body_contains", expect.body_contains.is_some()),
            ];
            for (key, _) in used.into_iter().filter(|(_, is_used)| *is_used) {
                let message = format!("`{key}` looks at a whole body, and this is a stream");
                let label = "use `stream_contains` for its content; its end and errors are checked \
                             by `stream`";
                self.problem(span, message, label);
            }
        }
        if let Some(usage) = usage {
            let label = "write it as `stream = { usage = \"…\" }`";
            self.problem(&usage.span, "a stream has the place of its usage in `stream`", label);
        }
        if let Some(rows) = rows {
            let label = "rows are found in whole JSON bodies only";
            self.problem(&rows.at.span, "a stream carries no rows", label);
        }
    }

    // The rest.

    fn usage(&mut self, written: &At<Node>) -> Option<JsonPath> {
        match &written.value {
            Node::Bool(false) => None,
            Node::Bool(true) => "usage".parse().ok(),
            Node::Text(path) => {
                self.json_path(&At { value: path.clone(), span: written.span.clone() })
            }
            other => {
                let message = format!("wrong kind of value: {}", other.kind());
                self.problem(&written.span, message, "expected true or a path");
                None
            }
        }
    }

    fn rows_in(&mut self, written: RowsFile) -> Option<RowsIn> {
        let at = self.json_path(&written.at);
        let mut path = |path: Option<&At<String>>| path.and_then(|path| self.json_path(path));
        let (failed, detail) = (path(written.failed.as_ref()), path(written.detail.as_ref()));
        let fields = written.fields.iter().filter_map(|field| path(Some(field))).collect();
        if let (None, Some(detail)) = (&written.failed, &written.detail) {
            let message = "`detail` is more of what `failed` says";
            self.problem(&detail.span, message, "expected `failed` besides");
        }
        Some(RowsIn { at: at?, failed, detail, fields })
    }

    fn goodput(&mut self, written: At<GoodputFile>, streams: bool) -> Option<Goodput> {
        let At { value: written, span } = written;
        for (key, limit) in [("ttft", &written.ttft), ("tpot", &written.tpot)] {
            if let Some(limit) = limit.as_ref().filter(|_| !streams) {
                let message = format!("`{key}` is known of streams only");
                self.problem(&limit.span, message, "expected `stream = true` in the step besides");
            }
        }
        let limits = Goodput {
            response_time: written.response_time.and_then(|text| self.duration(&text)),
            ttft: written.ttft.and_then(|text| self.duration(&text)),
            tpot: written.tpot.and_then(|text| self.duration(&text)),
        };
        if limits == Goodput::default() {
            let label = "expected response_time, ttft or tpot";
            self.problem(&span, "these are no limits", label);
            return None;
        }
        Some(limits)
    }

    pub(super) fn retry(&mut self, written: At<CountOr<RetryFile>>) -> Option<Retry> {
        let At { value, span } = written;
        let written = match value {
            CountOr::Table(table) => table,
            CountOr::Short(attempts) => {
                let attempts = Some(At { value: attempts, span });
                RetryFile { attempts, ..RetryFile::default() }
            }
        };
        let attempts = written.attempts.map_or(ATTEMPTS, |attempts| {
            if !(2..=MOST_ATTEMPTS).contains(&attempts.value) {
                let word = if attempts.value == 1 { "attempt" } else { "attempts" };
                let message = format!("{} {word}, the first included", attempts.value);
                let label = format!("expected 2 to {MOST_ATTEMPTS}, or no `retry` at all");
                self.problem(&attempts.span, message, label);
            }
            attempts.value
        });
        let (statuses, without_response) = match written.on {
            None => (RETRIED.to_vec(), true),
            Some(on) => self.retried(&on),
        };
        let longest_span = written.longest.as_ref().map(|text| text.span.clone());
        let backoff = written.backoff.and_then(|text| self.duration(&text)).unwrap_or(BACKOFF);
        let longest = written.longest.and_then(|text| self.duration(&text));
        if let (Some(longest), Some(span)) = (longest, longest_span)
            && longest < backoff
        {
            self.problem(&span, "the longest wait is shorter than the first", "");
        }
        let longest = longest.unwrap_or(LONGEST.max(backoff));
        let jitter = written.jitter.map_or(JITTER, |share| {
            if !(0.0..=1.0).contains(&share.value) {
                let message = format!("{} is not a share", share.value);
                self.problem(&share.span, message, "expected 0 to 1");
            }
            share.value
        });
        Some(Retry { attempts, statuses, without_response, backoff, longest, jitter })
    }

    /// Statuses that are retried, and whether no response is.
    fn retried(&mut self, written: &At<Vec<At<Node>>>) -> (Vec<u16>, bool) {
        let mut statuses = Vec::new();
        let mut without_response = false;
        for on in &written.value {
            match &on.value {
                Node::Integer(status @ 100..=599) => {
                    statuses.extend(u16::try_from(*status).ok());
                }
                Node::Text(text) if text == NO_RESPONSE => without_response = true,
                other => {
                    let message =
                        format!("{} is not what a request is retried on", other.to_json());
                    let label = format!("expected a status, as 503, or \"{NO_RESPONSE}\"");
                    self.problem(&on.span, message, label);
                }
            }
        }
        if written.value.is_empty() {
            self.problem(&written.span, "nothing is retried", "expected a status at least");
        }
        statuses.sort_unstable();
        statuses.dedup();
        (statuses, without_response)
    }
}
