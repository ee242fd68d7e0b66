//! Tokens that responses report.

use serde_json::Value;

use crate::measure::sample::{Tokens, sum_of_known};

use super::answer::Answer;
use super::model::Step;
use super::price::Prices;

impl Step {
    /// The tokens that a response reports, and what they cost. `None` where it reports none: they
    /// are never estimated.
    pub fn tokens(&self, answer: &Answer<'_>, prices: &Prices) -> Option<Tokens> {
        if self.stream.is_some() {
            let stream = answer.stream?;
            return read(stream.usage.as_ref()?, stream.model.as_deref(), prices);
        }
        let path = self.usage.as_ref()?;
        let body = answer.json().ok()?;
        let model = body.get("model").and_then(Value::as_str);
        read(path.find(body).ok()?, model, prices)
    }
}

/// Reads a report of tokens in one of two forms: that of chat completions (`prompt_tokens`,
/// `completion_tokens`) or that of responses and messages (`input_tokens`, `output_tokens`). Where
/// Anthropic's API reports what was read from and written to its cache, both are tokens of the prompt;
/// what was written has a price of its own there, so that such a request is given none.
fn read(usage: &Value, model: Option<&str>, prices: &Prices) -> Option<Tokens> {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let inner = |outer: &str, name: &str| usage.get(outer)?.get(name)?.as_u64();
    let input = count("prompt_tokens").or_else(|| count("input_tokens"));
    let output = count("completion_tokens").or_else(|| count("output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let cached = inner("prompt_tokens_details", "cached_tokens")
        .or_else(|| inner("input_tokens_details", "cached_tokens"));
    let reasoning = inner("completion_tokens_details", "reasoning_tokens")
        .or_else(|| inner("output_tokens_details", "reasoning_tokens"));
    let apart = count("cache_read_input_tokens");
    let written = count("cache_creation_input_tokens").unwrap_or(0);
    let of_cache = apart.unwrap_or(0).saturating_add(written);
    let mut tokens = Tokens {
        reported: 1,
        input: input.map(|input| input.saturating_add(of_cache)),
        cached: sum_of_known(cached, apart),
        output,
        reasoning,
        ..Tokens::default()
    };
    let price = prices.of(model.unwrap_or_default()).filter(|_| written == 0);
    if let Some(cost) = price.and_then(|price| price.pico(&tokens)) {
        tokens.priced = 1;
        tokens.cost_pico = cost;
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::price::Price;

    fn prices() -> Prices {
        let price = |input, cached, output| Price { input, cached, output };
        Prices {
            currency: "USD".to_owned(),
            models: vec![
                ("gpt-4o".to_owned(), price(2.5, Some(1.25), 10.0)),
                ("gpt-4o-mini".to_owned(), price(0.15, None, 0.6)),
            ],
        }
    }

    fn of(usage: Value, model: &str) -> Option<Tokens> {
        read(&usage, Some(model), &prices())
    }

    #[test]
    fn both_forms_are_read_and_cost_is_exact() {
        let chat = json!({
            "prompt_tokens": 1001, "completion_tokens": 7, "total_tokens": 1008,
            "prompt_tokens_details": { "cached_tokens": 1000 },
            "completion_tokens_details": { "reasoning_tokens": 3 },
        });
        let tokens = of(chat, "gpt-4o-2024-11-20").expect("a report");
        assert_eq!(
            (tokens.input, tokens.cached, tokens.output, tokens.reasoning),
            (Some(1001), Some(1000), Some(7), Some(3))
        );
        // 1 x 2.5 + 1000 x 1.25 + 7 x 10 USD for a million tokens each.
        assert_eq!((tokens.priced, tokens.cost_pico), (1, 1_322_500_000));
        let response =
            json!({ "input_tokens": 3, "output_tokens": 5, "input_tokens_details": null });
        let tokens = of(response, "gpt-4o-mini-x").expect("a report");
        assert_eq!(tokens.cost_pico, 3 * 150_000 + 5 * 600_000, "the longest name is the price");
        assert_eq!(
            of(json!({ "prompt_tokens": 2 }), "other").map(|t| (t.input, t.priced)),
            Some((Some(2), 0))
        );
    }

    #[test]
    fn what_a_cache_of_prompts_took_apart_is_of_the_prompt() {
        let usage = json!({ "input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 9 });
        let tokens = of(usage, "gpt-4o").expect("a report");
        assert_eq!((tokens.input, tokens.cached, tokens.priced), (Some(10), Some(9), 1));
        let usage = json!({ "input_tokens": 1, "cache_creation_input_tokens": 9 });
        assert_eq!(
            of(usage, "gpt-4o").map(|t| (t.input, t.priced)),
            Some((Some(10), 0)),
            "no price fits"
        );
    }

    #[test]
    fn what_is_not_reported_is_not_zero_and_leaves_the_cost_unknown() {
        let tokens = of(json!({ "completion_tokens": 7 }), "gpt-4o").expect("a report");
        assert_eq!(tokens.output, Some(7));
        assert_eq!((tokens.input, tokens.cached, tokens.reasoning), (None, None, None));
        assert_eq!(tokens.cost(), None);
    }

    #[test]
    fn nothing_is_estimated() {
        for none in [json!(null), json!({}), json!("12"), json!({ "prompt_tokens": "12" })] {
            assert_eq!(of(none, "gpt-4o"), None);
        }
    }
}
