//! The figures of a run: what the tables show and what `run.json` keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::interval::{Delivered, Interval, Phase, Traffic};
use super::metric::Metric;
use super::rows::{RowFigures, Rows};
use super::sample::{Offset, Outcome, StepId};

/// Everything recorded in the measured part of a run, merged over time. How many connections were
/// opened, and what that took, is that of the whole run: most are opened in a warm-up, if there is
/// one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// Latencies by step, metric and outcome.
    pub distributions: BTreeMap<(StepId, Metric, Outcome), Distribution>,
    /// Bytes of the measured part and connections of the whole run, by step.
    pub traffic: BTreeMap<StepId, Traffic>,
    /// Requests that ended inside the measured window, by step and outcome.
    pub completed: BTreeMap<(StepId, Outcome), u64>,
    /// What requests brought that ended inside the measured window, by step.
    pub delivered: BTreeMap<StepId, Delivered>,
    /// Rows of the whole run.
    pub rows: Rows,
}

impl Merged {
    /// Adds the measured part of `interval`.
    pub fn add(&mut self, interval: &Interval) {
        for (key, distribution) in &interval.distributions {
            if key.phase == Phase::Measured || is_of_opening(key.metric) {
                let slot = (key.step, key.metric, key.outcome);
                self.distributions.entry(slot).or_default().merge(distribution);
            }
        }
        for (&(step, phase), traffic) in &interval.traffic {
            let sum = self.traffic.entry(step).or_default();
            *sum += match phase {
                Phase::Measured => *traffic,
                _ => {
                    Traffic { connections_opened: traffic.connections_opened, ..Traffic::default() }
                }
            };
        }
        for (&slot, count) in &interval.completed {
            *self.completed.entry(slot).or_default() += count;
        }
        for (&step, sum) in &interval.delivered {
            *self.delivered.entry(step).or_default() += *sum;
        }
        self.rows.merge(&interval.rows);
    }

    /// Adds all of `other`: what another run recorded, or another part of the same one.
    pub fn merge(&mut self, other: &Merged) {
        for (&slot, distribution) in &other.distributions {
            self.distributions.entry(slot).or_default().merge(distribution);
        }
        for (&step, traffic) in &other.traffic {
            *self.traffic.entry(step).or_default() += *traffic;
        }
        for (&slot, count) in &other.completed {
            *self.completed.entry(slot).or_default() += count;
        }
        for (&step, sum) in &other.delivered {
            *self.delivered.entry(step).or_default() += *sum;
        }
        self.rows.merge(&other.rows);
    }

    /// The distribution of `metric` over successes, of one step or of all.
    pub fn successes(&self, step: Option<StepId>, metric: Metric) -> Distribution {
        self.all_of(step, metric, Outcome::is_success)
    }

    /// The distribution that the figures of `metric` are made from. A request that fails may have
    /// opened the connection that later successes use.
    fn reported(&self, step: Option<StepId>, metric: Metric) -> Distribution {
        match is_of_opening(metric) {
            true => self.all_of(step, metric, |_| true),
            false => self.successes(step, metric),
        }
    }

    /// Percentiles of `metric` over the steps that are wanted, in which failures count as infinite.
    pub fn adjusted(&self, metric: Metric, is_wanted: impl Fn(StepId) -> bool) -> Option<Adjusted> {
        let (mut successes, mut failed) = (Distribution::default(), 0);
        for (&(step, of, outcome), distribution) in &self.distributions {
            if !is_wanted(step) {
                continue;
            }
            if of == metric && outcome.is_success() {
                successes.merge(distribution);
            }
            // Every request has a response time, however it ended.
            if of == Metric::ResponseTime && outcome.is_failure() {
                failed += distribution.count();
            }
        }
        Adjusted::of(&successes, failed)
    }

    fn all_of(
        &self,
        step: Option<StepId>,
        metric: Metric,
        is_wanted: fn(Outcome) -> bool,
    ) -> Distribution {
        let mut all = Distribution::default();
        for (&(of_step, of_metric, outcome), distribution) in &self.distributions {
            if step.is_none_or(|step| step == of_step) && of_metric == metric && is_wanted(outcome)
            {
                all.merge(distribution);
            }
        }
        all
    }

