//! What tokens cost.

use serde::{Deserialize, Serialize};

use crate::measure::sample::Tokens;

/// Prices of models, in one currency.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prices {
    /// What the figures are in: `USD`, say.
    pub currency: String,
    /// By model; the longest name with which a response's model begins is its price. An empty name
    /// is the price of every other model.
    pub models: Vec<(String, Price)>,
}

/// Price of one model's tokens, in the currency for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Price {
    /// Tokens of prompts.
    pub input: f64,
    /// Those of them that came from the server's cache; as `input` where it is left out.
    pub cached: Option<f64>,
    /// Tokens of completions, reasoning included.
    pub output: f64,
}

impl Prices {
    /// The price of `model`.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let fitting = self.models.iter().filter(|(name, _)| model.starts_with(name.as_str()));
        fitting.max_by_key(|(name, _)| name.len()).map(|(_, price)| price)
    }
}

impl Price {
    /// What `tokens` cost, in millionths of a millionth of the currency: exact for prices with at
    /// most six digits after the point. `None` where tokens that have a price were not reported.
    pub fn pico(&self, tokens: &Tokens) -> Option<u64> {
        // An embedding has no output, and a price of zero for it.
        let known = |count: Option<u64>, price: f64| count.or((price == 0.0).then_some(0));
        let input = known(tokens.input, self.input)?;
        let output = known(tokens.output, self.output)?;
        let cached = tokens.cached.unwrap_or(0).min(input);
        let of = |count: u64, price: f64| count.saturating_mul((price * 1e6).round() as u64);
        let cost = of(input - cached, self.input)
            .saturating_add(of(cached, self.cached.unwrap_or(self.input)))
            .saturating_add(of(output, self.output));
        Some(cost)
    }
}
