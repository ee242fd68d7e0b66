//! Prompts: rendered from a template, and remembered where that is wanted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, UndefinedBehavior};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::expand::{Query, canonical, view};
use super::settings::MultiQuery;

const NAME: &str = "prompt";

/// Prompts that are remembered; when there are more, all are forgotten, so that a long run does not
/// fill the memory.
const MOST_REMEMBERED: usize = 10_000;

/// The template of all prompts.
pub(super) struct Template {
    environment: Environment<'static>,
    lookup: minijinja::Value,
    hash: String,
    memory: Option<Memory>,
}

#[derive(Default)]
struct Memory {
    prompts: Mutex<HashMap<String, Arc<str>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A prompt and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompt {
    pub text: Arc<str>,
    /// SHA-256 of the canonical JSON (sorted keys, no spaces) of `{"case_study": …, "criterion": …,
    /// "lookup": …, "row": …}` as the template sees them, in hexadecimal digits.
    pub variables_hash: String,
}

/// How often the memory helped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct CacheFigures {
    pub enabled: bool,
    pub hits: u64,
    pub misses: u64,
    pub entries: usize,
}

/// The environment with `source` as its only template.
pub(super) fn compile(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // A field that a row lacks is an error of that row: an empty text would be asked about.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

/// A JSON value as templates see it.
pub(super) fn value(json: &Value) -> minijinja::Value {
    match json {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(truth) => minijinja::Value::from(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => minijinja::Value::from(whole),
            (_, Some(whole)) => minijinja::Value::from(whole),
            _ => minijinja::Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => minijinja::Value::from(text.as_str()),
        Value::Array(list) => list.iter().map(value).collect(),
        Value::Object(map) => object(map),
    }
}

fn object(map: &Map<String, Value>) -> minijinja::Value {
    minijinja::Value::from_pairs(map.iter().map(|(key, json)| (key.clone(), value(json))))
}

impl Template {
    /// The template of these settings.
    ///
    /// # Errors
    /// It is no Jinja template.
    pub(super) fn new(settings: &MultiQuery) -> Result<Template, Error> {
        Ok(Template {
            environment: compile(&settings.template)?,
            lookup: object(&settings.lookup),
            hash: format!("{:x}", Sha256::digest(&settings.template)),
            memory: settings.template_cache.then(Memory::default),
        })
    }

    /// SHA-256 of the template as it is written, in hexadecimal digits.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The prompt of `query` about `row`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn render(&self, query: &Query, row: &Map<String, Value>) -> Result<Prompt, String> {
        let row = view(query, row).map_err(|field| {
            format!("the row has no field {field:?}, which the case study reads: add it")
        })?;
        let visible = object(&row);
        let variables = format!("{}{}}}", query.variables, canonical(Value::Object(row)));
        let variables_hash = format!("{:x}", Sha256::digest(variables));
        let text = match &self.memory {
            Some(memory) => memory.recall(&variables_hash, || self.fill_in(query, visible)),
            None => self.fill_in(query, visible),
        };
        Ok(Prompt { text: text.map_err(|error| error.to_string())?, variables_hash })
    }

    /// How often the memory helped since the last [`reset`](Self::reset).
    pub(super) fn cache_figures(&self) -> CacheFigures {
        self.memory.as_ref().map_or_else(CacheFigures::default, |memory| CacheFigures {
            enabled: true,
            hits: memory.hits.load(Ordering::Relaxed),
            misses: memory.misses.load(Ordering::Relaxed),
            entries: memory.prompts.lock().unwrap_or_else(PoisonError::into_inner).len(),
        })
    }

    /// Counts from 0 again; what is remembered stays.
    pub(super) fn reset(&self) {
        if let Some(memory) = &self.memory {
            memory.hits.store(0, Ordering::Relaxed);
            memory.misses.store(0, Ordering::Relaxed);
        }
    }

    fn fill_in(&self, query: &Query, row: minijinja::Value) -> Result<Arc<str>, Error> {
        let context = minijinja::Value::from_pairs([
            ("row", row),
            ("case_study", query.case_study.clone()),
            ("criterion", query.criterion.clone()),
            ("lookup", self.lookup.clone()),
        ]);
        Ok(self.environment.get_template(NAME)?.render(context)?.into())
    }
}

impl Memory {
    fn recall(
        &self,
        variables_hash: &str,
        render: impl FnOnce() -> Result<Arc<str>, Error>,
    ) -> Result<Arc<str>, Error> {
        let lock = || self.prompts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = lock().get(variables_hash) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Arc::clone(text));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        // Rendered without the lock: two may render the same prompt, and both are right.
        let text = render()?;
        let mut prompts = lock();
        if prompts.len() >= MOST_REMEMBERED {
            prompts.clear();
        }
        prompts.insert(variables_hash.to_owned(), Arc::clone(&text));
        Ok(text)
    }
}