    /// The figures of one step, or of all steps together. `window` is the length of the measured
    /// part; without one there are no rates.
    pub fn figures(&self, step: Option<StepId>, window: Option<Duration>) -> Figures {
        let is_wanted = |of: StepId| step.is_none_or(|step| step == of);
        let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
        for (&(of, metric, outcome), distribution) in &self.distributions {
            if is_wanted(of) && metric == Metric::ResponseTime {
                *outcomes.entry(outcome).or_default() += distribution.count();
            }
        }
        let mut traffic = Traffic::default();
        for (_, part) in self.traffic.iter().filter(|(of, _)| is_wanted(**of)) {
            traffic += *part;
        }
        let completed = |counts: fn(Outcome) -> bool| -> u64 {
            let of = self
                .completed
                .iter()
                .filter(|((of, outcome), _)| is_wanted(*of) && counts(*outcome));
            of.map(|(_, count)| count).sum()
        };
        let rate = |count: u64| Some(count as f64 / window.filter(|w| !w.is_zero())?.as_secs_f64());
        let mut delivered = Delivered::default();
        for (_, part) in self.delivered.iter().filter(|(of, _)| is_wanted(**of)) {
            delivered += *part;
        }
        // Older journals have zeros where nothing was reported.
        let reported = traffic.tokens.reported > 0 || delivered.output > Some(0);
        // What was reported, but of no response that ended in the window, came at no rate.
        let token_rate = |delivered: Option<u64>, due: Option<u64>| {
            rate(delivered.or(due.map(|_| 0)).filter(|_| reported)?)
        };
        Figures {
            input_tokens_per_s: token_rate(delivered.input, traffic.tokens.input),
            output_tokens_per_s: token_rate(delivered.output, traffic.tokens.output),
            good_per_s: rate(delivered.good).filter(|_| traffic.judged > 0),
            rps: rate(completed(|outcome| outcome.is_final() && outcome.was_sent())),
            ok_rps: rate(completed(Outcome::is_success)),
            latencies: Metric::ALL
                .into_iter()
                .filter_map(|metric| Some((metric, Latency::of(&self.reported(step, metric))?)))
                .collect(),
            outcomes,
            traffic,
        }
    }
}

/// Whether `metric` is of opening a connection, which is told of the whole run and every outcome.
fn is_of_opening(metric: Metric) -> bool {
    matches!(metric, Metric::Connect | Metric::Tls)
}

/// Figures of one step or of all steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests of the measured part (by intended start), by how they ended.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Requests per second that ended in the measured window: successes and failures, not what
    /// the stop of the run cancelled.
    pub rps: Option<f64>,
    /// The same for successes only.
    pub ok_rps: Option<f64>,
    /// Latencies of successes; of opening connections: of every request of the whole run that did.
    pub latencies: BTreeMap<Metric, Latency>,
    /// Bytes, tokens and goodput of the measured part (by intended start), connections opened in the
    /// whole run.
    pub traffic: Traffic,
    /// Tokens of prompts a second: of all responses that ended in the measured window and reported
    /// their tokens, over its length. `None` where none did.
    #[serde(default)]
    pub input_tokens_per_s: Option<f64>,
    /// The same of completions.
    #[serde(default)]
    pub output_tokens_per_s: Option<f64>,
    /// Requests a second that ended in the measured window as successes within their goodput limits;
    /// `None` where no request had limits.
    #[serde(default)]
    pub good_per_s: Option<f64>,
}

impl Figures {
    /// Requests that ended by themselves: successes and failures.
    pub fn count(&self) -> u64 {
        self.ok() + self.failed()
    }

    /// Successes.
    pub fn ok(&self) -> u64 {
        self.outcomes.get(&Outcome::Ok).copied().unwrap_or(0)
    }

    /// Failures, whatever their class.
    pub fn failed(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| outcome.is_failure()).map(|(_, n)| n).sum()
    }

    /// Failures as a share (0 to 1) of all requests that ended by themselves.
    pub fn failure_share(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.failed() as f64 / self.count() as f64)
    }

    /// Requests within their goodput limits as a share (0 to 1) of those that limits were set for.
    pub fn good_share(&self) -> Option<f64> {
        let (good, judged) = (self.traffic.good, self.traffic.judged);
        (judged > 0).then(|| good as f64 / judged as f64)
    }

    /// The figures of one latency.
    pub fn latency(&self, metric: Metric) -> Option<&Latency> {
        self.latencies.get(&metric)
    }
}

