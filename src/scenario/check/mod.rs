//! From what is written to what is meant: everything that can be wrong is said here, at its place.
//! This file has the whole, the users and their transactions; `data` the rows, `step` the requests,
//! `fan_out` how many, `names` what their templates may name, `expect` what responses must be,
//! `response` what is read from them, `service` what is started for it, `load` how much is done where
//! the command line does not say, `limits` what may be used up, `scrape` what the target
//! is asked about itself, `sizing` what it may use, `filled` what only shows when requests
//! are made.

mod data;
mod expect;
mod fan_out;
mod filled;
mod limits;
mod load;
mod names;
mod response;
mod rules;
mod scrape;
mod service;
mod sizing;
mod step;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mock_server::document;

use crate::measure::sample::StepId;
use crate::schedule::{NotUnderstood, parse_duration};

use crate::scenario::data::DataSet;
use crate::scenario::digest::digest;
use crate::scenario::embedded::{Found, Place};
use crate::scenario::errors::{Diagnostic, ScenarioError, Source, Spot};
use crate::scenario::file::{ScenarioFile, StepFile, TransactionFile, UserFile};
use crate::scenario::model::{Scenario, Step, Think, Transaction, User};
use crate::scenario::overlay::{Layered, Overlay};
use crate::scenario::secret::Variables;
use crate::scenario::written::At;

use crate::scenario::position;
use names::Visible;
use step::HeaderList;

impl Scenario {
    /// Loads a scenario of this process: by name from `./scenarios/` or from the binary, or from
    /// the file at a path.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn load(name_or_path: &str) -> Result<Scenario, ScenarioError> {
        Scenario::load_from(name_or_path, &Place::of_process())
    }

    /// As [`Scenario::load`], with given folders and environment variables. An environment variable
    /// that is not set is no error here: [`Scenario::preview`] finds it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn load_from(name_or_path: &str, place: &Place) -> Result<Scenario, ScenarioError> {
        Scenario::load_with(name_or_path, place, &Overlay::default())
    }

    /// As [`Scenario::load_from`], with a variant and settings laid over the file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn load_with(
        name_or_path: &str,
        place: &Place,
        overlay: &Overlay,
    ) -> Result<Scenario, ScenarioError> {
        let found = place.find(name_or_path)?;
        let scenario = read(&found, place, overlay)?;
        let settings = overlay.settings.iter().map(|setting| setting.source().text.clone());
        Ok(Scenario { variant: overlay.variant.clone(), settings: settings.collect(), ..scenario })
    }

    /// A scenario that a command brings along: no file of that name in `./scenarios/` is in its place,
    /// and no environment variable reaches it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn of_text(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let found = Found { name: name.to_owned(), source, folder: PathBuf::new() };
        let place = Place { scenarios: PathBuf::new(), environment: BTreeMap::new() };
        read(&found, &place, &Overlay::default())
    }
}

fn read(found: &Found, place: &Place, overlay: &Overlay) -> Result<Scenario, ScenarioError> {
    let layered = Layered::new(&found.source, overlay)?;
    let spot = |span| layered.sources.spot(span);
    let file = document::read_tree(layered.tree.clone(), &spot, &str::to_owned)
        .map_err(|diagnostics| ScenarioError { diagnostics })?;
    Checker::new(found, place, &layered).scenario(file)
}

/// Checks one file, and gathers what is wrong.
struct Checker<'a> {
    found: &'a Found,
    place: &'a Place,
    /// The file with what is laid over it.
    layered: &'a Layered<'a>,
    problems: Vec<Diagnostic>,
    data: DataSet,
    steps: Vec<Step>,
    /// Environment variables of all templates and headers that were read so far.
    variables: Variables,
    /// What templates of the transaction at hand see.
    visible: Visible,
}

