//! A sentiment model small enough to read: a word list, negation, and a confidence that grows with
//! the evidence.

use std::fmt::Write as _;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde::Serialize;

use super::cost::Parts;
use crate::services::work::spend;

pub(super) const NAME: &str = "lexicon-sentiment";
pub(super) const VERSION: &str = "1.0.0";
pub(super) const LABELS: [&str; 3] = ["positive", "negative", "neutral"];

/// In alphabetical order, for binary search.
const POSITIVE: [&str; 26] = [
    "amazing",
    "awesome",
    "beautiful",
    "best",
    "better",
    "brilliant",
    "easy",
    "enjoy",
    "excellent",
    "fantastic",
    "fast",
    "favorite",
    "good",
    "great",
    "happy",
    "helpful",
    "like",
    "love",
    "nice",
    "perfect",
    "pleasant",
    "recommend",
    "reliable",
    "superb",
    "well",
    "wonderful",
];

/// In alphabetical order, for binary search.
const NEGATIVE: [&str; 26] = [
    "angry",
    "annoying",
    "awful",
    "bad",
    "boring",
    "broken",
    "crash",
    "disappointed",
    "disappointing",
    "dreadful",
    "error",
    "fail",
    "failed",
    "hate",
    "horrible",
    "mediocre",
    "poor",
    "problem",
    "refund",
    "sad",
    "slow",
    "terrible",
    "ugly",
    "useless",
    "worse",
    "worst",
];

/// In alphabetical order, for binary search. The second half of a contraction is a word of its own.
const NEGATION: [&str; 10] =
    ["cannot", "hardly", "neither", "never", "no", "nobody", "nor", "not", "nothing", "without"];

/// Words after a negation within which it turns an opinion round ("not a very good").
const NEGATION_REACH: u32 = 3;

/// The answer for one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Prediction {
    text: String,
    sentiment: &'static str,
    /// The share of opinions on the side of the sentiment, by the rule of succession:
    /// (winners + 1) / (opinions + 2); 0.5 where there is nothing to go by.
    confidence: f64,
    model_version: &'static str,
}

/// Predicts, and sleeps until the parts of the time have passed since the call.
pub(super) fn predict_waiting(texts: Vec<String>, parts: Parts) -> Vec<Prediction> {
    let started = Instant::now();
    let predictions = predict(texts);
    thread::sleep(parts.total().saturating_sub(started.elapsed()));
    predictions
}

/// Predicts, and spends each part of the time as CPU time of the thread, on work of its kind.
pub(super) fn predict_computing(texts: Vec<String>, parts: Parts) -> Vec<Prediction> {
    extract_features(&texts, parts.features);
    let predictions = apply_model(texts, parts.model);
    log(&predictions, parts.logging);
    predictions
}

/// Counts the characters of the texts by kind, over and over.
#[inline(never)]
fn extract_features(texts: &[String], time: Duration) {
    spend(texts.iter().map(String::as_str), time, |text| {
        black_box(text.chars().fold([0_u32; 3], |[letters, digits, others], c| {
            match (c.is_alphabetic(), c.is_numeric()) {
                (true, _) => [letters + 1, digits, others],
                (_, true) => [letters, digits + 1, others],
                _ => [letters, digits, others + 1],
            }
        }));
    });
}

/// Scores the texts, over and over.
#[inline(never)]
fn apply_model(texts: Vec<String>, time: Duration) -> Vec<Prediction> {
    let started = ThreadTime::now();
    let predictions = predict(texts);
    let left = time.saturating_sub(started.elapsed());
    spend(predictions.iter().map(|p| p.text.as_str()), left, |text| {
        black_box(score(black_box(text)));
    });
    predictions
}

/// Writes a line for each prediction, over and over; the lines go nowhere.
#[inline(never)]
fn log(predictions: &[Prediction], time: Duration) {
    let lines = predictions.iter().map(|p| (p.text.as_str(), p.sentiment));
    let mut line = String::new();
    let mut sentiments = lines.clone().map(|(_, sentiment)| sentiment).cycle();
    spend(lines.map(|(text, _)| text), time, |text| {
        line.clear();
        // Writing to a String cannot fail.
        let _ = write!(line, "predicted {:?} for {text:?}", sentiments.next());
        black_box(&line);
    });
}

fn predict(texts: Vec<String>) -> Vec<Prediction> {
    texts.into_iter().map(classify).collect()
}

fn classify(text: String) -> Prediction {
    let (positive, negative) = score(&text);
    let sentiment = match positive.cmp(&negative) {
        std::cmp::Ordering::Greater => LABELS[0],
        std::cmp::Ordering::Less => LABELS[1],
        std::cmp::Ordering::Equal => LABELS[2],
    };
    let winners = f64::from(positive.max(negative));
    let confidence = (winners + 1.0) / (f64::from(positive + negative) + 2.0);
    Prediction { text, sentiment, confidence, model_version: VERSION }
}

/// The numbers of positive and of negative opinions in a text.
#[inline(never)]
fn score(text: &str) -> (u32, u32) {
    let (mut positive, mut negative) = (0, 0);
    let mut negated_for = 0;
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'') {
        if word.is_empty() {
            continue;
        }
        if contains(&NEGATION, word) || is_contraction(word) {
            negated_for = NEGATION_REACH;
            continue;
        }
        let (good, bad) = (contains(&POSITIVE, word), contains(&NEGATIVE, word));
        if good || bad {
            if good == (negated_for == 0) {
                positive += 1;
            } else {
                negative += 1;
            }
        }
        negated_for = negated_for.saturating_sub(1);
    }
    (positive, negative)
}

fn contains(words: &[&str], word: &str) -> bool {
    let lower = || word.bytes().map(|b| b.to_ascii_lowercase());
    words.binary_search_by(|entry| entry.bytes().cmp(lower())).is_ok()
}

/// "don't", "isn't", "can't".
fn is_contraction(word: &str) -> bool {
    word.len() > 3
        && word.is_char_boundary(word.len() - 3)
        && word[word.len() - 3..].eq_ignore_ascii_case("n't")
}
