//! The one table of what is compared: name, which way is better, and by how much it may differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::metric::{Better, Metric};
use crate::measure::summary::{Figures, Latency};
use crate::scenario::errors::nearest;

/// A figure of a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Half are not longer.
    P50,
    /// 90% are not longer.
    P90,
    /// 95% are not longer.
    P95,
    /// 99% are not longer.
    P99,
}

/// Values that must lie beyond a percentile: with fewer, single requests decide where it is, and no
/// resampling shows how far it could move.
const BEYOND: f64 = 5.0;

impl Statistic {
    /// All, in the order of reports.
    pub const ALL: [Statistic; 5] =
        [Statistic::Mean, Statistic::P50, Statistic::P90, Statistic::P95, Statistic::P99];

    /// The name in reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Mean => "mean",
            Statistic::P50 => "p50",
            Statistic::P90 => "p90",
            Statistic::P95 => "p95",
            Statistic::P99 => "p99",
        }
    }

    /// Which quantile it is (0 to 1); `None` for the mean.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Statistic::Mean => None,
            Statistic::P50 => Some(0.50),
            Statistic::P90 => Some(0.90),
            Statistic::P95 => Some(0.95),
            Statistic::P99 => Some(0.99),
        }
    }

    /// In milliseconds, of `latency`.
    pub fn of(self, latency: &Latency) -> f64 {
        match self {
            Statistic::Mean => latency.mean_ms,
            Statistic::P50 => latency.p50_ms,
            Statistic::P90 => latency.p90_ms,
            Statistic::P95 => latency.p95_ms,
            Statistic::P99 => latency.p99_ms,
        }
    }

    /// Values on each side without which nothing is concluded: 5 / (1 - q), and as many for the mean
    /// as for the median.
    pub fn samples_needed(self) -> u64 {
        (BEYOND / (1.0 - self.quantile().unwrap_or(0.5))).round() as u64
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Successes that ended in the measured part, a second.
    Throughput,
    /// Failures as a share of the requests that ended by themselves.
    Failures,
    /// A latency of successes.
    Time(Metric, Statistic),
    /// Tokens of completions a second.
    OutputTokens,
    /// Successful rows a second.
    Rows,
    /// From due to done, of successful rows.
    RowTime(Statistic),
    /// Requests of the measured part that opened a connection, as a share of all.
    Connections,
    /// Processor time of the target a request.
    CpuPerRequest,
    /// Processors that the target kept busy.
    Cpu,
    /// The most resident memory of the target in a run; of several runs, the mean of it.
    Memory,
}

/// In which terms a change is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// As a share of what it was.
    Relative,
    /// As a difference of two shares, in percentage points.
    Points,
}

impl Quantity {
    /// The name in reports.
    pub fn label(self) -> String {
        match self {
            Quantity::Throughput => "Successes per second".to_owned(),
            Quantity::Failures => "Failures".to_owned(),
            Quantity::Time(metric, statistic) => format!("{} {}", metric.label(), statistic.name()),
            Quantity::OutputTokens => "Output tokens per second".to_owned(),
            Quantity::Rows => "Rows per second".to_owned(),
            Quantity::RowTime(statistic) => format!("Row time {}", statistic.name()),
            Quantity::Connections => "Requests that opened a connection".to_owned(),
            Quantity::CpuPerRequest => "CPU per request".to_owned(),
            Quantity::Cpu => "CPU mean".to_owned(),
            Quantity::Memory => "Memory peak".to_owned(),
        }
    }

    /// The name in files: `response_time.p95`.
    pub fn name(self) -> String {
        match self {
            Quantity::Throughput => "ok_rps".to_owned(),
            Quantity::Failures => "failures".to_owned(),
            Quantity::Time(metric, statistic) => format!("{}.{}", metric.name(), statistic.name()),
            Quantity::OutputTokens => "output_tokens_per_s".to_owned(),
            Quantity::Rows => "rows_per_s".to_owned(),
            Quantity::RowTime(statistic) => format!("row_time.{}", statistic.name()),
            Quantity::Connections => "connections_opened".to_owned(),
            Quantity::CpuPerRequest => "cpu_ms_per_request".to_owned(),
            Quantity::Cpu => "cpu_mean_percent".to_owned(),
            Quantity::Memory => "memory_peak_bytes".to_owned(),
        }
    }

