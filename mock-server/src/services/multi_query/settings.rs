//! How the multi-query service behaves, as plain data.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::faults::Faults;
use crate::latency::Latency;
use crate::leaks::Leaks;
use crate::upstream::UpstreamSettings;

/// How the multi-query service behaves.
///
/// Each row is expanded into one query for each case study and criterion. [`check`](Self::check)
/// says what fits together; settings that are read from a file have passed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct MultiQuery {
    /// Seed of all draws.
    pub seed: u64,
    /// Time that the service itself adds to each request; its items are rows.
    pub latency: Latency,
    /// What goes wrong in the service itself.
    pub faults: Faults,
    /// What is not given back.
    pub leak: Leaks,
    /// The chat completions service behind it.
    pub upstream: UpstreamSettings,
    /// Model that is asked for.
    pub model: String,
    /// Prompt of a query, in Jinja's language. It sees `row` (the row's fields, and the fields that
    /// the case study reads as `row.input_1`, `row.input_2`, …), `case_study`, `criterion` and
    /// `lookup`. What is not defined is an error, never an empty text.
    pub template: String,
    /// System message before each prompt; none where it is empty.
    pub system_prompt: String,
    /// Outer part of the expansion.
    pub case_studies: Vec<CaseStudy>,
    /// Inner part of the expansion.
    pub criteria: Vec<Criterion>,
    /// Fields of each answer, and the output that each becomes.
    pub output_mapping: BTreeMap<String, OutputField>,
    /// Values for templates.
    pub lookup: Map<String, Value>,
    /// Sampling temperature, from 0 to 2; none: the upstream's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Longest answer, tokens, where the criterion names none; none: the upstream's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// What form of answer is asked for.
    pub response_format: ResponseFormat,
    /// Calls in progress at a time, of all requests together.
    pub pool_size: usize,
    /// How queries come to the pool.
    pub engine: QueryEngine,
    /// In what order, and where one waits for others; none: the engine's own order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What a call in progress occupies.
    pub execution: Execution,
    /// Least time between the dispatches of two calls, milliseconds, and the least delay before a
    /// query is tried again. This and the five settings below have no effect with the engine
    /// `row-barrier`, which tries nothing again.
    pub min_dispatch_delay_ms: u64,
    /// Longest delay before a query is tried again, milliseconds.
    pub max_dispatch_delay_ms: u64,
    /// What a capacity error multiplies that delay by.
    pub backoff_multiplier: f64,
    /// What a success takes from that delay, milliseconds.
    pub recovery_step_ms: u64,
    /// How long a query that meets capacity errors is tried again, counted from its first dispatch.
    pub max_capacity_retry_seconds: f64,
    /// Whether a prompt that was rendered from the same variables is used again. What is the same is
    /// told by the variables' hash, which is an output and computed either way.
    pub template_cache: bool,
    /// How often the HTTP client itself repeats a failed call, as vendors' clients do, unseen by
    /// the pool: after 0.5 s, doubled up to 8 s, or after what `Retry-After` says. With any engine.
    pub client_retries: u32,
}

/// One view of a row: the fields that a query reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseStudy {
    /// First part of the names of its outputs.
    pub name: String,
    /// Fields of the row, for the template `row.input_1`, `row.input_2`, …
    pub input_fields: Vec<String>,
    /// For the template.
    pub context: String,
    /// For the template.
    pub description: String,
}

/// One question about each case study.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Criterion {
    /// Second part of the names of its outputs.
    pub name: String,
    /// For the template.
    pub code: String,
    /// For the template.
    pub description: String,
    /// For the template.
    pub subcriteria: Vec<String>,
    /// Longest answer, tokens; none: that of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

/// What becomes of one field of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputField {
    /// The output is named `{case study}_{criterion}_{suffix}`.
    pub suffix: String,
    /// What the field must be.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// The values that an `enum` may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The type of a field of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputType {
    /// A text.
    String,
    /// A whole number; `3.0` is one, and becomes `3`.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// One of a list of texts.
    Enum,
}

/// What form of answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseFormat {
    /// A JSON object that follows a schema made from the output mapping.
    JsonSchema,
    /// Some JSON object.
    JsonObject,
    /// Nothing is asked for: the prompt alone says what to answer.
    Text,
}