/// A latency's figures, in milliseconds. Percentile `p`: the smallest recorded value with at
/// least p% of samples at or below it, to three significant digits; the others are exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub count: u64,
    pub mean_ms: f64,
    pub min_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// The figures of `distribution`, if it holds any value.
    pub fn of(distribution: &Distribution) -> Option<Latency> {
        let quantile = |q| distribution.quantile(q).map(ms);
        Some(Latency {
            count: distribution.count(),
            mean_ms: ms(distribution.mean()?),
            min_ms: ms(distribution.min()?),
            p50_ms: quantile(0.50)?,
            p90_ms: quantile(0.90)?,
            p95_ms: quantile(0.95)?,
            p99_ms: quantile(0.99)?,
            p999_ms: quantile(0.999)?,
            max_ms: ms(distribution.max()?),
        })
    }
}

/// Percentiles of requests that succeeded and requests that failed, a failure counting as infinitely
/// slow: what a client meets that must have an answer. A percentile that falls among failures is
/// infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// Successes that have the latency.
    pub succeeded: u64,
    /// Failures of whatever kind, what was due and never sent included.
    pub failed: u64,
    /// In milliseconds; `None` where it is infinite.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p90_ms: Option<f64>,
    /// As `p50_ms`.
    pub p95_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// As `p50_ms`.
    pub p999_ms: Option<f64>,
}

impl Adjusted {
    /// `successes`, and `failed` values above all of them; `None` where there is neither.
    pub fn of(successes: &Distribution, failed: u64) -> Option<Adjusted> {
        let succeeded = successes.count();
        let all = succeeded + failed;
        let percentile = |q: f64| {
            // The rank among all: the smallest with at least a share q at or below it. A product such
            // as 0.07 * 100 may come out a little above a whole number.
            let rank = (q * all as f64 - 1e-6).ceil().max(1.0);
            let share = (rank - 0.5) / succeeded as f64;
            (rank <= succeeded as f64).then(|| successes.quantile(share).map(ms)).flatten()
        };
        (all > 0).then(|| Adjusted {
            succeeded,
            failed,
            p50_ms: percentile(0.50),
            p90_ms: percentile(0.90),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            p999_ms: percentile(0.999),
        })
    }
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Fewest samples on which a quantile `q` (0 to 1) rests on more than the largest value alone:
/// 1 / (1 - q).
pub fn samples_needed(q: f64) -> u64 {
    if q >= 1.0 { 1 } else { (1.0 / (1.0 - q)).round() as u64 }
}

/// The measured part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// Begin.
    pub start: Offset,
    /// End.
    pub end: Offset,
}

impl MeasuredWindow {
    /// Its length.
    pub fn length(&self) -> Duration {
        self.end.since(self.start)
    }
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The measured part.
    pub window: MeasuredWindow,
    /// All steps together.
    pub total: Figures,
    /// Each step, in the order of the scenario.
    pub steps: Vec<Figures>,
    /// Rows; `None` where none was due in the measured part, or an earlier version recorded none.
    #[serde(default)]
    pub rows: Option<RowFigures>,
}

impl Summary {
    /// The figures of `steps` steps over `window`.
    pub fn of(merged: &Merged, steps: usize, window: MeasuredWindow) -> Summary {
        let length = Some(window.length());
        Summary {
            window,
            total: merged.figures(None, length),
            steps: (0..steps)
                .map(|step| merged.figures(Some(StepId(step as u16)), length))
                .collect(),
            rows: merged.rows.figures(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// By definition: sort everything, failures last, and take the rank.
        #[test]
        fn failures_are_slower_than_every_success(
            times in proptest::collection::vec(1u64..2_000, 0..120),
            failed in 0u64..120,
        ) {
            let mut successes = Distribution::default();
            times.iter().for_each(|&us| successes.record(Duration::from_micros(us)));
            let mut sorted: Vec<Option<u64>> = times.iter().copied().map(Some).collect();
            sorted.sort_unstable();
            sorted.extend((0..failed).map(|_| None));
            let Some(adjusted) = Adjusted::of(&successes, failed) else {
                prop_assert!(sorted.is_empty());
                return Ok(());
            };
            for (per_mille, found) in [
                (500, adjusted.p50_ms),
                (900, adjusted.p90_ms),
                (950, adjusted.p95_ms),
                (990, adjusted.p99_ms),
                (999, adjusted.p999_ms),
            ] {
                let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
                match (sorted[rank - 1], found) {
                    (None, None) => {}
                    (Some(us), Some(ms)) => {
                        prop_assert!((ms * 1000.0 - us as f64).abs() <= us as f64 * 0.001 + 0.1);
                    }
                    other => prop_assert!(false, "{per_mille}: {other:?}"),
                }
            }
        }
    }
}
