//! What is written: the types that read a scenario file, and from which its JSON Schema is made.
//!
//! Nearly everything is optional here, even what a scenario must have. `check` says what is missing,
//! so that one mistake does not hide the next.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::schedule::Spread;

use super::data::Order;
use super::written::{At, CountOr, ListOr, Names, Node, SwitchOr, TextOr};

mod more;

pub use more::{
    AmountsFile, BatchFile, BudgetFile, CompareFile, ElementsFile, EndFile, ExtractFile, FanKeys,
    GoodputFile, JsonPageFile, PriceFile, ResponseKeys, RetryFile, RowsFile, ScrapeFile,
    SizingFile, StreamFile, TargetsFile,
};

/// A gander scenario: kinds of users, what they do, and what is expected of the target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// One line that says what the scenario does.
    pub summary: Option<String>,
    /// The reference service to start when no target is given: its name, or a table with `name` and
    /// the service's settings, as in `{ name = "inference", latency = "90ms" }`; `gander mock NAME
    /// --show` prints them all.
    pub service: Option<At<TextOr<ServiceOptions>>>,
    /// Headers of every step.
    #[serde(default)]
    pub headers: Headers,
    /// Rows for templates, by name: a list, or a file. Each iteration is given one row of each
    /// source that its steps use.
    #[serde(default)]
    pub data: BTreeMap<At<String>, At<ListOr<DataFile>>>,
    /// The data source of which an iteration is one row: each iteration takes exactly one, at its
    /// beginning. Its order is next or shuffle. Or a table, `{ from = "row", batch = 10 }`: an
    /// iteration takes up to so many. Templates see them as the list `rows`.
    pub rows: Option<At<TextOr<BatchFile>>>,
    /// Load to use where the command line names none.
    pub load: Option<LoadFile>,
    /// What may be used up; the run ends in good order when it is.
    pub budget: Option<BudgetFile>,
    /// Where the target shows its own numbers, as in `{ at = "/metrics" }`.
    pub scrape: Option<At<ScrapeFile>>,
    /// What the target may use where it is deployed, as in `{ limit = { memory = "768Mi" } }`.
    pub sizing: Option<At<SizingFile>>,
    /// What tokens cost: `currency`, and a table for each model whose name begins so (`default` for
    /// every other one), as in `[price."gpt-4o"]`.
    #[serde(default)]
    pub price: BTreeMap<At<String>, At<TextOr<PriceFile>>>,
    /// Wait after each iteration, with `[[step]]`: `"1s"`, or `"500ms..2s"` for a wait drawn evenly
    /// from that range.
    pub think: Option<At<String>>,
    /// The short form: these steps, in order, are all that every user does.
    #[serde(default)]
    pub step: Vec<At<StepFile>>,
    /// The long form: kinds of users.
    #[serde(default)]
    pub user: Vec<At<UserFile>>,
    /// What must hold for the run to pass.
    #[serde(default)]
    pub slo: Vec<SloFile>,
    /// What is to be told where it is so.
    #[serde(default)]
    pub alert: Vec<At<AlertFile>>,
    /// What `--variant NAME` lays over all of this: keys with dots, elements of lists by their
    /// `name`, as in `step.query.concurrency = 1`. A table merges into the table that stands there,
    /// key by key; any other value, a list too, takes the place of what stands there.
    #[serde(default)]
    pub variant: BTreeMap<At<String>, At<Node>>,
}

/// `name` and the settings of a service.
pub type ServiceOptions = BTreeMap<At<String>, At<Node>>;

/// Header names and values.
pub type Headers = BTreeMap<At<String>, At<TextOr<FromEnvironment>>>;

/// A header's value that is taken from an environment variable, and is shown nowhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromEnvironment {
    /// Name of the variable.
    pub env: At<String>,
    /// Text before the variable's value, such as `"Bearer "`.
    #[serde(default)]
    pub prefix: String,
}

/// Rows in a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Path of a .csv file (with a header line), a .json file (one array) or a .jsonl file (one
    /// value a line), from the scenario's own folder.
    pub file: At<String>,
    /// Order in which rows are handed out.
    #[serde(default)]
    pub order: Order,
}

/// Load to use where the command line names none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadFile {
    /// Closed load: number of users, each of which waits for its response before it goes on.
    pub users: Option<At<u32>>,
    /// Open load: iterations that start each second, whether earlier ones have ended or not, as `50`,
    /// `"50/s"`, `"300/m"`, or `"10..100"` for a rate that rises evenly over the duration.
    pub rate: Option<At<RateText>>,
    /// How arrivals are spread at a rate: `"constant"` (evenly) or `"poisson"` (independently of each
    /// other). Constant where it is left out.
    pub arrivals: Option<At<Spread>>,
    /// Open load: most iterations at the same time; what is due beyond them is dropped and counted.
    pub max_in_flight: Option<At<u32>>,
    /// How long, as `"30s"`; not with `stages`.
    pub duration: Option<At<String>>,
    /// In place of `users` or `rate`, numbers of users over time: `"10u:30s,50u:1m/20s"` is 10 users
    /// for 30 s, then 50 users, reached within 20 s and kept for a minute; or rates over time:
    /// `"50/s:30s,200/s:1m/20s"`.
    pub stages: Option<At<String>>,
    /// Time at the start that is recorded apart, as `"5s"`.
    pub warm_up: Option<At<String>>,
}

