//! What only shows when templates are filled in.

use std::collections::BTreeMap;

use crate::measure::sample::StepId;
use crate::scenario::answer::Harvest;
use crate::scenario::data::DataSet;
use crate::scenario::errors::{Diagnostic, ScenarioError};
use crate::scenario::model::{Step, User};
use crate::scenario::render_error::RenderError;
use crate::scenario::template::Rendered;
use crate::scenario::{Inputs, Scenario};

use super::Checker;

impl Scenario {
    /// Renders the first request of every step with real data, as the first iteration of the first
    /// user would; `None` where it depends on what responses will hold. A run does this first: it
    /// finds variables that are not set, and whatever else shows only once a template is filled in.
    ///
    /// # Errors
    ///
    /// One for each step that cannot be rendered.
    pub fn preview(&self, seed: u64) -> Result<Vec<Option<Rendered>>, ScenarioError> {
        let mut rendered = vec![None; self.steps.len()];
        let mut diagnostics = Vec::new();
        for (id, inputs) in first_inputs(&self.users, &self.steps, &self.data, seed) {
            match self.step(id).template.render(&inputs.inputs) {
                Ok(request) => rendered[usize::from(id.0)] = Some(request),
                Err(error) if inputs.can_be_wrong(&error) => {}
                Err(error) => diagnostics.push(*error.diagnostic),
            }
        }
        if diagnostics.is_empty() { Ok(rendered) } else { Err(ScenarioError { diagnostics }) }
    }
}

/// What the first request of a step sees, before there are responses.
struct First {
    inputs: Inputs,
    /// Whether some of it will come from responses.
    is_partly_unknown: bool,
}

impl First {
    /// Whether an error may come from values that are not known yet.
    fn can_be_wrong(&self, error: &RenderError) -> bool {
        self.is_partly_unknown && !error.unset_variable
    }
}

/// What the first request of each step sees, in the first iteration of each transaction.
fn first_inputs(users: &[User], steps: &[Step], data: &DataSet, seed: u64) -> Vec<(StepId, First)> {
    let feeder = data.feeder(seed);
    let mut iterations = BTreeMap::new();
    let mut all = Vec::new();
    for user in users {
        let iteration = || feeder.iteration(user.scope, 0, 0);
        let iteration = &*iterations.entry(user.scope).or_insert_with(iteration);
        for transaction in &user.transactions {
            let mut plain = iteration.clone();
            let mut harvests: Vec<(StepId, Harvest)> = Vec::new();
            for id in &transaction.steps {
                let step = &steps[usize::from(id.0)];
                let mut inputs = plain.clone();
                for after in &step.after {
                    let of_it = harvests.iter().filter(|(other, _)| other == after);
                    let of_it = of_it.map(|(_, harvest)| harvest.clone()).collect();
                    inputs = inputs.joined(&steps[usize::from(after.0)].name, of_it);
                }
                if let Some(fan_out) = &step.fan_out {
                    inputs = inputs.first_of(fan_out);
                }
                let harvest = Harvest::expected(step, &inputs);
                if step.fan_out.is_none() {
                    plain = plain.with(&harvest);
                }
                harvests.push((*id, harvest));
                let is_partly_unknown = inputs.is_partly_unknown();
                all.push((*id, First { inputs, is_partly_unknown }));
            }
        }
    }
    all
}

impl Checker<'_> {
    /// Fills in every template, with rows that lack a column first. One problem a step is enough;
    /// variables may be unset until a run begins.
    pub(super) fn render_all(&mut self, users: &[User]) {
        let errors = |data: &DataSet| -> BTreeMap<StepId, Diagnostic> {
            let firsts = first_inputs(users, &self.steps, data, 0).into_iter();
            let error = |(id, first): (StepId, First)| {
                let step = &self.steps[usize::from(id.0)];
                let error = step.template.render(&first.inputs).err()?;
                let is_problem = !error.unset_variable && !first.can_be_wrong(&error);
                is_problem.then_some((id, *error.diagnostic))
            };
            firsts.filter_map(error).collect()
        };
        let mut found = BTreeMap::new();
        for (row, data) in self.data.incomplete_rows() {
            let from = row.source.file.as_deref().unwrap_or("the list");
            let (number, name, column) = (row.number, &row.source.name, row.column);
            for (id, problem) in errors(&data) {
                let tried = format!(
                    "this is with row {number} of `{name}` (in {from}), which has no `{column}`; \
                     add it, or use `| default(…)`"
                );
                found.entry(id).or_insert(problem.help(tried));
            }
        }
        for (id, problem) in errors(&self.data) {
            found.entry(id).or_insert(problem);
        }
        self.problems.extend(found.into_values());
    }
}
