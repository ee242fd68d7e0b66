//! What of a response a scenario may look at, read once for all who ask; and what later steps see
//! of it.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr, ValueKind};

use crate::measure::metric::Metric;
use crate::measure::sample::Sample;

use super::data::RowSource;
use super::errors::Diagnostic;
use super::expect::Unexpected;
use super::feeder::{Bindings, INDEX, Inputs, Named};
use super::json_path::JsonPath;
use super::model::{Extract, FanOut, Goodput, RowsIn, Scenario, Step};
use super::render_error::RenderError;
use super::rows::from_json_value;
use super::secret::Redactions;
use super::stream::Streamed;

/// The most requests of one fan-out; more is a slip of the finger.
pub(super) const MOST_REQUESTS: usize = 1_000_000;

/// Characters of an element that messages show.
const LABEL: usize = 40;

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
pub struct Harvest {
    elements: Named,
    index: usize,
    pub(super) values: Named,
}

/// A row of a response that carries many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowResult {
    /// It has its outputs.
    Ok,
    /// It failed.
    Failed {
        /// In a word: what such failures have in common.
        why: String,
        /// All that the row says of it.
        detail: String,
    },
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

    /// Rows in the data source of which an iteration is one row; `None` where there is none.
    pub fn row_count(&self) -> Option<u64> {
        let source = self.data.sources().get(self.data.row_source?.index)?;
        u64::try_from(source.len()).ok()
    }

    /// Most rows of an iteration; `None` where an iteration is no row.
    pub fn rows_at_once(&self) -> Option<u64> {
        Some(self.data.rows_at_once(self.data.row_source?))
    }

    /// The same scenario, whose iterations take so many rows in all: the last one has what is left.
    pub fn with_row_limit(mut self, limit: u64) -> Scenario {
        let rows = self.data.row_source;
        self.data.row_source = rows.map(|rows| RowSource { limit: Some(limit), ..rows });
        self
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
        self.expect.check(answer, inputs)?;
        if let Some(rules) = &self.stream {
            rules.check(answer, &self.expect.redactions)?;
        }
        let missing = |why| Unexpected::Content(self.expect.redacted(why));
        if let Some(rows) = &self.rows {
            let found = self.expect.value_at(&rows.at, answer);
            let found = found.map_err(|why| missing(format!("rows: {why}")))?;
            if !found.is_array() {
                return Err(missing(format!("rows: {}: expected an array", rows.at)));
            }
        }
        let mut values = Named::new();
        for (name, from) in &self.extract {
            let value = self.extracted(from, answer);
            let value = value.map_err(|why| missing(format!("extract `{name}`: {why}")))?;
            values.push((Arc::from(name.as_str()), value));
        }
        Ok(Harvest { elements: inputs.0.elements.clone(), index: inputs.0.index, values })
    }

    fn extracted(&self, from: &Extract, answer: &Answer<'_>) -> Result<Value, String> {
        let of_stream = |part: fn(&Streamed) -> &String| {
            let streamed = answer.stream.ok_or("the response is no stream")?;
            Ok(Value::from(part(streamed).as_str()))
        };
        match from {
            Extract::Json(path) => self.expect.value_at(path, answer).map(from_json_value),
            Extract::Header(name) => match answer.headers.get(name) {
                Some(value) => Ok(Value::from(String::from_utf8_lossy(value.as_bytes()))),
                None => Err(format!("header {name} is missing")),
            },
            Extract::Body => match std::str::from_utf8(answer.body) {
                Ok(text) => Ok(Value::from(text)),
                Err(error) => Err(format!("the body is not text: {error}")),
            },
            Extract::Content => of_stream(|streamed| &streamed.content),
            Extract::Reasoning => of_stream(|streamed| &streamed.reasoning),
        }
    }

    /// The rows of a response that carries many; `None` for one that does not.
    pub fn rows_in(&self, answer: &Answer<'_>) -> Option<Vec<RowResult>> {
        let rows = self.rows.as_ref()?;
        let found = rows.at.find(answer.json().ok()?).ok()?.as_array()?;
        Some(found.iter().map(|row| rows.result(row)).collect())
    }
}

impl RowsIn {
    fn result(&self, row: &serde_json::Value) -> RowResult {
        let value = |path: &JsonPath| path.find(row).ok().filter(|value| !value.is_null());
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(why) = self.failed.as_ref().and_then(value) {
            let why = text(why);
            let detail = self.detail.as_ref().and_then(value).map_or_else(|| why.clone(), text);
            return RowResult::Failed { why, detail };
        }
        match self.fields.iter().find(|field| value(field).is_none()) {
            None => RowResult::Ok,
            Some(field) => {
                let why = format!("a row without `{field}`");
                RowResult::Failed { why, detail: row.to_string() }
            }
        }
    }
}

