//! What is written about fan-outs, about what is read from responses, attempts, budgets and prices,
//! of the target's own numbers, and of what it may use.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::scenario::written::{At, Names, Node, SwitchOr, TextOr};

/// The keys of a step that say how many requests it makes, and what they see.
#[derive(Debug)]
pub struct FanKeys {
    /// Lists whose elements it is made for.
    pub for_each: Option<At<Names>>,
    /// Requests at the same time.
    pub concurrency: Option<At<u32>>,
    /// Whether one failed request fails the iteration.
    pub all_or_nothing: Option<At<bool>>,
    /// Steps whose results it sees.
    pub after: Option<At<Names>>,
}

impl FanKeys {
    /// Whether not one of the keys is given.
    pub fn is_empty(&self) -> bool {
        self.for_each.is_none()
            && self.concurrency.is_none()
            && self.all_or_nothing.is_none()
            && self.after.is_none()
    }
}

/// The keys of a step that say what of its response is looked at, besides expectations.
#[derive(Debug)]
pub struct ResponseKeys {
    /// Values for later steps.
    pub extract: BTreeMap<At<String>, At<TextOr<ExtractFile>>>,
    /// How a stream is read.
    pub stream: Option<At<SwitchOr<StreamFile>>>,
    /// Where a whole response reports its tokens.
    pub usage: Option<At<Node>>,
    /// Rows in it.
    pub rows: Option<RowsFile>,
    /// Limits for goodput.
    pub goodput: Option<At<GoodputFile>>,
}

impl ResponseKeys {
    /// Whether not one of the keys is given.
    pub fn is_empty(&self) -> bool {
        self.extract.is_empty()
            && self.stream.is_none()
            && self.usage.is_none()
            && self.rows.is_none()
            && self.goodput.is_none()
    }
}

/// Where a value for later steps is found; one of these keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtractFile {
    /// In this header.
    pub header: Option<At<String>>,
    /// `true`: the whole body as text.
    pub body: Option<At<bool>>,
    /// In a stream: all of its `"content"`, or all of its `"reasoning"`.
    pub stream: Option<At<String>>,
}

/// How a stream of server-sent events is read. What is left out is as in chat completions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamFile {
    /// Where an event's content stands: a path, or several.
    pub content: Option<At<Names>>,
    /// Where its reasoning stands: a path, or several.
    pub reasoning: Option<At<Names>>,
    /// Where tokens are reported.
    pub usage: Option<At<String>>,
    /// An event with a value here is an error of the whole stream.
    pub error: Option<At<String>>,
    /// What ends a whole stream: an event's data, as `"[DONE]"`; `{ json = "type", equals =
    /// "complete" }` or `{ json = "done", equals = true }` for an event with that value; or `"body"`
    /// for the end of the body.
    pub end: Option<At<TextOr<EndFile>>>,
}

/// The event that ends a stream, by a value in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndFile {
    /// Path of the value.
    pub json: Option<At<String>>,
    /// The value: a string, a number, true or false.
    pub equals: Option<At<Node>>,
}

/// When and how often a failed request is made again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryFile {
    /// Attempts, the first included; 3 where it is left out.
    pub attempts: Option<At<u32>>,
    /// Statuses, and `"no response"` for a request without one.
    pub on: Option<At<Vec<At<Node>>>>,
    /// Wait before the second attempt, doubled with each one more; 500 ms where it is left out.
    pub backoff: Option<At<String>>,
    /// Longest wait; 8 s where it is left out.
    pub longest: Option<At<String>>,
    /// Share of the wait that is drawn anew each time, from 0 to 1; 0.5 where it is left out.
    pub jitter: Option<At<f64>>,
}

/// Rows in a response that carries many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsFile {
    /// Path of the array of rows.
    pub at: At<String>,
    /// Path in a row: where there is a value, the row failed, and the value says why.
    pub failed: Option<At<String>>,
    /// Path in a failed row: what examples of the failure show, where that is more than `failed`.
    pub detail: Option<At<String>>,
    /// Paths at which every other row has a value; a row that lacks one failed.
    #[serde(default)]
    pub fields: Vec<At<String>>,
}

/// Rows of an iteration that has several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchFile {
    /// Name of the data source.
    pub from: Option<At<String>>,
    /// Most rows of an iteration: fewer are left for the last one, or in the whole source.
    pub batch: Option<At<u32>>,
}