/// How queries come to the pool. Capacity errors are answers with status 429, 503 or 529.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryEngine {
    /// One row after another; only a row's own queries run together. A capacity error is final.
    /// Its order is [`Order::Row`] and no other.
    RowBarrier,
    /// The queries of all rows together, in any [`Order`], of which [`Order::Flat`] is its own.
    /// After a capacity error a query waits, without a place in the pool, and is tried again.
    Flat,
    /// Rows enter first come, first served, at most 30 at a time in the whole service; a row leaves
    /// when it and all before it are done. Capacity errors as with `flat`. Its order is
    /// [`Order::Flat`] and no other.
    Pipelined,
}

/// In what order queries are dispatched, and where one waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Row after row; a row begins when the one before is done.
    Row,
    /// The first query of all rows, then the second of all, …; each begins when the one before is
    /// done in all rows.
    Criterion,
    /// Row after row, and none waits for another.
    Flat,
}

/// What a call in progress occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// One of as many threads as the pool has places, blocked until the answer is there. When the
    /// client leaves, calls in progress go on to their end.
    Threads,
    /// No thread. When the client leaves, calls in progress are cancelled.
    Async,
}

impl MultiQuery {
    /// The order in force.
    pub fn order(&self) -> Order {
        self.order.unwrap_or(match self.engine {
            QueryEngine::RowBarrier => Order::Row,
            QueryEngine::Flat | QueryEngine::Pipelined => Order::Flat,
        })
    }
}

const TEMPLATE: &str = "\
Case study {{ case_study.name }}: {{ case_study.description }}
Background: {{ row.input_1 }}
Assess the {{ criterion.name }} ({{ criterion.code }}): {{ criterion.description }}
Answer with a JSON object.";

const SYSTEM_PROMPT: &str = "You assess medical case studies and answer in JSON.";

impl Default for MultiQuery {
    /// Two case studies, of the fields `cs1_bg` and `cs2_bg`, and two criteria, diagnosis and
    /// treatment: four queries a row, each with a score and a rationale. Four threads, one row after
    /// another.
    fn default() -> Self {
        let case_study = |number: u32| CaseStudy {
            name: format!("cs{number}"),
            input_fields: vec![format!("cs{number}_bg")],
            context: String::new(),
            description: format!("case {number} of the patient"),
        };
        let criterion = |name: &str, code: &str, description: &str| Criterion {
            name: name.to_owned(),
            code: code.to_owned(),
            description: description.to_owned(),
            ..Criterion::default()
        };
        let output = |suffix: &str, kind| {
            let field = OutputField { suffix: suffix.to_owned(), kind, values: Vec::new() };
            (suffix.to_owned(), field)
        };
        MultiQuery {
            seed: 42,
            latency: Latency::ZERO,
            faults: Faults::default(),
            leak: Leaks::default(),
            upstream: UpstreamSettings::default(),
            model: "gpt-4o".to_owned(),
            template: TEMPLATE.to_owned(),
            system_prompt: SYSTEM_PROMPT.to_owned(),
            case_studies: vec![case_study(1), case_study(2)],
            criteria: vec![
                criterion("diagnosis", "DX", "how well the findings support the diagnosis"),
                criterion("treatment", "TX", "how well the treatment fits the diagnosis"),
            ],
            output_mapping: BTreeMap::from([
                output("score", OutputType::Integer),
                output("rationale", OutputType::String),
            ]),
            lookup: Map::new(),
            temperature: Some(0.0),
            max_tokens: None,
            response_format: ResponseFormat::JsonSchema,
            pool_size: 4,
            engine: QueryEngine::RowBarrier,
            order: None,
            execution: Execution::Threads,
            min_dispatch_delay_ms: 0,
            max_dispatch_delay_ms: 5_000,
            backoff_multiplier: 2.0,
            recovery_step_ms: 50,
            max_capacity_retry_seconds: 3_600.0,
            template_cache: false,
            client_retries: 0,
        }
    }
}

impl<'de> Deserialize<'de> for MultiQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function of the same name, which `remote = "Self"` leaves to this one.
        let settings = MultiQuery::deserialize(deserializer)?;
        settings.check().map_err(D::Error::custom)?;
        Ok(settings)
    }
}

impl Serialize for MultiQuery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MultiQuery::serialize(self, serializer)
    }
}