/// A rate, written as a number of iterations a second or as a text; kept as text.
#[derive(Debug, Clone)]
pub struct RateText(pub String);

impl<'de> Deserialize<'de> for RateText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl serde::de::Visitor<'_> for Either {
            type Value = RateText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number a second, or a rate such as `\"300/m\"` or `\"10..100\"`")
            }

            fn visit_str<E>(self, text: &str) -> Result<RateText, E> {
                Ok(RateText(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<RateText, E> {
                Ok(RateText(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<RateText, E> {
                Ok(RateText(number.to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for RateText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "number" }, { "type": "string" }] })
    }
}

/// A kind of user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    /// Name, unique in the scenario.
    pub name: Option<At<String>>,
    /// Share among the kinds of users; 1 where it is left out.
    pub weight: Option<At<u32>>,
    /// Wait after each transaction: `"1s"`, or `"500ms..2s"` for a wait drawn evenly from that
    /// range. None where it is left out.
    pub think: Option<At<String>>,
    /// What such a user does; one is drawn by weight for each iteration.
    #[serde(default)]
    pub transaction: Vec<At<TransactionFile>>,
}

/// A rule that must hold for the run to pass.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SloFile {
    /// `"p95 < 200ms"` for all steps, or `"predict: p95 < 200ms"` for one. Of times: p50 to p99.999,
    /// mean, min, max; of the response time, or of what stands before: service, first-byte, ttft,
    /// first-reasoning, inter-chunk, tpot, row (as in `"ttft p95 < 200ms"`). Per second: rps, rows,
    /// goodput, tokens (as in `"rps > 30"`). Shares: failures, failed rows, good (as in
    /// `"failures < 1%"`). Of times also multiples (`"p99 <= 2x p50"`); of the target `"rss growth
    /// <= 100MB/h"`.
    pub rule: At<String>,
}

/// An alert: it fires where a rule is true, and says so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertFile {
    /// Name, unique in the scenario.
    pub name: Option<At<String>>,
    /// When to warn, as `"p95 > 45s"`: written as the rules of `[[slo]]` are.
    pub warn: Option<At<String>>,
    /// When the run has failed, as `"p95 > 90s"`.
    pub critical: Option<At<String>>,
}

/// What a response must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectFile {
    /// Status: `200`, `"2xx"`, or a list of these; `"2xx"` where it is left out.
    #[schemars(schema_with = "status_schema")]
    pub status: Option<At<Node>>,
    /// Headers: the value that each must have, or `{ contains = "json" }`.
    #[serde(default)]
    pub header: BTreeMap<At<String>, TextOr<ContainsFile>>,
    /// Text that the body must contain; a template.
    pub body_contains: Option<At<String>>,
    /// Text that the content of a stream must contain; a template.
    pub stream_contains: Option<At<String>>,
    /// Values of a JSON body, by path, as in `"choices[0].message.content"` (`"$"` is the whole
    /// body). A check is the name of a type (string, number, boolean, array, object, null, or json:
    /// a string that is itself JSON), or a table.
    #[serde(default)]
    pub json: BTreeMap<At<String>, At<TextOr<JsonCheckFile>>>,
}

/// A header that must contain a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainsFile {
    /// The text; a template.
    pub contains: At<String>,
}

/// What a value of a JSON body must be; all that is given must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonCheckFile {
    /// The value itself; a string is a template.
    pub equals: Option<At<Node>>,
    /// Number of elements of an array, entries of an object, or characters of a string.
    pub length: Option<u64>,
    /// Least number.
    pub min: Option<f64>,
    /// Greatest number.
    pub max: Option<f64>,
}

fn status_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let one = serde_json::json!({ "anyOf": [
        { "type": "integer", "minimum": 100, "maximum": 599 },
        { "type": "string", "pattern": "^[1-5]xx$" },
    ] });
    schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

fn usage_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "string" }] })
}

