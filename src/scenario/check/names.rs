//! What templates may name: each name that one uses must be known, and each column.

use std::ops::Range;

use crate::measure::sample::StepId;
use crate::scenario::errors::suggestion;
use crate::scenario::feeder::{INDEX, NAMES, ROWS};
use crate::scenario::functions;
use crate::scenario::model::FanOut;
use crate::scenario::template::{Engine, TemplateId};
use crate::scenario::written::At;

use super::Checker;

/// What the templates of a transaction see besides data sources and the names that always have a
/// meaning.
#[derive(Default)]
pub(super) struct Visible {
    /// Steps of the transaction so far.
    pub earlier: Vec<Earlier>,
    /// Values that they extracted as names of their own.
    pub values: Vec<String>,
    /// Those of the step at hand, which only later ones see.
    pending: Vec<String>,
    /// Names of the step at hand alone: elements of its fan-out, results of other steps.
    pub own: Vec<Own>,
}

/// A step that came before.
pub(super) struct Earlier {
    pub id: StepId,
    pub name: String,
    /// Fields of one of its results.
    pub fields: Vec<String>,
}

/// A name of one step.
pub(super) struct Own {
    pub name: String,
    /// Its fields, where they are known.
    pub fields: Option<Vec<String>>,
    /// Where it is a list of results: the fields of one.
    pub result: Option<Vec<String>>,
}

impl Visible {
    /// Adds a step, of which later ones see `extracted`: from a fan-out, as fields of its results.
    pub fn add(
        &mut self,
        id: Option<StepId>,
        name: &str,
        fan_out: Option<&FanOut>,
        extracted: Vec<String>,
    ) {
        let mut fields = extracted.clone();
        match fan_out {
            Some(fan_out) => fields.extend(fan_out.lists.iter().cloned()),
            None => self.pending = extracted,
        }
        fields.push(INDEX.to_owned());
        self.earlier.extend(id.map(|id| Earlier { id, name: name.to_owned(), fields }));
    }

    /// Begins a step: what the one before it extracted is there now.
    pub fn begin_step(&mut self) {
        self.values.append(&mut self.pending);
        self.own.clear();
    }
}

impl Checker<'_> {
    /// Every name that a template uses must be known, and every column.
    pub(super) fn names(
        &mut self,
        engine: &Engine,
        id: &TemplateId,
        text: &str,
        span: &Range<usize>,
    ) {
        let functions = engine.functions();
        for used in engine.names(id) {
            let mut words = used.split('.');
            let root = words.next().unwrap_or_default();
            let own = self.visible.own.iter().find(|own| own.name == root);
            let is_known = NAMES.contains(&root)
                || (root == ROWS && self.data.row_source.is_some())
                || functions.iter().any(|function| function == root)
                || self.visible.values.iter().any(|value| value == root);
            let (columns, from) = match (own, self.data.index(root)) {
                (Some(Own { fields: Some(fields), .. }), _) => (fields.clone(), String::new()),
                (Some(Own { fields: None, .. }), _) => continue,
                (None, _) if is_known => continue,
                (None, Some(index)) if self.is_in_batches(index) => {
                    let span = self.inside(span, find_word(text, root, 0..root.len()));
                    let message = format!("an iteration has several rows of `{root}`");
                    let label = format!("expected `{ROWS}`, the list of them");
                    self.problem(&span, message, label);
                    continue;
                }
                (None, Some(index)) => {
                    let source = &self.data.sources()[index];
                    let from = source.file.as_deref().unwrap_or("the list");
                    let columns = source.columns().map(str::to_owned).collect();
                    (columns, format!(" (in {from})"))
                }
                (None, None) => {
                    self.unknown_name(root, &functions, text, span);
                    continue;
                }
            };
            let Some(field) = words.next() else { continue };
            if !columns.is_empty() && !columns.iter().any(|column| column == field) {
                let label = suggestion(field, columns.iter().map(String::as_str));
                let what = if from.is_empty() { "elements" } else { "rows" };
                let message = format!("{what} of `{root}` have no `{field}`{from}");
                let whole = format!("{root}.{field}");
                let span = self.inside(span, find_word(text, &whole, root.len() + 1..whole.len()));
                self.problem(&span, message, label);
            }
        }
    }

    /// Whether iterations have several rows of a source.
    fn is_in_batches(&self, source: usize) -> bool {
        self.data.row_source.is_some_and(|rows| rows.index == source && rows.batch.is_some())
    }

    fn unknown_name(&mut self, root: &str, functions: &[String], text: &str, span: &Range<usize>) {
        let label = self.likely_name(root, functions);
        let span = self.inside(span, find_word(text, root, 0..root.len()));
        self.problem(&span, format!("there is no `{root}` in templates"), label);
    }

    /// What a name that is not known was probably meant to be.
    fn likely_name(&self, root: &str, functions: &[String]) -> String {
        if self.visible.earlier.iter().any(|step| step.name == root) {
            return format!("results of a step are seen with `after = \"{root}\"`");
        }
        let sources = self.data.sources().iter().map(|source| source.name.as_str());
        let known = sources
            .chain(self.visible.own.iter().map(|own| own.name.as_str()))
            .chain(self.visible.values.iter().map(String::as_str))
            .chain(NAMES)
            .chain(self.data.row_source.map(|_| ROWS))
            .chain(functions.iter().map(String::as_str));
        suggestion(root, known)
    }

    /// Whether a new name can be one in templates; if not, that is a problem.
    pub(super) fn check_name(&mut self, name: &At<String>) -> bool {
        let word = name.value.as_str();
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let environment = functions::environment();
        let taken = environment.globals().any(|(global, _)| global == word);
        if !is_word {
            self.problem(
                &name.span,
                format!("`{word}` cannot be a name in templates"),
                "expected letters, digits and `_`, as in `review_2`",
            );
            return false;
        }
        let taken = taken || NAMES.contains(&word) || functions::KEYWORDS.contains(&word);
        if taken {
            let message = format!("`{word}` has a meaning of its own in templates");
            self.problem(&name.span, message, "expected another name");
        }
        !taken
    }

    /// As [`Checker::check_name`], where the name must hide nothing else either.
    pub(super) fn check_new_name(&mut self, name: &At<String>) -> bool {
        let word = &name.value;
        if self.data.index(word).is_some() {
            let message = format!("`{word}` is a data source, and would be hidden");
            self.problem(&name.span, message, "expected another name");
            return false;
        }
        if self.visible.values.contains(word) {
            let message = format!("`{word}` was extracted by an earlier step");
            self.problem(&name.span, message, "expected another name");
            return false;
        }
        if word == ROWS && self.data.row_source.is_some() {
            let message = format!("`{ROWS}` are the rows of the iteration, and would be hidden");
            self.problem(&name.span, message, "expected another name");
            return false;
        }
        self.check_name(name)
    }
}

/// Where `word` stands in a template as a word of its own, narrowed to `part` of it; the whole text
/// where it is not found (as when it is written with blanks inside).
fn find_word(text: &str, word: &str, part: Range<usize>) -> Range<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .map(|(at, _)| at)
        .find(|at| {
            !text[..*at].ends_with(|c| is_name(c) || c == '.')
                && !text[at + word.len()..].starts_with(is_name)
        })
        .map_or(0..text.len(), |at| at + part.start..at + part.end)
}
