//! Common questions, asked in the background at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::monitoring::Monitor;
use super::pipeline::{Done, Pipeline};
use super::request::Ask;
use super::watch::Watch;
use crate::ledger::Ledger;

/// What everybody asks.
const QUESTIONS: [&str; 8] = [
    "What is GPT-4?",
    "What are the best AI models?",
    "What are large language models?",
    "How does ChatGPT work?",
    "What is artificial intelligence?",
    "What is the latest version of Python?",
    "What are the current trends in AI?",
    "Which programming language is the best?",
];

/// How far the warming is.
#[derive(Debug, Default)]
pub(super) struct Warming {
    planned: AtomicU64,
    warmed: AtomicU64,
    failed: AtomicU64,
    calls: AtomicU64,
}

/// How far the warming is, as it is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct WarmingReport {
    /// Questions times models; 0 without warming.
    planned: u64,
    /// Answered, now in the cache.
    warmed: u64,
    /// Asked, and not answered in full.
    failed: u64,
    /// Calls sent upstream.
    calls: u64,
}

impl Warming {
    /// Asks every question of every model that is warmed, one after another, until `shutdown`. None
    /// of it is in the statistics of the service. The ledger counts the calls among all others, and
    /// once more apart, as `warming_calls`.
    pub(super) async fn run(
        &self,
        pipeline: &Pipeline,
        ledger: &Ledger,
        shutdown: &CancellationToken,
    ) {
        let behaviour = &pipeline.behaviour;
        let models = &behaviour.warm_models;
        self.planned.store((QUESTIONS.len() * models.len()) as u64, Ordering::Relaxed);
        let watch = Watch { monitor: Arc::new(Monitor::new(behaviour.time_scale)), events: None };
        for model in models {
            for question in QUESTIONS {
                let ask = Ask::new(question, Some(model.clone()));
                let done = tokio::select! {
                    done = pipeline.run(&ask, Duration::ZERO, &watch) => done,
                    () = shutdown.cancelled() => return,
                };
                self.note(&done, ledger);
            }
        }
    }

    pub(super) fn report(&self) -> WarmingReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WarmingReport {
            planned: read(&self.planned),
            warmed: read(&self.warmed),
            failed: read(&self.failed),
            calls: read(&self.calls),
        }
    }

    fn note(&self, done: &Done, ledger: &Ledger) {
        let is_whole = done.result.as_ref().is_ok_and(|answer| answer.errors.is_empty());
        let counter = if is_whole { &self.warmed } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(done.calls, Ordering::Relaxed);
        ledger.count(&[("warming_questions", 1), ("warming_calls", done.calls)]);
    }
}

#[cfg(test)]
mod tests {
    use super::QUESTIONS;
    use crate::services::ensemble::classification::{Sensitivity, sensitivity};

    #[test]
    fn every_question_is_one_that_snapshots_are_made_of() {
        for question in QUESTIONS {
            assert_ne!(sensitivity(question), Sensitivity::Low, "{question}");
        }
    }
}
