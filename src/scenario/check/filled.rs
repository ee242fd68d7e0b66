//! What only shows when templates are filled in.

use crate::scenario::Scenario;
use crate::scenario::data::DataSet;
use crate::scenario::errors::ScenarioError;
use crate::scenario::model::Step;
use crate::scenario::template::Rendered;

use super::Checker;

impl Scenario {
    /// Renders every step once with real data, as the first iteration of the first user would. A
    /// run does this first: it finds variables that are not set, and whatever else shows only once
    /// a template is filled in.
    ///
    /// # Errors
    ///
    /// One for each step that cannot be rendered.
    pub fn preview(&self, seed: u64) -> Result<Vec<Rendered>, ScenarioError> {
        let inputs = self.data.feeder(seed).iteration(0, 0, 0);
        let mut rendered = Vec::new();
        let mut diagnostics = Vec::new();
        for step in &self.steps {
            match step.template.render(&inputs) {
                Ok(request) => rendered.push(request),
                Err(error) => diagnostics.push(*error.diagnostic),
            }
        }
        if diagnostics.is_empty() { Ok(rendered) } else { Err(ScenarioError { diagnostics }) }
    }
}

impl Checker<'_> {
    /// Fills in every template, with rows that lack a column first. One problem a step is enough;
    /// variables may be unset until a run begins.
    pub(super) fn render_all(&mut self) {
        let error = |step: &Step, data: &DataSet| {
            let inputs = data.feeder(0).iteration(0, 0, 0);
            let error = step.template.render(&inputs).err()?;
            (!error.unset_variable).then_some(*error.diagnostic)
        };
        let incomplete: Vec<_> = self.data.incomplete_rows().collect();
        for step in &self.steps {
            let with_row = incomplete.iter().find_map(|(row, data)| {
                let from = row.source.file.as_deref().unwrap_or("the list");
                let (number, name, column) = (row.number, &row.source.name, row.column);
                let tried = format!(
                    "this is with row {number} of `{name}` (in {from}), which has no `{column}`; \
                     add it, or use `| default(…)`"
                );
                Some(error(step, data)?.help(tried))
            });
            self.problems.extend(with_row.or_else(|| error(step, &self.data)));
        }
    }
}