/// Limits within which a successful request counts for goodput; all that are given must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoodputFile {
    /// Response time, as `"5s"`.
    pub response_time: Option<At<String>>,
    /// Time to first token of a stream.
    pub ttft: Option<At<String>>,
    /// Time per output token of a stream.
    pub tpot: Option<At<String>>,
}

/// What may be used up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetFile {
    /// Requests, attempts included.
    pub requests: Option<At<u64>>,
    /// Tokens of prompts and completions.
    pub tokens: Option<At<u64>>,
    /// Cost, in the currency of the price table.
    pub cost: Option<At<f64>>,
}

/// Price of one model, for a million tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceFile {
    /// Of prompts.
    pub input: Option<At<f64>>,
    /// Of what of a prompt comes from the server's cache; as `input` where it is left out.
    pub cached: Option<At<f64>>,
    /// Of completions.
    pub output: Option<At<f64>>,
}

/// The target's own numbers, in the text format of Prometheus or in JSON: asked for again and again
/// during a run, and shown beside gander's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeFile {
    /// Where they are in the text format of Prometheus: a path on the target, such as `"/metrics"`,
    /// or a URL.
    pub at: Option<At<String>>,
    /// From one look to the next, from 100 ms to an hour; 1 s where it is left out.
    pub every: Option<At<String>>,
    /// Names of the series that are kept, `*` for any characters, as `["http_requests_total",
    /// "process_*"]`. All, up to 500, where it is left out.
    pub metrics: Option<At<Vec<At<String>>>>,
    /// Pages in JSON, and what of them is kept.
    #[serde(default)]
    pub json: Vec<At<JsonPageFile>>,
    /// What is held against gander's figures, in place of series with well-known names.
    pub compare: Option<CompareFile>,
}

/// A page of the target in JSON.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonPageFile {
    /// Where it is: a path on the target, such as `"/stats"`, or a URL.
    pub at: Option<At<String>>,
    /// Numbers that only grow, by name: their paths, as `{ cache_hits = "cache.hits" }`.
    #[serde(default)]
    pub counters: BTreeMap<At<String>, At<String>>,
    /// Other values, by name: their paths. A number, `true` (1) or `false` (0), a text (a state), an
    /// object (all numbers in it), a list (how long it is).
    #[serde(default)]
    pub values: BTreeMap<At<String>, At<TextOr<ElementsFile>>>,
}

/// A list of objects, whose elements are counted by kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElementsFile {
    /// Path of the list.
    pub path: Option<At<String>>,
    /// Keys of an element that say of which kind it is, as `["operation", "severity"]`.
    #[serde(default)]
    pub labels: Vec<At<String>>,
}

/// Series that are held against gander's figures: a name, or a name and some of the labels, as
/// `http_requests_total{handler="/predict"}`, or several of these. Times are histograms or summaries in
/// seconds, or objects in JSON with `count` and `mean_ms`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareFile {
    /// Counter of all requests.
    pub requests: Option<At<Names>>,
    /// Time of a request.
    pub response_time: Option<At<Names>>,
    /// Time to the first token of a stream.
    pub ttft: Option<At<Names>>,
    /// Time between two chunks of a stream.
    pub inter_chunk: Option<At<Names>>,
    /// Time of each output token of a stream, a figure for each request.
    pub tpot: Option<At<Names>>,
}

/// What one replica of the target may use where it is deployed, and how full it is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizingFile {
    /// What is set aside for it.
    pub request: Option<AmountsFile>,
    /// What it may use at most.
    pub limit: Option<AmountsFile>,
    /// Replicas that share the load, of which one is measured; 1 where it is left out.
    pub replicas: Option<At<u32>>,
    /// Most replicas there may be.
    pub max_replicas: Option<At<u32>>,
    /// How much of its request a replica is to use on average.
    pub target: Option<TargetsFile>,
}

/// Amounts as Kubernetes writes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountsFile {
    /// Processors: `"300m"` (thousandths), `"1.5"`.
    pub cpu: Option<At<String>>,
    /// Memory: `"384Mi"`, `"1.5Gi"`, `"512M"`.
    pub memory: Option<At<String>>,
}

/// Shares of a request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetsFile {
    /// Of processors, as `"70%"`.
    pub cpu: Option<At<String>>,
    /// Of memory, as `"80%"`.
    pub memory: Option<At<String>>,
}