/// Defines a struct that has the keys of a request besides its own. (`serde(flatten)` would lose
/// the places of values.)
macro_rules! with_request_keys {
    ($(#[$about:meta])* pub struct $name:ident {
        $($(#[$key_about:meta])* pub $key:ident: $kind:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$key_about])* pub $key: $kind,)*
            /// Path of a GET request; a template.
            pub get: Option<At<String>>,
            /// Path of a POST request; a template.
            pub post: Option<At<String>>,
            /// Path of a PUT request; a template.
            pub put: Option<At<String>>,
            /// Path of a PATCH request; a template.
            pub patch: Option<At<String>>,
            /// Path of a DELETE request; a template.
            pub delete: Option<At<String>>,
            /// Path of a HEAD request; a template.
            pub head: Option<At<String>>,
            /// Path of an OPTIONS request; a template.
            pub options: Option<At<String>>,
            /// Headers of this step, besides the scenario's own.
            #[serde(default)]
            pub headers: Headers,
            /// A JSON body. Strings are templates; a string that is one `{{ expression }}` becomes
            /// that expression's own value (a list stays a list).
            pub json: Option<At<Node>>,
            /// A body as text; a template.
            pub body: Option<At<String>>,
            /// A body from a file, sent as it is; from the scenario's own folder.
            pub body_file: Option<At<String>>,
            /// From the start of the attempt to the last byte of the body; 30 s where it is left
            /// out.
            pub timeout: Option<At<String>>,
            /// What the response must be; status 2xx where it is left out.
            pub expect: Option<At<ExpectFile>>,
            /// Makes a request for each element: names of data sources, of extracted lists or of
            /// steps in `after`. Of several, the cross product; the last one varies fastest. In
            /// templates each name is the element, and `index` its place from 0.
            pub for_each: Option<At<Names>>,
            /// Requests of `for_each` at the same time; 1 where it is left out.
            pub concurrency: Option<At<u32>>,
            /// With `for_each`: whether one failed request fails the iteration.
            pub all_or_nothing: Option<At<bool>>,
            /// Earlier steps of the transaction, whose results templates see as lists of these names.
            pub after: Option<At<Names>>,
            /// Values of the response for later steps, by name: a path into a JSON body, or a table
            /// `{ header = "…" }`, `{ body = true }`, `{ stream = "content" }`.
            #[serde(default)]
            pub extract: BTreeMap<At<String>, At<TextOr<ExtractFile>>>,
            /// The response is a stream of server-sent events: `true` for chat completions, or a
            /// table that says how it is read.
            pub stream: Option<At<SwitchOr<StreamFile>>>,
            /// Where a whole response reports its tokens: `true` for `"usage"`, or a path.
            #[schemars(schema_with = "usage_schema")]
            pub usage: Option<At<Node>>,
            /// When a failed request is made again: attempts, the first included, or a table.
            pub retry: Option<At<CountOr<RetryFile>>>,
            /// Rows in the response, where one request carries many.
            pub rows: Option<RowsFile>,
            /// Limits within which a request counts for goodput.
            pub goodput: Option<At<GoodputFile>>,
        }

        impl $name {
            /// The keys of the request alone.
            pub fn into_request(self) -> RequestFile {
                let paths = [
                    (http::Method::GET, self.get),
                    (http::Method::POST, self.post),
                    (http::Method::PUT, self.put),
                    (http::Method::PATCH, self.patch),
                    (http::Method::DELETE, self.delete),
                    (http::Method::HEAD, self.head),
                    (http::Method::OPTIONS, self.options),
                ];
                RequestFile {
                    paths: paths
                        .into_iter()
                        .filter_map(|(method, path)| path.map(|path| (method, path)))
                        .collect(),
                    headers: self.headers,
                    json: self.json,
                    body: self.body,
                    body_file: self.body_file,
                    timeout: self.timeout,
                    expect: self.expect,
                    fan: FanKeys {
                        for_each: self.for_each,
                        concurrency: self.concurrency,
                        all_or_nothing: self.all_or_nothing,
                        after: self.after,
                    },
                    response: ResponseKeys {
                        extract: self.extract,
                        stream: self.stream,
                        usage: self.usage,
                        rows: self.rows,
                        goodput: self.goodput,
                    },
                    retry: self.retry,
                }
            }
        }
    };
}

with_request_keys! {
    /// One kind of request.
    pub struct StepFile {
        /// Name, unique in the scenario; reports and rules speak of it.
        pub name: Option<At<String>>,
    }
}

with_request_keys! {
    /// Steps that are carried out one after another: a list of them, or the keys of a single step,
    /// which then has the transaction's name.
    pub struct TransactionFile {
        /// Name, unique for its user.
        pub name: Option<At<String>>,
        /// Share among the transactions of its user; 1 where it is left out.
        pub weight: Option<At<u32>>,
        /// Steps, in order. Where one fails, the rest is not carried out.
        pub step: Option<Vec<At<StepFile>>>,
    }
}

/// The keys that make up a request, of whichever table.
#[derive(Debug)]
pub struct RequestFile {
    /// Methods that are named, with their paths; one, if the file is right.
    pub paths: Vec<(http::Method, At<String>)>,
    /// Headers.
    pub headers: Headers,
    /// JSON body.
    pub json: Option<At<Node>>,
    /// Text body.
    pub body: Option<At<String>>,
    /// Body from a file.
    pub body_file: Option<At<String>>,
    /// Time-out.
    pub timeout: Option<At<String>>,
    /// Expectations.
    pub expect: Option<At<ExpectFile>>,
    /// How many requests, and what they see.
    pub fan: FanKeys,
    /// What of the response is looked at.
    pub response: ResponseKeys,
    /// Attempts.
    pub retry: Option<At<CountOr<RetryFile>>>,
}

impl RequestFile {
    /// Whether not one key of a request is given.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
            && self.headers.is_empty()
            && self.json.is_none()
            && self.body.is_none()
            && self.body_file.is_none()
            && self.timeout.is_none()
            && self.expect.is_none()
            && self.fan.is_empty()
            && self.response.is_empty()
            && self.retry.is_none()
    }
}
