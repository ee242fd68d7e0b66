//! Whether the answer to a question depends on when it is asked: a rule on its words, no call.

use serde::{Deserialize, Serialize};

/// How much the answer to a question depends on when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sensitivity {
    /// The question speaks of time or of change.
    High,
    /// It is about something that keeps changing.
    Medium,
    /// Neither.
    Low,
}

/// Words that speak of time or of change.
const TIME: [&str; 30] = [
    "best",
    "change",
    "changed",
    "changes",
    "changing",
    "current",
    "currently",
    "develop",
    "developed",
    "development",
    "evolution",
    "evolve",
    "evolved",
    "future",
    "history",
    "latest",
    "leading",
    "new",
    "newest",
    "news",
    "now",
    "progress",
    "recent",
    "recently",
    "state",
    "today",
    "top",
    "trend",
    "trends",
    "year",
];

/// Words for what keeps changing.
const MOVING: [&str; 26] = [
    "ai",
    "chatbot",
    "chatgpt",
    "climate",
    "company",
    "cost",
    "crypto",
    "economy",
    "election",
    "gpt",
    "intelligence",
    "law",
    "llm",
    "llms",
    "market",
    "model",
    "models",
    "policy",
    "population",
    "price",
    "prices",
    "programming",
    "regulation",
    "software",
    "technology",
    "version",
];

/// The sensitivity of a question: high where one of its words, or a year of this century, speaks of
/// time; medium where one stands for something that keeps changing; low else.
pub(super) fn sensitivity(question: &str) -> Sensitivity {
    let question = question.to_lowercase();
    let words = || question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    if words().any(|word| TIME.contains(&word) || is_year(word)) {
        Sensitivity::High
    } else if words().any(|word| MOVING.contains(&word)) {
        Sensitivity::Medium
    } else {
        Sensitivity::Low
    }
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.starts_with("20") && word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Sensitivity, sensitivity};

    #[test]
    fn words_decide() {
        for (question, expected) in [
            ("What are the best AI models?", Sensitivity::High),
            ("Who won in 2023?", Sensitivity::High),
            ("What is GPT-4?", Sensitivity::Medium),
            ("What is the boiling point of water?", Sensitivity::Low),
            ("Is 20 less than 2000000?", Sensitivity::Low),
            ("", Sensitivity::Low),
        ] {
            assert_eq!(sensitivity(question), expected, "{question}");
        }
    }
}
