//! What a run may use up.

use clap::Args;

use crate::error::Error;
use crate::scenario::Scenario;
use crate::scenario::model::Budget;

/// What may be used up: the run ends in good order when it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Budget [default: the scenario's, or none]")]
pub struct BudgetOptions {
    /// Requests, those that are made again included; never exceeded
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_requests: Option<u64>,
    /// Tokens of prompts and completions, as the target reports them; exceeded by what is in flight
    /// when they are used up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: Option<u64>,
    /// Cost by the scenario's prices, in their currency; exceeded as tokens are
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    max_cost: Option<f64>,
}

impl BudgetOptions {
    /// Takes out of a scenario's budget what the command line says in its place.
    pub fn replace(&self, budget: &mut Budget) {
        budget.requests = budget.requests.filter(|_| self.max_requests.is_none());
        budget.tokens = budget.tokens.filter(|_| self.max_tokens.is_none());
        budget.cost = budget.cost.filter(|_| self.max_cost.is_none());
    }

    /// The scenario's budget, with what the command line says in its place.
    ///
    /// # Errors
    ///
    /// A budget of cost where nothing has a price.
    pub fn over(&self, scenario: &Scenario) -> Result<Budget, Error> {
        let written = scenario.budget;
        let budget = Budget {
            requests: self.max_requests.or(written.requests),
            tokens: self.max_tokens.or(written.tokens),
            cost: self.max_cost.or(written.cost),
        };
        if budget.cost.is_some() && scenario.prices.models.is_empty() {
            return Err(Error::BadInput(format!(
                "scenario {} has a budget of cost and no price, so that its cost cannot be known: give \
                 it prices, or limit --max-tokens",
                scenario.name
            )));
        }
        Ok(budget)
    }
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount > 0.0 => Ok(amount),
        _ => Err("expected an amount above 0, such as `2.50`".to_owned()),
    }
}
