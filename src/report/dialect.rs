//! The stream metrics of a run under the names that another tool gives them, by that tool's
//! formulas: for people who must reconcile old figures.
//!
//! The formulas were read in the tools' own sources and documentation:
//!
//! - vLLM, `vllm bench serve`: `vllm/benchmarks/serve.py` and `lib/endpoint_request_func.py`, and
//!   `rust/src/bench` of the Rust client (main branch, in the time of 0.33).
//! - guidellm 0.8: `src/guidellm/schemas/request_stats.py`.
//! - aiperf 0.13: `docs/metrics-reference.md`.
//!
//! All of them start their clocks at the send, and none counts what failed.

use crate::measure::metric::Metric;
use crate::measure::summary::{Figures, Latency, Summary};
use crate::plan::PlanRecord;

use super::format;
use super::model::{Cell, Column, Section, Table, Text};

/// A tool whose names and formulas are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// vLLM's `vllm bench serve`, which SGLang's benchmark follows.
    Vllm,
    /// guidellm.
    Guidellm,
    /// NVIDIA's aiperf.
    Aiperf,
}

/// Name there, formula there, our metric of the same formula.
type Line = (&'static str, &'static str, Metric);

impl Dialect {
    /// The tool's name.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Vllm => "vLLM",
            Dialect::Guidellm => "guidellm",
            Dialect::Aiperf => "aiperf",
        }
    }

    fn lines(self) -> &'static [Line] {
        match self {
            Dialect::Vllm => &[
                ("TTFT", "first event with a choice - send", Metric::TtftFromSend),
                ("TPOT", "(last event with a choice - first) / (output tokens - 1)", Metric::Tpot),
                (
                    "TPOT, older versions",
                    "(end of the stream - first token) / (output tokens - 1)",
                    Metric::TpotToEnd,
                ),
                ("ITL", "gaps between events, pooled", Metric::InterChunk),
                ("E2EL", "last event with a choice - send", Metric::ServiceTime),
            ],
            Dialect::Guidellm => &[
                ("TTFT", "first token - request start", Metric::TtftFromSend),
                (
                    "TPOT",
                    "(last token - request start) / output tokens: TTFT is in it",
                    Metric::TpotFromSend,
                ),
                (
                    "ITL",
                    "(last token - first token) / (output tokens - 1), one value a request",
                    Metric::Tpot,
                ),
                ("Request latency", "request end - request start", Metric::ServiceTime),
            ],
            Dialect::Aiperf => &[
                ("TTFT", "first non-empty response - request start", Metric::TtftFromSend),
                (
                    "ITL",
                    "(request latency - TTFT) / (output sequence length - 1), one value a request",
                    Metric::Tpot,
                ),
                ("ICL", "gaps between non-empty responses, pooled", Metric::InterChunk),
                ("Request latency", "last response - request start", Metric::ServiceTime),
            ],
        }
    }

    /// Where its figures would still differ from ours.
    fn differences(self) -> &'static str {
        match self {
            Dialect::Vllm => {
                "vLLM takes the first event with a choice for the first token, though it may hold the role alone, and the one with the finish reason for the last; its E2EL ends there, ours with the body. Output tokens are the server's, where it reports them."
            }
            Dialect::Guidellm => {
                "guidellm's TTFT is to the first token of either kind, reasoning included; ours is to the first content. Where the server reports no tokens, it counts events instead, and we count nothing."
            }
            Dialect::Aiperf => {
                "aiperf's TTFT is to the first token of either kind, reasoning included; ours is to the first content (its TTFO). Its request latency ends with the last content, ours with the body; its output sequence length comes from a tokenizer of its own, ours from the server."
            }
        }
    }

    /// The section for a report: each step that streams, the tool's figures beside our names.
    pub fn section(self, plan: &PlanRecord, summary: &Summary) -> Section {
        let name = self.name();
        let section = Section::new(format!("As {name} counts")).brief(true);
        let mut table = Table::new([
            Column::words(name),
            Column::words("Its formula").expendable(2),
            Column::words("Here").expendable(1),
            Column::words("Step"),
            Column::figures("Mean ms"),
            Column::figures("p50 ms"),
            Column::figures("p90 ms").expendable(3),
            Column::figures("p95 ms"),
            Column::figures("p99 ms"),
        ]);
        let streaming = plan.steps.iter().zip(&summary.steps).filter(|(step, _)| step.streams);
        for (step, figures) in streaming {
            table.rows.extend(self.lines().iter().map(|line| row(line, &step.name, figures)));
        }
        if table.rows.is_empty() {
            return section.with(Text::from(format!(
                "No step of this scenario streams: there is nothing that {name} would count."
            )));
        }
        section.with(table).with(self.differences())
    }
}

fn row((name, formula, metric): &Line, step: &str, figures: &Figures) -> Vec<Cell> {
    let latency = figures.latency(*metric);
    let figure = |value: fn(&Latency) -> f64| {
        Cell::figure(latency.map(|latency| format::millis(value(latency))), format::NOT_MEASURED)
    };
    vec![
        (*name).into(),
        (*formula).into(),
        metric.label().into(),
        step.into(),
        figure(|l| l.mean_ms),
        figure(|l| l.p50_ms),
        figure(|l| l.p90_ms),
        figure(|l| l.p95_ms),
        figure(|l| l.p99_ms),
    ]
}