    /// Which way it gets better.
    pub fn better(self) -> Better {
        match self {
            Quantity::Time(metric, _) => metric.better(),
            Quantity::Throughput | Quantity::OutputTokens | Quantity::Rows => Better::Higher,
            Quantity::RowTime(_)
            | Quantity::Failures
            | Quantity::Connections
            | Quantity::CpuPerRequest
            | Quantity::Cpu
            | Quantity::Memory => Better::Lower,
        }
    }

    /// In which terms a change of it is told.
    pub fn scale(self) -> Scale {
        match self {
            Quantity::Failures | Quantity::Connections => Scale::Points,
            _ => Scale::Relative,
        }
    }

    /// Under which name its margin is set.
    fn margin_name(self) -> &'static str {
        match self {
            Quantity::Time(_, statistic) | Quantity::RowTime(statistic) => statistic.name(),
            Quantity::Throughput => "throughput",
            Quantity::OutputTokens => "tokens",
            Quantity::Rows => "rows",
            Quantity::Failures => "failures",
            Quantity::Connections => "connections",
            Quantity::CpuPerRequest | Quantity::Cpu => "cpu",
            Quantity::Memory => "memory",
        }
    }

    /// Of `figures`, where it is a latency of requests: the figure in milliseconds, and of how many.
    pub(super) fn time(
        metric: Metric,
        statistic: Statistic,
        figures: &Figures,
    ) -> Option<(f64, u64)> {
        figures.latency(metric).map(|latency| (statistic.of(latency), latency.count))
    }
}

/// How far figures may differ and still count as unchanged, by name: shares of what they were; of
/// failures and connections, points (0.01 is one).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Margins(BTreeMap<String, f64>);

impl Default for Margins {
    fn default() -> Self {
        let all = [
            ("mean", 0.05),
            ("p50", 0.05),
            ("p90", 0.05),
            ("p95", 0.05),
            ("p99", 0.10),
            ("throughput", 0.05),
            ("tokens", 0.05),
            ("rows", 0.05),
            ("cpu", 0.05),
            ("memory", 0.10),
            ("failures", 0.01),
            ("connections", 0.05),
        ];
        Margins(all.map(|(name, margin)| (name.to_owned(), margin)).into())
    }
}

impl Margins {
    /// That of `quantity`.
    pub fn of(&self, quantity: Quantity) -> f64 {
        self.0[quantity.margin_name()]
    }

    /// Sets what `text` says: `p99=15%` one of them, `10%` all but those of failures and connections.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and how it is written.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').map_or((None, text), |(n, v)| (Some(n.trim()), v));
        let percent = value.trim().strip_suffix('%').and_then(|it| it.trim().parse::<f64>().ok());
        let margin = percent.filter(|it| *it > 0.0 && *it < 100.0).ok_or_else(|| {
            format!("`{text}`: a margin is a percentage above 0% and below 100%, as 5% or p99=15%")
        })? / 100.0;
        match name {
            None => {
                let are_points = |name: &str| matches!(name, "failures" | "connections");
                let relative = self.0.iter_mut().filter(|(name, _)| !are_points(name));
                relative.for_each(|(_, one)| *one = margin);
            }
            Some(name) => match self.0.get_mut(name) {
                Some(one) => *one = margin,
                None => return Err(self.unknown(name)),
            },
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let near = nearest(name, names.iter().copied());
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        format!("there is no margin `{name}`{hint}; there are: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_set_by_name_or_all_at_once() {
        let mut margins = Margins::default();
        let p99 = Quantity::Time(Metric::ResponseTime, Statistic::P99);
        assert_eq!((margins.of(p99), margins.of(Quantity::Failures)), (0.10, 0.01));
        margins.set("20%").expect("a margin");
        margins.set("p99=30%").expect("a margin");
        margins.set("failures=0.5%").expect("a margin");
        let found = [p99, Quantity::Cpu, Quantity::Failures, Quantity::Connections];
        assert_eq!(found.map(|it| margins.of(it)), [0.30, 0.20, 0.005, 0.05]);
        let near = margins.set("p89=1%").expect_err("no such margin");
        assert!(near.contains("did you mean `p99`") || near.contains("`p90`"), "{near}");
        for wrong in ["5", "p99=0%", "p99=-3%", "100%", "x%", ""] {
            assert!(margins.set(wrong).is_err(), "{wrong}");
        }
    }
}