impl Inputs {
    /// One for each request of a fan-out, in order: what its templates see.
    ///
    /// # Errors
    ///
    /// Where a list is none, with its name; or where there would be more requests than a million.
    pub fn fan(&self, fan_out: &FanOut) -> Result<Vec<Inputs>, RenderError> {
        let mut lists = Vec::new();
        let mut count = 1_usize;
        for name in &fan_out.lists {
            let wrong =
                |why: String| RenderError::from(Diagnostic::at(fan_out.spot.clone(), why, ""));
            let list = self.0.list(name);
            let list = list.ok_or_else(|| wrong(format!("for_each: there is no `{name}`")))?;
            if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) {
                let why = format!("for_each: `{name}` is no list but a {}", list.kind());
                return Err(wrong(why));
            }
            let items: Vec<Value> = list.try_iter().into_iter().flatten().collect();
            count = count.saturating_mul(items.len());
            if count > MOST_REQUESTS {
                let why = format!("for_each: more than {MOST_REQUESTS} requests at `{name}`");
                return Err(wrong(why));
            }
            lists.push((Arc::<str>::from(name.as_str()), items));
        }
        let element = |index: usize| {
            let mut place = index;
            let mut elements: Named = lists
                .iter()
                .rev()
                .map(|(name, items)| {
                    let item = items[place % items.len()].clone();
                    place /= items.len();
                    (Arc::clone(name), item)
                })
                .collect();
            elements.reverse();
            Inputs(Arc::new(self.0.for_element(elements, index)))
        };
        Ok((0..count).map(element).collect())
    }

    /// The first request of a fan-out, before there are responses: an element that is not known is
    /// [`Unknown`].
    pub(super) fn first_of(&self, fan_out: &FanOut) -> Inputs {
        let element = |name: &String| {
            let list = self.0.list(name);
            let first = list.and_then(|list| list.try_iter().ok()?.next());
            (Arc::from(name.as_str()), first.unwrap_or_else(|| Unknown::of(name)))
        };
        let elements = fan_out.lists.iter().map(element).collect();
        Inputs(Arc::new(self.0.for_element(elements, 0)))
    }

    /// Whether a part of these is known only once there are responses.
    pub(super) fn is_partly_unknown(&self) -> bool {
        fn is_unknown(value: &Value) -> bool {
            if let Some(harvest) = value.downcast_object_ref::<Harvest>() {
                return harvest.values.iter().any(|(_, value)| is_unknown(value));
            }
            value.downcast_object_ref::<Unknown>().is_some()
                || (value.kind() == ValueKind::Seq
                    && value.try_iter().is_ok_and(|mut items| items.any(|item| is_unknown(&item))))
        }
        let Bindings { values, elements, .. } = &*self.0;
        values.iter().chain(elements).any(|(_, value)| is_unknown(value))
    }

    /// The elements that a request of a fan-out is made for, for messages: `cs1, diagnosis`. Of a
    /// row that is its `name` or `id`, or else its first field. Empty without a fan-out. An element may
    /// be a secret, which `redactions` find while it is whole.
    pub fn label(&self, redactions: &Redactions) -> String {
        let shown = |(_, element): &(Arc<str>, Value)| {
            redactions.excerpt(naming(element).to_string().as_bytes(), LABEL)
        };
        self.0.elements.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// These, and what one request of a step gave: its values by their own names.
    pub fn with(&self, harvest: &Harvest) -> Inputs {
        let mut values = self.0.values.clone();
        values.extend(harvest.values.iter().cloned());
        Inputs(Arc::new(self.0.with_values(values)))
    }

    /// These, and what the requests of the step `name` gave, as a list of that name. (Where several
    /// scenarios run at once, a step's name has its scenario's in front, which templates do not
    /// know.)
    pub fn joined(&self, name: &str, harvests: Vec<Harvest>) -> Inputs {
        let name = name.rsplit('/').next().unwrap_or(name);
        let results: Vec<Value> = harvests.into_iter().map(Value::from_object).collect();
        let mut values = self.0.values.clone();
        values.push((Arc::from(name), Value::from(results)));
        Inputs(Arc::new(self.0.with_values(values)))
    }
}

impl Harvest {
    /// What a request with these inputs would give, as far as that is known before there is a
    /// response.
    pub(super) fn expected(step: &Step, inputs: &Inputs) -> Harvest {
        let unknown = |(name, _): &(String, Extract)| {
            (Arc::from(name.as_str()), Unknown::of(&format!("{name} from {}", step.name)))
        };
        let values = step.extract.iter().map(unknown).collect();
        Harvest { elements: inputs.0.elements.clone(), index: inputs.0.index, values }
    }
}

/// A value that only a response has. As a text it says so, as in `<answer from ask>`; each field of it
/// is such a value too.
#[derive(Debug)]
pub(super) struct Unknown(String);

impl Unknown {
    fn of(what: &str) -> Value {
        Value::from_object(Unknown(what.to_owned()))
    }
}

impl Object for Unknown {
    /// In JSON a text, not an empty map.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Unknown::of(&format!("{key} of {}", self.0)))
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

/// The part of an element by which people know it.
fn naming(element: &Value) -> Value {
    if element.kind() != ValueKind::Map {
        return element.clone();
    }
    let keys: Vec<Value> = element.try_iter().into_iter().flatten().collect();
    let named =
        ["name", "id"].into_iter().find(|name| keys.iter().any(|key| key.as_str() == Some(*name)));
    let key = named.map(Value::from).or_else(|| keys.first().cloned());
    key.and_then(|key| element.get_item(&key).ok()).unwrap_or_default()
}

/// As templates see it: `result.case`, `result.index`, `result.answer`.
impl Object for Harvest {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == INDEX {
            return Some(Value::from(self.index));
        }
        let mut all = self.values.iter().chain(&self.elements);
        all.find(|(name, _)| **name == *key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        let names = self.elements.iter().chain(&self.values);
        let names = names.map(|(name, _)| Value::from(Arc::clone(name)));
        minijinja::value::Enumerator::Values(names.chain([Value::from(INDEX)]).collect())
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
