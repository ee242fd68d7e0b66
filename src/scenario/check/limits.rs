//! Of the whole scenario: rows that are iterations, what may be used up, and what tokens cost.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::scenario::data::{Order, RowSource};
use crate::scenario::errors::suggestion;
use crate::scenario::feeder::ROWS;
use crate::scenario::file::{BatchFile, BudgetFile, PriceFile};
use crate::scenario::model::Budget;
use crate::scenario::price::{Price, Prices};
use crate::scenario::written::{At, TextOr};

use super::Checker;

/// The key of the price table that is no model.
const CURRENCY: &str = "currency";
/// The key of every other model.
const DEFAULT: &str = "default";

impl Checker<'_> {
    /// The data source whose rows are iterations, or make batches.
    pub(super) fn row_source(&mut self, written: At<TextOr<BatchFile>>) -> Option<RowSource> {
        let (name, batch) = match written.value {
            TextOr::Text(name) => (Some(At { value: name, span: written.span.clone() }), None),
            TextOr::Table(table) => (table.from, Some(table.batch)),
        };
        let example = "expected { from = \"row\", batch = 10 }";
        let Some(name) = name else {
            let message = "it is not said which data source the rows are of";
            self.problem(&written.span, message, example);
            return None;
        };
        if self.data.index(ROWS).is_some() {
            let message = format!("data source `{ROWS}` would hide the rows of an iteration");
            self.problem(&written.span, message, "expected another name for the data source");
            return None;
        }
        let batch = match batch {
            None => None,
            Some(None) => {
                self.problem(&written.span, "it is not said how many rows a batch has", example);
                return None;
            }
            Some(Some(At { value, span })) => {
                if value == 0 {
                    self.problem(&span, "a batch has rows", "expected 1 or more");
                }
                NonZeroU32::new(value)
            }
        };
        let index = self.row_index(&name)?;
        Some(RowSource { index, batch, limit: None })
    }

    /// The place of a data source that hands out each row once.
    fn row_index(&mut self, name: &At<String>) -> Option<usize> {
        let Some(index) = self.data.index(&name.value) else {
            let known = self.data.sources().iter().map(|source| source.name.as_str());
            let label = suggestion(&name.value, known);
            self.problem(&name.span, format!("there is no data source `{}`", name.value), label);
            return None;
        };
        if self.data.sources()[index].order == Order::Random {
            let message = format!("rows of `{}` are handed out at random", name.value);
            self.problem(
                &name.span,
                message,
                "expected one of order next or shuffle: each row once",
            );
            return None;
        }
        Some(index)
    }

    pub(super) fn budget(&mut self, written: BudgetFile, prices: &Prices) -> Budget {
        let counts = [&written.requests, &written.tokens];
        for count in counts.into_iter().flatten().filter(|count| count.value == 0) {
            self.problem(&count.span, "nothing could be done", "expected 1 or more");
        }
        if let Some(cost) = &written.cost {
            if !(cost.value > 0.0 && cost.value.is_finite()) {
                self.problem(&cost.span, "nothing could be spent", "expected more than 0");
            }
            if prices.models.is_empty() {
                let label = "expected prices: `[price.default]` with input and output";
                self.problem(&cost.span, "what tokens cost is not known", label);
            }
        }
        Budget {
            requests: written.requests.map(|count| count.value),
            tokens: written.tokens.map(|count| count.value),
            cost: written.cost.map(|cost| cost.value),
        }
    }

    pub(super) fn prices(
        &mut self,
        written: BTreeMap<At<String>, At<TextOr<PriceFile>>>,
    ) -> Prices {
        let mut prices = Prices::default();
        let first = written.keys().next().map(|key| key.span.clone());
        for (name, At { value, span }) in written {
            match value {
                TextOr::Text(currency) if name.value == CURRENCY => prices.currency = currency,
                TextOr::Table(price) if name.value != CURRENCY => {
                    let (Some(input), Some(output)) = (&price.input, &price.output) else {
                        let label = "expected { input = 2.5, output = 10 }, for a million tokens";
                        self.problem(&span, "this price is not complete", label);
                        continue;
                    };
                    let all = [Some(input), price.cached.as_ref(), Some(output)];
                    for part in all.into_iter().flatten() {
                        if !(part.value >= 0.0 && part.value.is_finite()) {
                            let message = format!("{} is not a price", part.value);
                            self.problem(&part.span, message, "expected 0 or more");
                        }
                    }
                    let model = if name.value == DEFAULT { String::new() } else { name.value };
                    let cached = price.cached.as_ref().map(|part| part.value);
                    let (input, output) = (input.value, output.value);
                    prices.models.push((model, Price { input, cached, output }));
                }
                TextOr::Text(_) => {
                    let label = "expected { input = 2.5, output = 10 }, for a million tokens";
                    self.problem(&span, format!("`{}` has no price", name.value), label);
                }
                TextOr::Table(_) => {
                    self.problem(&span, "the currency is a text", "expected \"USD\", say");
                }
            }
        }
        if let Some(span) = first.filter(|_| prices.currency.is_empty()) {
            let label = "expected `currency = \"USD\"` in `[price]`";
            self.problem(&span, "prices are in a currency", label);
        }
        prices
    }
}
