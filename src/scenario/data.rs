//! Rows for templates: where they come from is `rows`, in which order they are handed out is
//! `feeder`.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::suggestion;
use super::feeder::Feeder;
use super::secret::{Redactions, Secret, Variables};

/// In which order rows are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// One after another over all users, from the first again after the last.
    #[default]
    Next,
    /// As `next`, in an order that is drawn anew for each pass.
    Shuffle,
    /// Any row, each time.
    Random,
}

impl Order {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Order::Next => "next",
            Order::Shuffle => "shuffle",
            Order::Random => "random",
        }
    }
}

/// All that templates can read besides their own text: rows, and environment variables.
#[derive(Clone, Default)]
pub struct DataSet {
    pub(super) sources: Arc<[DataSource]>,
    pub(super) environment: Value,
    /// What rows iterations are.
    pub(super) row_source: Option<RowSource>,
    /// What takes the values of `environment` out of texts.
    pub(super) redactions: Redactions,
    /// Where several scenarios run at once: what the others see, from scope 1 on.
    pub(super) others: Vec<DataSet>,
}

/// The source of which each iteration takes rows at its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSource {
    /// Its place among the sources.
    pub index: usize,
    /// Rows of an iteration; none where each iteration is one row.
    pub batch: Option<NonZeroU32>,
    /// Rows that all iterations together take; none where nobody says.
    pub limit: Option<u64>,
}

impl DataSet {
    pub(super) fn new(sources: Vec<DataSource>) -> DataSet {
        DataSet { sources: sources.into(), ..DataSet::default() }
    }

    /// The same rows, and these variables for templates.
    pub(super) fn with_variables(self, variables: &Variables) -> DataSet {
        let redactions = Redactions::new(variables);
        let value = |secret: &Secret| Value::from(secret.reveal());
        let variables =
            variables.iter().map(|(name, secret)| (name.clone(), secret.as_ref().map(value)));
        let environment = Value::from_object(EnvironmentObject(variables.collect()));
        DataSet { environment, redactions, ..self }
    }

    /// For each column that some rows of a source lack: the first of them, and this data with no
    /// other row in that source.
    pub(super) fn incomplete_rows(&self) -> impl Iterator<Item = (IncompleteRow<'_>, DataSet)> {
        self.sources.iter().enumerate().flat_map(move |(index, source)| {
            source.columns().enumerate().filter_map(move |(at, column)| {
                let lacks = |row: &Value| {
                    let row = row.downcast_object_ref::<Row>();
                    row.is_some_and(|row| row.values.get(at).is_none_or(Value::is_undefined))
                };
                let row = source.rows.iter().position(lacks)?;
                let mut sources = self.sources.to_vec();
                sources[index].rows = Arc::from([source.rows[row].clone()]);
                let number = row + 1;
                let incomplete = IncompleteRow { source, number, column };
                Some((incomplete, DataSet { sources: sources.into(), ..self.clone() }))
            })
        })
    }

    /// The sources, by name.
    pub fn sources(&self) -> &[DataSource] {
        &self.sources
    }

    /// Index of the source with this name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.name == name)
    }

    /// Most rows of an iteration, for the rows of `rows`: no more than there are, so that none is in
    /// a batch twice.
    pub(super) fn rows_at_once(&self, rows: RowSource) -> u64 {
        let batch = rows.batch.map_or(1, |batch| u64::from(batch.get()));
        batch.min(self.sources[rows.index].len() as u64)
    }

    /// Hands out rows for one run. Two feeders of one seed hand out the same rows to the same
    /// iterations, except that `next` and `shuffle` follow the order in which iterations ask.
    pub fn feeder(&self, seed: u64) -> Feeder {
        Feeder::new(self, seed)
    }
}

/// Values of environment variables may be secrets: only names of sources are shown.
impl fmt::Debug for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter()).finish()
    }
}

/// Rows with a name, and the order in which they are handed out; at least one row.
#[derive(Clone)]
pub struct DataSource {
    /// Name in templates.
    pub name: String,
    /// Order.
    pub order: Order,
    /// Where the rows come from, as written; none for a list in the scenario itself.
    pub file: Option<String>,
    pub(super) columns: Arc<Columns>,
    pub(super) rows: Arc<[Value]>,
}

impl DataSource {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Always false: a source without rows is an error of the scenario.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Names of the fields, in the order of the file; none where rows are plain values.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.names.iter().map(|name| &**name)
    }
}

impl fmt::Debug for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSource({}: {} rows, {})", self.name, self.len(), self.order.name())
    }
}

/// A row without one of its source's columns.
pub(super) struct IncompleteRow<'a> {
    pub source: &'a DataSource,
    /// Counted from 1.
    pub number: usize,
    pub column: &'a str,
}

/// Names of the fields of a source's rows, which all rows share.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    names: Vec<Arc<str>>,
    index: HashMap<Arc<str>, usize>,
}

impl Columns {
    /// The index of a name, which is added where it is new.
    pub fn add(&mut self, name: &str) -> usize {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        self.index.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

/// One row: its values, in the order of the columns. A field that this row lacks is undefined.
#[derive(Debug)]
pub(super) struct Row {
    pub columns: Arc<Columns>,
    pub values: Box<[Value]>,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.columns.index.get(key) {
            Some(index) => self.values.get(*index).filter(|value| !value.is_undefined()).cloned(),
            None => Some(Value::from(Error::new(
                ErrorKind::UndefinedError,
                format!("rows have no `{key}`; {}", suggestion(key, self.columns.names())),
            ))),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let present = self.columns.names.iter().zip(self.values.iter());
        Enumerator::Values(
            present
                .filter(|(_, value)| !value.is_undefined())
                .map(|(name, _)| Value::from(Arc::clone(name)))
                .collect(),
        )
    }
}

/// Environment variables, as templates see them: `env.NAME`. Only those that the scenario names are
/// there, set or not: what is not known to be used could not be kept out of reports.
struct EnvironmentObject(HashMap<String, Option<Value>>);

impl Object for EnvironmentObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.0.get(key) {
            Some(value) => value.clone(),
            None => Some(Value::from(Error::new(
                ErrorKind::InvalidOperation,
                format!("an environment variable is written out, as in `env.{key}`"),
            ))),
        }
    }
}

/// Shows nothing: values may be secrets.
impl fmt::Debug for EnvironmentObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("env")
    }
}