impl<'a> Checker<'a> {
    fn new(found: &'a Found, place: &'a Place, layered: &'a Layered<'a>) -> Checker<'a> {
        Checker {
            found,
            place,
            layered,
            problems: Vec::new(),
            data: DataSet::default(),
            steps: Vec::new(),
            variables: Variables::new(),
            visible: Visible::default(),
        }
    }

    fn scenario(mut self, file: ScenarioFile) -> Result<Scenario, ScenarioError> {
        self.data = DataSet::new(self.sources(file.data));
        let service = file.service.and_then(|service| self.service(service));
        let rows = file.rows.and_then(|rows| self.row_source(rows));
        self.data.row_source = rows;
        let load = file.load.map(|load| self.load(load)).unwrap_or_default();
        let common = self.headers(file.headers);
        let users = self.users(file.step, file.think, file.user, &common);
        let slos = self.slos(file.slo);
        let alerts = self.alerts(file.alert);
        let prices = self.prices(file.price);
        let budget = file.budget.map(|budget| self.budget(budget, &prices)).unwrap_or_default();
        let scrape = file.scrape.and_then(|scrape| self.scrape(scrape));
        let sizing = file.sizing.map(|sizing| self.sizing(sizing));
        self.data = self.data.with_variables(&self.variables);
        for step in &mut self.steps {
            step.expect.redactions = self.data.redactions.clone();
        }
        if self.problems.is_empty() {
            self.render_all(&users);
        }
        if !self.problems.is_empty() {
            let sources = &self.layered.sources;
            self.problems.sort_by_key(|problem| {
                let spot = problem.spot.as_ref();
                spot.map(|spot| sources.offset(spot).unwrap_or(spot.span.start))
            });
            return Err(ScenarioError { diagnostics: self.problems });
        }
        Ok(Scenario {
            name: self.found.name.clone(),
            summary: file.summary.unwrap_or_default(),
            service,
            digest: digest(&users, &self.steps, &self.data),
            users,
            slos,
            alerts,
            load,
            steps: self.steps,
            rows: rows.map(|rows| self.data.sources()[rows.index].name.clone()),
            data: self.data,
            budget,
            prices,
            scrape,
            sizing,
            variant: None,
            settings: Vec::new(),
            variants: file.variant.into_keys().map(|name| name.value).collect(),
        })
    }

    // Places and messages.

    fn spot(&self, span: Range<usize>) -> Spot {
        let unplaced = || Spot { source: Arc::clone(&self.found.source), span: 0..0 };
        self.layered.sources.spot(span).unwrap_or_else(unplaced)
    }

    /// What is written at a place.
    fn written(&self, span: &Range<usize>) -> String {
        let Spot { source, span } = self.spot(span.clone());
        source.text.get(span).unwrap_or_default().to_owned()
    }

    fn problem(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.problems.push(Diagnostic::at(self.spot(span.clone()), message, label));
    }

    /// The place of a part of a string's value.
    fn inside(&self, span: &Range<usize>, part: Range<usize>) -> Range<usize> {
        position::in_file(&self.written(span), span.start, part)
    }

    /// What a text means, or a problem at its place.
    fn understood<T>(
        &mut self,
        text: &At<String>,
        parse: impl Fn(&str) -> Result<T, NotUnderstood>,
    ) -> Option<T> {
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(&text.span, error.to_string(), "");
                None
            }
        }
    }

    /// A duration that must not be zero.
    fn duration(&mut self, text: &At<String>) -> Option<Duration> {
        let duration = self.understood(text, parse_duration)?;
        if duration.is_zero() {
            self.problem(&text.span, "this must be longer than 0", "expected something like `30s`");
            return None;
        }
        Some(duration)
    }

    // Users and transactions.

    fn users(
        &mut self,
        steps: Vec<At<StepFile>>,
        think: Option<At<String>>,
        users: Vec<At<UserFile>>,
        common: &HeaderList,
    ) -> Vec<User> {
        if let (Some(step), true) = (steps.first(), !users.is_empty()) {
            let message = "both `[[step]]` and `[[user]]` are given";
            self.problem(&step.span, message, "put it into a `[[user.transaction]]`");
        }
        if let (Some(think), true) = (&think, steps.is_empty()) {
            let message = "`think` here goes with `[[step]]`";
            self.problem(&think.span, message, "put it into the `[[user]]`");
        }
        if steps.is_empty() && users.is_empty() {
            let message = format!("{} does nothing", self.found.source.name);
            self.problems.push(
                Diagnostic::general(message).help(
                    "add a step: [[step]] with a name and a path, as in `post = \"/predict\"`",
                ),
            );
        }
        if steps.is_empty() {
            let mut named = BTreeMap::new();
            return users
                .into_iter()
                .filter_map(|user| self.user(user, &mut named, common))
                .collect();
        }
        let think = think.and_then(|text| self.think(&text)).unwrap_or_default();
        self.visible = Visible::default();
        let steps = steps.into_iter().filter_map(|step| self.named_step(step, common)).collect();
        let transaction = Transaction { name: self.found.name.clone(), weight: 1, steps };
        vec![User {
            name: "user".to_owned(),
            weight: 1,
            think,
            transactions: vec![transaction],
            scope: 0,
        }]
    }

    fn user(
        &mut self,
        user: At<UserFile>,
        named: &mut BTreeMap<String, Range<usize>>,
        common: &HeaderList,
    ) -> Option<User> {
        let At { value: user, span } = user;
        let name = self.name(user.name, &span, "user", named);
        let weight = self.weight(user.weight);
        let think = user.think.and_then(|text| self.think(&text)).unwrap_or_default();
        if user.transaction.is_empty() {
            let message = "this kind of user does nothing";
            self.problem(&span, message, "expected a `[[user.transaction]]` below it");
        }
        let mut names = BTreeMap::new();
        let transactions: Vec<Transaction> = user
            .transaction
            .into_iter()
            .filter_map(|transaction| self.transaction(transaction, &mut names, common))
            .collect();
        Some(User { name: name?, weight, think, transactions, scope: 0 })
    }

    fn transaction(
        &mut self,
        transaction: At<TransactionFile>,
        named: &mut BTreeMap<String, Range<usize>>,
        common: &HeaderList,
    ) -> Option<Transaction> {
        let At { value: mut transaction, span } = transaction;
        let written_name = transaction.name.take();
        let weight = self.weight(transaction.weight.take());
        let steps = transaction.step.take();
        self.visible = Visible::default();
        let request = transaction.into_request();
        let name = self.name(written_name.clone(), &span, "transaction", named);
        let steps = match steps {
            None => vec![self.step(written_name?, &span, request, common)?],
            Some(steps) => {
                if !request.is_empty() {
                    let message = "this transaction has steps, and keys of a request besides";
                    self.problem(&span, message, "put the request into a step");
                }
                if steps.is_empty() {
                    self.problem(&span, "this transaction has no steps", "expected at least one");
                }
                steps.into_iter().filter_map(|step| self.named_step(step, common)).collect()
            }
        };
        Some(Transaction { name: name?, weight, steps })
    }

    fn named_step(&mut self, step: At<StepFile>, common: &HeaderList) -> Option<StepId> {
        let At { value: mut step, span } = step;
        let Some(name) = step.name.take() else {
            self.problem(&span, "this step has no name", "expected `name = \"…\"` below it");
            return None;
        };
        self.step(name, &span, step.into_request(), common)
    }

    /// A name that must be there, and only once.
    fn name(
        &mut self,
        name: Option<At<String>>,
        span: &Range<usize>,
        kind: &str,
        named: &mut BTreeMap<String, Range<usize>>,
    ) -> Option<String> {
        let Some(name) = name.filter(|name| !name.value.trim().is_empty()) else {
            self.problem(span, format!("this {kind} has no name"), "expected `name = \"…\"`");
            return None;
        };
        if let Some(first) = named.insert(name.value.clone(), name.span.clone()) {
            let (line, _) = self.found.source.position(first.start);
            let message = format!("two {kind}s are named `{}`", name.value);
            self.problem(&name.span, message, format!("the first is in line {line}"));
        }
        Some(name.value)
    }

    fn weight(&mut self, weight: Option<At<u32>>) -> u32 {
        match weight {
            None => 1,
            Some(weight) => {
                if weight.value == 0 {
                    let message = "a weight of 0 means never";
                    self.problem(&weight.span, message, "expected 1 or more, or leave it out");
                }
                weight.value
            }
        }
    }

    fn think(&mut self, text: &At<String>) -> Option<Think> {
        let (min, max) = text.value.split_once("..").unwrap_or((&text.value, &text.value));
        let part = |part: &str| At { value: part.to_owned(), span: text.span.clone() };
        let min = self.understood(&part(min), parse_duration)?;
        let max = self.understood(&part(max), parse_duration)?;
        if min > max {
            self.problem(&text.span, "the longest wait is shorter than the shortest", "");
            return None;
        }
        Some(Think { min, max })
    }
}
