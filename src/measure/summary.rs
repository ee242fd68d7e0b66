//! The figures of a run: what the tables show and what `run.json` keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::interval::{Interval, Phase, Traffic};
use super::metric::Metric;
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
        Figures {
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
    /// Bytes of the measured part, connections opened in the whole run.
    pub traffic: Traffic,
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
        }
    }
}
